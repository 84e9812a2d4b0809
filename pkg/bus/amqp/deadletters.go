package amqp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// DeadLetters implements bus.Bus. When an event becomes a dead letter is decided by package delivery
// (pkg/bus/internal), and how many are kept by proto/queues. While one process lists or replays the dead letters of a
// queue, another does not see those that the first has taken.
func (b *Bus) DeadLetters(queue string) bus.DeadLetters {
	return &deadLetters{bus: b, queue: queue}
}

type deadLetters struct {
	bus   *Bus
	queue string
}

// Count implements bus.DeadLetters. What another process has taken at the moment is not counted.
func (d *deadLetters) Count(ctx context.Context) (n int, err error) {
	err = d.look(ctx, func(v *visit) error {
		n = v.left
		return nil
	})
	return n, err
}

// Made implements bus.DeadLetters. What the broker itself gave up is not among them.
func (d *deadLetters) Made() uint64 {
	made, ok := d.bus.made[d.queue]
	if !ok {
		return 0
	}
	return made.Load()
}

// List implements bus.DeadLetters. It takes the dead letters and gives all of them back at once, which keeps their
// order.
func (d *deadLetters) List(ctx context.Context, limit int) ([]bus.DeadLetter, error) {
	var letters []bus.DeadLetter
	err := d.visit(ctx, func(v *visit) error {
		for len(letters) < limit {
			got, err := v.take(ctx)
			if err != nil || got == nil {
				return err
			}
			letters = append(letters, letter(*got))
		}
		return nil
	})
	return letters, err
}

// Replay implements bus.DeadLetters.
func (d *deadLetters) Replay(ctx context.Context, ids ...string) (int, error) {
	return d.remove(ctx, ids, func(got *amqp091.Delivery) error { return d.sendBack(ctx, got) })
}

// Drop implements bus.DeadLetters.
func (d *deadLetters) Drop(ctx context.Context, ids ...string) (int, error) {
	return d.remove(ctx, ids, func(got *amqp091.Delivery) error { return got.Ack(false) })
}

// remove calls take with the named dead letters, or with all when none is named; take removes them from their queue.
func (d *deadLetters) remove(ctx context.Context, ids []string, take func(*amqp091.Delivery) error) (int, error) {
	removed := 0
	err := d.visit(ctx, func(v *visit) error {
		for {
			got, err := v.take(ctx)
			if err != nil || got == nil {
				return err
			}
			if len(ids) > 0 && !slices.Contains(ids, letterID(*got)) {
				continue
			}
			if err := take(got); err != nil {
				return err
			}
			v.held--
			removed++
		}
	})
	return removed, err
}

// sendBack removes the dead letter only after the queue has confirmed it.
func (d *deadLetters) sendBack(ctx context.Context, got *amqp091.Delivery) error {
	m := message{
		exchange: deadExchange(d.queue),
		key:      d.queue,
		Publishing: amqp091.Publishing{
			Headers: amqp091.Table{headerKey: publishedUnder(*got)}, ContentType: got.ContentType,
			DeliveryMode: amqp091.Persistent, MessageId: got.MessageId,
			Type: got.Type, Timestamp: got.Timestamp, AppId: got.AppId, Body: got.Body,
		},
	}
	if err := d.bus.publisher.send(ctx, []message{m}); err != nil {
		return err
	}
	return got.Ack(false)
}

// visit is one look into a queue of dead letters.
type visit struct {
	ch    *amqp091.Channel
	queue string
	// left is how many of the dead letters that were there at first have not been taken; later ones are not looked at,
	// so that replaying a dead letter that fails again at once comes to an end.
	left int
	// held is how many were taken and not removed.
	held int
}

// visit runs fn alone, and puts what it took and did not remove back in its place.
func (d *deadLetters) visit(ctx context.Context, fn func(*visit) error) error {
	d.bus.deadLetters.Lock()
	defer d.bus.deadLetters.Unlock()
	return d.look(ctx, func(v *visit) error { return errors.Join(fn(v), v.giveBack(ctx)) })
}

// look runs fn on its own channel.
func (d *deadLetters) look(ctx context.Context, fn func(*visit) error) error {
	if _, ok := d.bus.queues[d.queue]; !ok {
		return fmt.Errorf("bus: there is no queue %q", d.queue)
	}
	ctx, cancel := d.bus.until(ctx)
	defer cancel()
	conn, err := d.bus.consuming.await(ctx)
	if err != nil {
		return fmt.Errorf("bus: waiting for the broker: %w", context.Cause(ctx))
	}
	return onChannel(conn, func(ch *amqp091.Channel) error {
		v := &visit{ch: ch, queue: deadQueue(d.queue)}
		if v.left, err = v.count(); err != nil {
			return err
		}
		return fn(v)
	})
}

// take gets one dead letter, nil when there are no more.
func (v *visit) take(ctx context.Context) (*amqp091.Delivery, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if v.left == 0 {
		return nil, nil
	}
	got, ok, err := v.ch.Get(v.queue, false)
	if err != nil || !ok {
		return nil, err
	}
	v.left--
	v.held++
	return &got, nil
}

// giveBack returns what is held, all at once, which keeps the order. The broker puts it back on its own time; waiting
// for that spares the next look a queue that seems empty.
func (v *visit) giveBack(ctx context.Context) error {
	if err := v.ch.Nack(0, true, true); err != nil { // tag 0 stands for all
		return err
	}
	for range 100 { // a second in all
		if ready, err := v.count(); err != nil || ready >= v.held {
			return err
		}
		if clock.Sleep(ctx, 10*time.Millisecond) != nil {
			return nil
		}
	}
	return nil // another process is looking at them
}

func (v *visit) count() (int, error) {
	q, err := v.ch.QueueDeclarePassive(v.queue, true, false, false, false, nil)
	if err != nil {
		return 0, fmt.Errorf("bus: look into %s: %w", v.queue, err)
	}
	return q.Messages, nil
}
