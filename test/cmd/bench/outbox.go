//go:build unix

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/proto/queues"
)

// Goals of the issue: the share of the broker's confirmed publish rate at which events go from an outbox into
// analytics' tables.
const (
	outboxFloor = 0.50
	outboxAim   = 0.70
)

const (
	// publishWindow is how many messages the comparison leaves unconfirmed.
	publishWindow = 256
	eventExchange = "latchkey.events"
)

// outbox measures how fast committed events get from license's outbox through the broker into analytics' tables.
func (b *bench) outbox(ctx context.Context) error {
	count := 50_000
	if b.quick {
		count = 10_000
	}
	ratio := b.ratio("outbox to stored row of the confirmed publish rate", outboxFloor, outboxAim)
	stored, confirmed := b.info("  outbox to stored row", "/s"), b.info("  publishing, 256 unconfirmed", "/s")
	license, analytics := b.suite.Process("license"), b.suite.Process("analytics")
	for round := range b.rounds {
		if err := b.settle(ctx); err != nil {
			return err
		}
		for _, p := range []interface{ Stop() error }{license, analytics} {
			if err := p.Stop(); err != nil {
				return err
			}
		}
		events, err := b.fillOutbox(ctx, count)
		if err != nil {
			return err
		}
		publishing, err := b.publishRate(ctx, events[0])
		if err != nil {
			return err
		}
		if err := analytics.Restart(ctx); err != nil {
			return err
		}
		if err := license.Start(); err != nil {
			return err
		}
		rate, err := b.storeRate(ctx, events)
		if err != nil {
			return err
		}
		if err := license.Await(ctx); err != nil {
			return err
		}
		ratio.add(rate / publishing)
		stored.add(rate)
		confirmed.add(publishing)
		b.say("round %d: %.0f/s stored, %.0f/s confirmed", round+1, rate, publishing)
	}
	return nil
}

// fillOutbox commits activations to license's outbox.
func (b *bench) fillOutbox(ctx context.Context, count int) ([]event.Event, error) {
	events, err := b.activations(count)
	if err != nil {
		return nil, err
	}
	return events, b.commitToOutbox(ctx, events)
}

func (b *bench) commitToOutbox(ctx context.Context, events []event.Event) error {
	rows := make([][]any, len(events))
	for i, e := range events {
		rows[i] = []any{e.ID, e.Type, e.Source, e.Subject, e.Time, string(e.Data)}
	}
	columns := []string{"id", "type", "source", "subject", "occurred_at", "data"}
	return pgx.BeginFunc(ctx, b.database, func(tx pgx.Tx) error {
		var last int64
		if err := tx.QueryRow(ctx, `SELECT coalesce(max(seq), 0) FROM license.outbox`).Scan(&last); err != nil {
			return err
		}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"license", "outbox"}, columns,
			pgx.CopyFromRows(rows)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO license.outbox_unsent SELECT seq FROM license.outbox WHERE seq > $1`, last)
		return err
	})
}

// fillQueue lets events wait in the broker while analytics is away, and has it begin with them.
func (b *bench) fillQueue(ctx context.Context, events []event.Event) error {
	analytics := b.suite.Process("analytics")
	if err := analytics.Stop(); err != nil {
		return err
	}
	if err := b.commitToOutbox(ctx, events); err != nil {
		return err
	}
	for left := 1; left > 0; {
		var err error
		if left, err = b.unsent(ctx); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := analytics.Restart(ctx); err != nil {
		return err
	}
	_, err := b.awaitStored(ctx, events[0].ID)
	return err
}

// storeRate watches the events arrive in analytics' inbox, which is written with them, and returns how many arrive per
// second between the first tenth and the last: the start of the processes is not part of it.
func (b *bench) storeRate(ctx context.Context, events []event.Event) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tenth := len(events) / 10
	begin, err := b.awaitStored(ctx, events[tenth-1].ID)
	if err != nil {
		return 0, err
	}
	end, err := b.awaitStored(ctx, events[len(events)-1].ID)
	if err != nil {
		return 0, err
	}
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	var stored int
	if err := b.database.QueryRow(ctx, `SELECT count(*) FROM analytics.inbox WHERE event_id = ANY($1::uuid[])`, ids).
		Scan(&stored); err != nil {
		return 0, err
	}
	if stored != len(events) {
		return 0, fmt.Errorf("%d of %d events are stored though the last one is", stored, len(events))
	}
	return float64(len(events)-tenth) / end.Sub(begin).Seconds(), nil
}

func (b *bench) awaitStored(ctx context.Context, id string) (time.Time, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var there bool
		if err := b.database.QueryRow(ctx, `SELECT EXISTS (SELECT FROM analytics.inbox WHERE event_id = $1)`, id).
			Scan(&there); err != nil {
			return time.Time{}, fmt.Errorf("waiting for event %s to be stored: %w", id, err)
		}
		if there {
			return time.Now(), nil
		}
		<-tick.C
	}
}

// publishRate is how many messages such as e the broker confirms per second for one publisher, on the way that events
// take: through their exchange into analytics' queue, from which nobody takes meanwhile. The queue is empty before and
// after.
func (b *bench) publishRate(ctx context.Context, e event.Event) (float64, error) {
	body, err := e.Encode()
	if err != nil {
		return 0, err
	}
	ch, err := b.broker.Channel()
	if err != nil {
		return 0, err
	}
	defer ch.Close()
	if err := ch.Confirm(false); err != nil {
		return 0, err
	}
	message := amqp.Publishing{
		ContentType:  event.ContentType,
		DeliveryMode: amqp.Persistent,
		MessageId:    e.ID,
		Type:         e.Type,
		Body:         body,
	}
	rate, err := b.publishWindows(ctx, ch, message)
	if err != nil {
		return 0, err
	}
	_, err = ch.QueuePurge(queues.Analytics().Name, false)
	return rate, err
}

// publishWindows publishes a message over and over, and waits at last for what is unconfirmed.
func (b *bench) publishWindows(ctx context.Context, ch *amqp.Channel, message amqp.Publishing) (float64, error) {
	var window [publishWindow]*amqp.DeferredConfirmation
	confirmed, start := 0, time.Now()
	var err error
	for i := 0; time.Since(start) < b.span; i++ {
		slot := &window[i%publishWindow]
		if *slot != nil {
			if ok, err := (*slot).WaitContext(ctx); err != nil || !ok {
				return 0, fmt.Errorf("the broker did not confirm: %w", err)
			}
			confirmed++
		}
		if *slot, err = ch.PublishWithDeferredConfirm(eventExchange, message.Type, true, false, message); err != nil {
			return 0, err
		}
	}
	rate := float64(confirmed) / time.Since(start).Seconds()
	for _, open := range window {
		if open == nil {
			continue
		}
		if _, err := open.WaitContext(ctx); err != nil {
			return 0, err
		}
	}
	return rate, nil
}
