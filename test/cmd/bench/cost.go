//go:build unix

package main

import (
	"context"
	"errors"
	"time"
)

// Aims for the processor time, of all processes together, that 10,000 warm validations take until everything is stored,
// in seconds: as fast as they go, and at a steady pace.
const (
	costAimEmbedded   = 1.5
	costAimPostgres   = 1.2
	costAimSteady     = 2.5
	costSlack         = 2 // a floor is missed at so many times its aim: computers differ more than releases may
	steadyPerSecond   = 1000
	steadyTime        = 10 * time.Second
	steadyTimeInHaste = 3 * time.Second
)

// cost measures on both engines what validations cost until analytics has stored them.
func (b *bench) cost(ctx context.Context) error {
	return errors.Join(b.costOfBare(ctx), b.onBoth(ctx, b.costOf))
}

// costOfBare is what the steady pace alone costs: a process that sleeps between two requests is woken for each.
func (b *bench) costOfBare(ctx context.Context) error {
	bare, err := b.startBaseline(ctx)
	if err != nil {
		return err
	}
	defer bare.Kill()
	steady := b.info("a bare gin handler, CPU per 10,000 at a steady 1,000/s", "s")
	for range b.rounds {
		before := cpuSeconds(bare.PID())
		o, err := drive(ctx, b.bareTarget(), 0, paced(anyOf(licenses), steadyPerSecond, b.steadyTime()))
		if err != nil {
			return err
		}
		steady.add((cpuSeconds(bare.PID()) - before) / float64(max(o.requests, 1)) * 10_000)
	}
	return nil
}

func (b *bench) steadyTime() time.Duration {
	if b.quick {
		return steadyTimeInHaste
	}
	return steadyTime
}

func (b *bench) costOf(ctx context.Context, s *installation) error {
	aim := costAimPostgres
	if s.name == embeddedName {
		aim = costAimEmbedded
	}
	fast := b.atMost(row{Name: s.name + ", CPU per 10,000 warm validations until stored", Unit: "s", Aim: &aim,
		Floor: new(costSlack * aim)})
	steady := b.atMost(row{Name: s.name + ", the same at a steady 1,000/s", Unit: "s", Aim: new(costAimSteady),
		Floor: new(costSlack * costAimSteady)})
	for range b.rounds {
		if err := b.costOfLoad(ctx, s, fast, each(licenses)); err != nil {
			return err
		}
		if err := b.costOfLoad(ctx, s, steady, paced(anyOf(licenses), steadyPerSecond, b.steadyTime())); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) costOfLoad(ctx context.Context, s *installation, to *row, next func(conn, i int) (call, bool)) error {
	if err := s.stored(ctx); err != nil {
		return err
	}
	before := s.cpuSeconds()
	o, err := drive(ctx, validation(s.url, s.apiKey), 0, next)
	if err == nil {
		err = s.stored(ctx)
	}
	to.add((s.cpuSeconds() - before) / float64(max(o.requests, 1)) * 10_000)
	return err
}

// paced has next asked so many times a second, over all connections, until span is over.
func paced(next func(conn, i int) (call, bool), perSecond int, span time.Duration) func(conn, i int) (call, bool) {
	began := time.Now()
	return func(conn, i int) (call, bool) {
		due := time.Duration(i*connections+conn) * time.Second / time.Duration(perSecond)
		time.Sleep(due - time.Since(began))
		c, more := next(conn, i)
		return c, more && due < span
	}
}
