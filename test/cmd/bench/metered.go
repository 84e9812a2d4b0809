//go:build unix

package main

import (
	"context"
	"errors"
)

// Goals of the issue: the share of the rate of activations that validations which consume reach.
const (
	meteredFloor, meteredAim       = 0.5, 1.0
	meteredHotFloor, meteredHotAim = 0.25, 0.5
)

// meteredTerms are a counter with a limit that no run reaches a threshold of.
const meteredTerms = `[{"name": "calls", "limit": 1000000000000, "overage": 0, "allow_negative": false, ` +
	`"reset": "monthly", "anchor": "calendar", "per_device": false}]`

// metered measures validations that consume against activations of devices that nobody has seen.
func (b *bench) metered(ctx context.Context) error {
	if err := b.makeMetered(ctx); err != nil {
		return err
	}
	if err := b.suite.Process("analytics").Stop(); err != nil {
		return err
	}
	if err := warm(ctx, b.suite.LicenseURL, b.suite.APIKey, licenses); err != nil {
		return err
	}
	wrong := b.atMost(row{Name: "metered validate, wrong answers", Floor: new(0.0)})
	for _, s := range []struct {
		name       string
		count      int64
		floor, aim float64
	}{{"10,000 licenses", licenses, meteredFloor, meteredAim}, {"one hot license", 1, meteredHotFloor, meteredHotAim}} {
		ratio := b.ratio("metered validate of activation, "+s.name, s.floor, s.aim)
		validations := b.contender("metered validations, "+s.name, metered(b.suite.LicenseURL, b.suite.APIKey), ratio,
			b.processes())
		activations := b.contender("activations beside them, "+s.name, activation(b.suite.LicenseURL, b.suite.APIKey),
			nil, b.processes())
		for round := range b.rounds {
			if err := b.meteredRound(ctx, round, s.count, validations, activations); err != nil {
				return err
			}
			wrong.count(validations.outcome.wrong + activations.outcome.wrong)
		}
	}
	_, err := b.database.Exec(ctx, `UPDATE license.licenses SET counters = $1`, nil)
	return errors.Join(err, b.suite.Process("analytics").Restart(ctx))
}

// makeMetered has every license count. Processes that have read a license before do not know.
func (b *bench) makeMetered(ctx context.Context) error {
	_, err := b.database.Exec(ctx, `UPDATE license.licenses SET counters = $1`, meteredTerms)
	return err
}

func (b *bench) meteredRound(ctx context.Context, round int, count int64, validations, activations *contender) error {
	turns := []func() error{
		func() error { return b.alone(ctx, validations, anyOf(count)) },
		func() error { return b.alone(ctx, activations, b.freshDevices(count)) },
	}
	for i := range turns {
		if err := turns[(i+round)%len(turns)](); err != nil {
			return err
		}
	}
	validations.record(activations)
	activations.record(activations)
	b.say("round %d: %.0f metered validations/s, %.0f activations/s",
		round+1, validations.outcome.perSecond(), activations.outcome.perSecond())
	if first := errors.Join(validations.outcome.first, activations.outcome.first); first != nil {
		b.say("metered: %v", first)
	}
	return nil
}

// alone puts c under load with nothing left of what was measured before, and waits until what it leaves for later is
// done: it must not slow what it is compared with.
func (b *bench) alone(ctx context.Context, c *contender, next func(conn, i int) (call, bool)) (err error) {
	if err := b.settle(ctx); err != nil {
		return err
	}
	c.cpu.begin()
	c.outcome, err = drive(ctx, c.target, b.span, next)
	err = errors.Join(err, b.settle(ctx))
	c.cpu.end(c.outcome.requests)
	return err
}

func metered(url, apiKey string) target {
	t := validation(url, apiKey)
	t.members, t.marks, t.memory = `,"consume":{"calls":1}`, []string{`"valid":true`, `"counter":"calls"`}, ""
	return t
}
