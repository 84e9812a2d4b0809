//go:build unix

package main

import (
	"context"
	"time"
)

// backlog is how many events wait for analytics while warm validations are measured beside them.
const backlog = 50_000

// Goals of validations beside a backlog: the share of their rate without one, their 99th percentile in ms, and how many
// events are stored a second meanwhile.
const (
	besideFloor, besideAim = 0.6, 0.8
	besideP99Floor         = 10.0
	drainFloor             = 1000.0
)

// backlogs measures warm validations beside a backlog on both engines.
func (b *bench) backlogs(ctx context.Context) error {
	return b.onBoth(ctx, b.besideBacklog)
}

// besideBacklog measures warm validations without a backlog, with one, and how fast that becomes less.
func (b *bench) besideBacklog(ctx context.Context, s *installation) error {
	wrong := b.atMost(row{Name: s.name + ", validate beside a backlog, wrong answers", Floor: new(0.0)})
	ratio := b.ratio(s.name+", warm validate beside a backlog of 50,000 events, of without", besideFloor, besideAim)
	p99 := b.atMost(row{Name: "  " + s.name + ", beside the backlog, p99", Unit: "ms", Floor: new(besideP99Floor)})
	drained := b.row(&row{Name: "  " + s.name + ", events stored meanwhile", Unit: "/s", Floor: new(drainFloor)})
	rest := b.info("  "+s.name+", events stored once nobody validates", "/s")
	quietP99 := b.info("  "+s.name+", without a backlog, p99", "ms")
	quietRate := b.info("  "+s.name+", validations without a backlog", "/s")
	rate := b.info("  "+s.name+", validations beside it", "/s")
	for range b.rounds {
		if err := s.stored(ctx); err != nil {
			return err
		}
		quiet, err := drive(ctx, validation(s.url, s.apiKey), b.span, anyOf(licenses))
		if err != nil {
			return err
		}
		busy, err := b.drain(ctx, s, drained, rest)
		if err != nil {
			return err
		}
		wrong.count(quiet.wrong + busy.wrong)
		ratio.add(busy.perSecond() / quiet.perSecond())
		p99.add(busy.percentile(0.99) / 1000)
		quietP99.add(quiet.percentile(0.99) / 1000)
		quietRate.add(quiet.perSecond())
		rate.add(busy.perSecond())
		b.say("%s: %.0f/s without a backlog, %.0f/s beside it", s.name, quiet.perSecond(), busy.perSecond())
	}
	return nil
}

// drain validates beside a backlog, and then waits until it is stored.
func (b *bench) drain(ctx context.Context, s *installation, meanwhile, rest *row) (outcome, error) {
	if err := s.stored(ctx); err != nil {
		return outcome{}, err
	}
	events, err := b.activations(backlog)
	if err != nil {
		return outcome{}, err
	}
	if err := s.fill(ctx, events); err != nil {
		return outcome{}, err
	}
	before, err := s.taken(ctx)
	if err != nil {
		return outcome{}, err
	}
	busy, err := drive(ctx, validation(s.url, s.apiKey), b.span, anyOf(licenses))
	if err != nil {
		return busy, err
	}
	between, err := s.taken(ctx)
	if err != nil {
		return busy, err
	}
	meanwhile.add(float64(between-before) / busy.took.Seconds())
	began := time.Now()
	if err := s.await(ctx, before+backlog); err != nil {
		return busy, err
	}
	rest.add(float64(before+backlog-between) / time.Since(began).Seconds())
	return busy, nil
}
