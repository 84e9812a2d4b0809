package amqp

import (
	"context"
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// tickType marks what a watch sends to itself.
const (
	tickType = "latchkey.tick"
	// tickLives is bus.Silence in milliseconds.
	tickLives = "3000"
)

// Watch implements bus.Bus. Each watch has a queue of its own that vanishes with its connection.
func (b *Bus) Watch(ctx context.Context, w bus.Watch) error {
	if w.Link == nil {
		w.Link = bus.NewLink()
	}
	defer w.Link.Lose()
	return b.repeat(ctx, "watch", func(ctx context.Context, conn *amqp091.Connection) error {
		return b.watch(ctx, conn, &watcher{Watch: w, bus: b})
	})
}

// watcher is one subscription of a watch.
type watcher struct {
	bus.Watch
	bus *Bus
	// alive is false from a gap until the next tick.
	alive bool
}

func (b *Bus) watch(ctx context.Context, conn *amqp091.Connection, w *watcher) error {
	var ch *amqp091.Channel
	var deliveries <-chan amqp091.Delivery
	var queue string
	err := ask(ctx, conn, func() (err error) {
		if ch, err = conn.Channel(); err != nil {
			return err
		}
		deliveries, queue, err = subscribeWatch(ch, w.Types)
		return err
	})
	if err != nil {
		return err
	}
	defer closeChannel(conn, ch) // deletes the queue
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go b.tick(ctx, queue)
	defer w.gap()
	check := time.NewTicker(bus.TickEvery)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case d, more := <-deliveries:
			if !more {
				return errCancelled
			}
			w.receive(d)
		case <-check.C:
			if !w.Link.Alive() {
				w.gap()
			}
		}
	}
}

func subscribeWatch(ch *amqp091.Channel, types []string) (<-chan amqp091.Delivery, string, error) {
	q, err := ch.QueueDeclare("", false, true, true, false, amqp091.Table{"x-queue-type": "classic"})
	if err != nil {
		return nil, "", fmt.Errorf("declare a queue to watch from: %w", err)
	}
	for _, pattern := range types {
		if err := ch.QueueBind(q.Name, pattern, invalidations, false, nil); err != nil {
			return nil, "", fmt.Errorf("bind a watch to %s: %w", pattern, err)
		}
	}
	for _, t := range event.Types() {
		if !event.IsTelemetry(t) || !bus.MatchesAny(types, t) {
			continue
		}
		if err := ch.QueueBind(q.Name, t, exchange, false, nil); err != nil {
			return nil, "", fmt.Errorf("bind a watch to %s: %w", t, err)
		}
	}
	deliveries, err := ch.Consume(q.Name, "", true, true, false, false, nil)
	return deliveries, q.Name, err
}

// receive relies on the order of the queue: when a tick has come, every event routed before it has been shown.
func (w *watcher) receive(d amqp091.Delivery) {
	if d.Type == tickType {
		if !w.alive || !w.Link.Alive() {
			w.OnGap()
		}
		w.alive = true
		w.Link.Tick()
		return
	}
	events, err := event.Decode(d.Body)
	if err != nil {
		w.bus.log.Error("a watched message cannot be read; forgetting everything", "type", d.Type, "error", err)
		w.OnGap()
	}
	for _, e := range events {
		w.OnEvent(e)
	}
}

func (w *watcher) gap() {
	w.Link.Lose()
	if w.alive {
		w.alive = false
		w.OnGap()
	}
}

// tick says every second that the link lives, on the way that events take: over the publishing connection to the broker and
// back over the consuming one. Straight to the queue rather than through the exchange, so that no other queue can be bound to
// it. While the broker takes no messages there is no tick, and rightly so: no revocation could arrive either.
func (b *Bus) tick(ctx context.Context, queue string) {
	every := time.NewTicker(bus.TickEvery)
	defer every.Stop()
	t := &ticker{link: b.publishing, queue: queue}
	defer t.close()
	for {
		if err := t.send(ctx); err != nil && ctx.Err() == nil {
			b.log.DebugContext(ctx, "a watch could not tick", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// ticker sends on a channel of its own, which it opens again after the connection was lost.
type ticker struct {
	link  *link
	queue string
	conn  *amqp091.Connection
	ch    *amqp091.Channel
}

func (t *ticker) send(ctx context.Context) error {
	conn := t.link.current()
	if conn == nil || t.link.state().Blocked {
		return nil
	}
	if t.conn != conn || t.ch.IsClosed() {
		err := ask(ctx, conn, func() (err error) {
			t.ch, err = conn.Channel()
			return err
		})
		if err != nil {
			t.conn = nil
			return err
		}
		t.conn = conn
	}
	return t.ch.PublishWithContext(ctx, "", t.queue, false, false, amqp091.Publishing{Type: tickType, Expiration: tickLives})
}

func (t *ticker) close() {
	if t.ch != nil {
		_ = t.ch.Close() // with the connection it has gone already
	}
}
