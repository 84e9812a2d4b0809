//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Goals: the share of pgbench's rate, with a statement that does the same, that activations over HTTP reach.
const (
	activateFloor = 0.75
	activateAim   = 1.0
)

// activate measures fresh activations over HTTP against the same work done by pgbench: on a database of its own with no
// service behind it, so that pgbench has neither events to publish nor caches to keep.
func (b *bench) activate(ctx context.Context) error {
	database, err := b.newDatabase(ctx, b.bin, "pgbench")
	if err != nil {
		return err
	}
	if err := fill(ctx, database, b.setting("MASTER_KEY"), licenses); err != nil {
		return err
	}
	if err := b.suite.Process("analytics").Stop(); err != nil {
		return err
	}
	if err := warm(ctx, b.suite.LicenseURL, b.suite.APIKey, licenses); err != nil {
		return err
	}
	bench := pgbench{bin: b.suite.Postgres.Bin, url: database, dir: b.group.Dir, span: b.span}
	wrong := b.atMost(row{Name: "fresh activation, wrong answers", Floor: new(0.0)})
	for _, set := range []struct {
		name  string
		count int64
	}{{"10,000 licenses", licenses}, {"one hot license", 1}} {
		a := &activationRounds{
			bench: b, count: set.count, wrong: wrong,
			ratio: b.ratio("fresh activation of pgbench, one statement, "+set.name, activateFloor, activateAim),
			plain: b.info("fresh activation of pgbench, plain transaction, "+set.name, ""),
			rate:  b.info("  activations, "+set.name, "/s"), p99: b.info("  activations, "+set.name+", p99", "ms"),
			cpu:  b.meters("activations, "+set.name, b.processes()),
			one:  b.info("  pgbench, one statement, "+set.name, "/s"),
			four: b.info("  pgbench, plain transaction, "+set.name, "/s"),
		}
		for round := range b.rounds {
			if err := a.round(ctx, bench, round); err != nil {
				return err
			}
		}
	}
	return b.suite.Process("analytics").Restart(ctx)
}

// activationRounds are the figures of one set of licenses.
type activationRounds struct {
	*bench
	count                                     int64
	wrong, ratio, plain, rate, p99, one, four *row
	cpu                                       meters
}

func (a *activationRounds) round(ctx context.Context, bench pgbench, round int) error {
	var http outcome
	var one, plain float64
	turns := []func() error{
		func() (err error) { http, err = a.overHTTP(ctx); return err },
		func() (err error) { one, err = bench.run(ctx, a.count, oneStatement); return err },
		func() (err error) { plain, err = bench.run(ctx, a.count, plainTransaction); return err },
	}
	for i := range turns {
		if err := turns[(i+round)%len(turns)](); err != nil {
			return err
		}
	}
	rate := http.perSecond()
	a.wrong.count(http.wrong)
	a.rate.add(rate)
	a.p99.add(http.percentile(0.99) / 1000)
	a.one.add(one)
	a.four.add(plain)
	a.ratio.add(rate / one)
	a.plain.add(rate / plain)
	a.say("round %d: %.0f/s over HTTP, %.0f/s pgbench, %.0f/s plain", round+1, rate, one, plain)
	if http.first != nil {
		a.say("activation: %v", http.first)
	}
	return nil
}

func (a *activationRounds) overHTTP(ctx context.Context) (outcome, error) {
	if err := a.settle(ctx); err != nil {
		return outcome{}, err
	}
	a.cpu.begin()
	o, err := drive(ctx, activation(a.suite.LicenseURL, a.suite.APIKey), a.span, a.freshDevices(a.count))
	// What an activation leaves for later must not slow the one it is compared with.
	err = errors.Join(err, a.settle(ctx))
	a.cpu.end(o.requests)
	return o, err
}

// wholeSeconds is what pgbench takes for a time.
func wholeSeconds(d time.Duration) string {
	return fmt.Sprint(max(1, int(d.Round(time.Second).Seconds())))
}
