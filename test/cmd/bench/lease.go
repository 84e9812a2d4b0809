//go:build unix

package main

import (
	"context"
	"errors"
)

// Goals: the share of the rate of activations that checkouts of leases reach.
const (
	leaseFloor = 0.6
	leaseAim   = 0.8
)

// leaseTerms need no seat, so that a checkout is all that a device does; no lease ends during a measurement.
const leaseTerms = `{"slots": 100000, "lease_seconds": 86400, "overflow": "refuse", "borrow_max_hours": 0, ` +
	`"activation": "none"}`

// lease measures checkouts of leases by devices that nobody has seen against their activations.
func (b *bench) lease(ctx context.Context) error {
	if err := b.makeFloating(ctx); err != nil {
		return err
	}
	if err := b.suite.Process("analytics").Stop(); err != nil {
		return err
	}
	if err := warm(ctx, b.suite.LicenseURL, b.suite.APIKey, licenses); err != nil {
		return err
	}
	ratio := b.ratio("lease checkout of activation, 10,000 licenses", leaseFloor, leaseAim)
	wrong := b.atMost(row{Name: "lease checkout, wrong answers", Floor: new(0.0)})
	leases, activations := b.info("  lease checkouts, 10,000 licenses", "/s"), b.info("  activations beside them", "/s")
	p99 := b.info("  lease checkouts, 10,000 licenses, p99", "ms")
	processes := map[string]int{"server": b.suite.Process("license").PID(), "PostgreSQL": b.suite.Postgres.PID()}
	leaseCPU, activationCPU := b.meters("lease checkouts", processes), b.meters("activations beside them", processes)
	for round := range b.rounds {
		var taken, activated outcome
		turns := []func() error{
			func() (err error) {
				taken, err = b.fresh(ctx, checkout(b.suite.LicenseURL, b.suite.APIKey), leaseCPU)
				return err
			},
			func() (err error) {
				activated, err = b.fresh(ctx, activation(b.suite.LicenseURL, b.suite.APIKey), activationCPU)
				return err
			},
		}
		for i := range turns {
			if err := turns[(i+round)%len(turns)](); err != nil {
				return err
			}
		}
		wrong.count(taken.wrong + activated.wrong)
		leases.add(taken.perSecond())
		activations.add(activated.perSecond())
		p99.add(taken.percentile(0.99) / 1000)
		ratio.add(taken.perSecond() / activated.perSecond())
		b.say("round %d: %.0f leases/s, %.0f activations/s", round+1, taken.perSecond(), activated.perSecond())
		if taken.first != nil {
			b.say("lease: %v", taken.first)
		}
	}
	return b.suite.Process("analytics").Restart(ctx)
}

// makeFloating has every license take leases. A process that has read licenses before must not need their terms.
func (b *bench) makeFloating(ctx context.Context) error {
	_, err := b.database.Exec(ctx, `UPDATE license.licenses SET floating = $1`, leaseTerms)
	return err
}

// fresh has devices that nobody has seen call t, and waits until what that leaves for later is done.
func (b *bench) fresh(ctx context.Context, t target, cpu meters) (outcome, error) {
	if err := b.settle(ctx); err != nil {
		return outcome{}, err
	}
	cpu.begin()
	o, err := drive(ctx, t, b.span, b.freshDevices(licenses))
	err = errors.Join(err, b.settle(ctx))
	cpu.end(o.requests)
	return o, err
}

func checkout(url, apiKey string) target {
	t := activation(url, apiKey)
	t.path, t.marks = "/api/v1/license/leases", []string{`"created":true`}
	return t
}
