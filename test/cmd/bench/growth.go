//go:build unix

package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Goals of research: the share of its rate at 1,000 licenses that an endpoint keeps at a million.
const (
	growthWarm     = 0.80
	growthCold     = 0.80
	growthActivate = 0.70
	growthAim      = 0.90
)

// few is the number of licenses that growth is measured from.
const few = 1_000

// warmUpTime bounds the warming of the many: entries live five minutes, and rounds have to fit in behind it.
const warmUpTime = 150 * time.Second

// populated is a license process over a database of its own that holds so many licenses.
type populated struct {
	replica
	count int64
	// hot is how many licenses are warm: all, unless warming took too long.
	hot   int64
	round outcome
}

// growth measures how much slower the endpoints are with a million licenses than with a thousand.
func (b *bench) growth(ctx context.Context) error {
	many := int64(1_000_000)
	if b.quick {
		many = 100_000
	}
	processes, err := b.populate(ctx, few, many)
	if err != nil {
		return err
	}
	for _, w := range processes {
		defer w.Kill()
	}
	if err := b.suite.Process("analytics").Stop(); err != nil {
		return err
	}
	for _, w := range processes {
		if err := b.heat(ctx, w); err != nil {
			return err
		}
	}
	if err := b.growthRounds(ctx, processes); err != nil {
		return err
	}
	b.info("  memory with that many warm", "MB").add(residentMB(processes[1].PID()))
	return b.suite.Process("analytics").Restart(ctx)
}

// growthRounds compares the second process with the first.
func (b *bench) growthRounds(ctx context.Context, processes []*populated) error {
	from := fmt.Sprintf(", %d licenses of %d", processes[1].count, processes[0].count)
	b.info("  licenses that were warm", "").add(float64(processes[1].hot))
	misses := b.info("  answers that came from elsewhere than they should", "")
	steps := []struct {
		ratio *row
		take  func(ctx context.Context, w *populated, round int) error
	}{
		{b.ratio("warm validate"+from, growthWarm, growthAim), b.warmRound},
		{b.ratio("cold validate"+from, growthCold, growthAim), b.coldRound},
		{b.ratio("fresh activation"+from, growthActivate, growthAim), b.activationRound},
	}
	for _, step := range steps {
		for round := range b.rounds {
			for i := range processes {
				w := processes[(i+round)%len(processes)]
				if err := step.take(ctx, w, round); err != nil {
					return err
				}
				misses.count(w.round.misses)
				if w.round.wrong > 0 {
					return fmt.Errorf("%d wrong answers: %w", w.round.wrong, w.round.first)
				}
			}
			small, large := processes[0].round.perSecond(), processes[1].round.perSecond()
			step.ratio.add(large / small)
			b.say("round %d, %s: %.0f/s and %.0f/s", round+1, step.ratio.Name, large, small)
		}
	}
	return nil
}

// populate starts a license process for each number of licenses.
func (b *bench) populate(ctx context.Context, counts ...int64) (processes []*populated, err error) {
	for _, count := range counts {
		name := fmt.Sprintf("licenses%d", count)
		database, err := b.newDatabase(ctx, b.bin, name)
		if err != nil {
			return nil, err
		}
		b.say("loading %d licenses", count)
		if err := fill(ctx, database, b.setting("MASTER_KEY"), count); err != nil {
			return nil, err
		}
		if err := b.watch(ctx, database); err != nil {
			return nil, err
		}
		license, err := b.startLicense(ctx, name, database, b.suite.Process("auth").InternalURL)
		if err != nil {
			return nil, err
		}
		processes = append(processes, &populated{replica: license, count: count})
	}
	return processes, nil
}

func (b *bench) heat(ctx context.Context, w *populated) error {
	b.say("warming %d licenses", w.count)
	if err := warm(ctx, w.url, b.suite.APIKey, few); err != nil {
		return err
	}
	o, err := drive(ctx, validation(w.url, b.suite.APIKey), warmUpTime, each(w.count))
	if err != nil || o.first != nil {
		return fmt.Errorf("warm up: %w", cmp.Or(err, o.first))
	}
	// Connections advance at about the same pace: leave out what the slowest may not have reached.
	w.hot = w.count
	if int64(o.requests) < w.count {
		w.hot = int64(o.requests) * 9 / 10
	}
	return nil
}

func (b *bench) warmRound(ctx context.Context, w *populated, _ int) (err error) {
	if err := b.settle(ctx); err != nil {
		return err
	}
	w.round, err = drive(ctx, validation(w.url, b.suite.APIKey), b.span, anyOf(w.hot))
	return err
}

func (b *bench) activationRound(ctx context.Context, w *populated, _ int) (err error) {
	if err := b.settle(ctx); err != nil {
		return err
	}
	w.round, err = drive(ctx, activation(w.url, b.suite.APIKey), b.span, b.freshDevices(w.hot))
	return err
}

// coldRound asks for few licenses that the process has just forgotten, again and again until the time is up.
func (b *bench) coldRound(ctx context.Context, w *populated, round int) error {
	w.round = outcome{}
	t := validation(w.url, b.suite.APIKey)
	t.memory = fromDatabase
	for pass := 0; w.round.took < b.span; pass++ {
		first := int64(scramble(uint64(round)<<32|uint64(pass)) % uint64(w.hot-few+1))
		if err := b.forget(ctx, w, first); err != nil {
			return err
		}
		// The last of them showed that the process has forgotten, and is warm by that.
		pick := func(conn, i int) (call, bool) {
			n := int64(conn) + int64(i)*connections
			return call{license: first + 1 + n, device: first + 1 + n}, n < few-1
		}
		o, err := drive(ctx, t, 0, pick)
		if err != nil {
			return err
		}
		w.round.requests += o.requests
		w.round.wrong += o.wrong
		w.round.misses += o.misses
		w.round.took += o.took
		w.round.first = cmp.Or(w.round.first, o.first)
	}
	return nil
}

// forget has the license processes drop few licenses behind first, by what caches hear when another replica has changed
// them.
func (b *bench) forget(ctx context.Context, w *populated, first int64) error {
	events := make([]event.Event, few)
	for i := range events {
		n := first + 1 + int64(i)
		e, err := event.New("bench", licenseID(n), time.Now(),
			&eventsv1.LicenseActivated{LicenseId: licenseID(n), HardwareId: hardwareID(n)})
		if err != nil {
			return err
		}
		events[i] = e
	}
	body, err := event.EncodeBatch(events)
	if err != nil {
		return err
	}
	message := amqp.Publishing{
		ContentType: event.ContentTypeBatch,
		MessageId:   events[0].ID,
		Type:        events[0].Type,
		Body:        body,
	}
	if err := b.channel.PublishWithContext(ctx, "latchkey.invalidations", events[0].Type, false, false,
		message); err != nil {
		return err
	}
	last := validation(w.url, b.suite.APIKey)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		answer, err := post(ctx, last, call{first + few, first + few})
		if err != nil {
			return fmt.Errorf("waiting for licenses to be forgotten: %w", err)
		}
		if strings.Contains(answer, fromDatabase) {
			return nil
		}
		<-tick.C
	}
}
