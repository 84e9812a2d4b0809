package amqp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// A tick is what a watch sends to itself, and a sign what a service sends to the watches of all.
const (
	tickPrefix = "tick."
	// deafAfter is how long a watch waits for a tick, while nothing explains that none comes, before it subscribes
	// again: an exchange that was deleted and made again has lost its bindings, which nobody is told.
	deafAfter = 2 * bus.Silence
	// tickLives is bus.Silence in milliseconds.
	tickLives = "3000"
)

// tickKey is the routing key of what a service sends to the queue of one of its watches.
func tickKey(service, queue string) string { return tickPrefix + service + "." + queue }

// signKey is the routing key of the signs of a service.
func signKey(service string) string { return tickPrefix + service }

var errDeaf = errors.New("nothing arrives, not even a watch's own tick: is the exchange " + invalidations +
	" missing, or was it made anew?")

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
	// tick is the routing key of its ticks.
	tick string
	// heard is when the last one came, at first when it subscribed.
	heard time.Time
	// alive is false from a gap until the next tick.
	alive bool
}

func (b *Bus) watch(ctx context.Context, conn *amqp091.Connection, w *watcher) error {
	var ch *amqp091.Channel
	var deliveries <-chan amqp091.Delivery
	err := ask(ctx, conn, func() (err error) {
		if ch, err = conn.Channel(); err != nil {
			return err
		}
		deliveries, err = w.subscribe(conn, ch)
		return err
	})
	if err != nil {
		return err
	}
	defer closeChannel(conn, ch) // deletes the queue
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go b.tick(ctx, w.tick, always)
	defer w.gap()
	check := time.NewTicker(bus.TickEvery)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case d, more := <-deliveries:
			if !more {
				return errCanceled
			}
			w.receive(d)
		case <-check.C:
			if !w.Link.Alive() {
				w.gap()
			}
			if w.deaf() {
				return errDeaf
			}
		}
	}
}

func (w *watcher) subscribe(conn *amqp091.Connection, ch *amqp091.Channel) (<-chan amqp091.Delivery, error) {
	q, err := ch.QueueDeclare("", false, true, true, false, amqp091.Table{"x-queue-type": "classic"})
	if err != nil {
		return nil, fmt.Errorf("declare a queue to watch from: %w", err)
	}
	w.tick = tickKey(w.bus.name, q.Name)
	for _, pattern := range append([]string{w.tick}, w.Types...) {
		if err := ch.QueueBind(q.Name, pattern, invalidations, false, nil); err != nil {
			return nil, fmt.Errorf("bind a watch to %s: %w", pattern, err)
		}
	}
	for _, t := range event.Types() {
		if !event.IsTelemetry(t) || !bus.MatchesAny(w.Types, t) {
			continue
		}
		if err := ch.QueueBind(q.Name, t, exchange, false, nil); err != nil {
			return nil, fmt.Errorf("bind a watch to %s: %w", t, err)
		}
	}
	if err := w.followSources(conn, q.Name); err != nil {
		return nil, err
	}
	w.heard = time.Now()
	return ch.Consume(q.Name, "", true, true, false, false, nil)
}

// followSources has the signs of the sources arrive. A broker with the permissions of an older version refuses that,
// which a watch survives: its caches then trust no source.
func (w *watcher) followSources(conn *amqp091.Connection, queue string) error {
	err := onChannel(conn, func(ch *amqp091.Channel) error {
		for _, service := range w.Link.Sources() {
			if err := ch.QueueBind(queue, signKey(service), invalidations, false, nil); err != nil {
				return fmt.Errorf("bind a watch to the signs of %s: %w", service, err)
			}
		}
		return nil
	})
	if hasCode(err, amqp091.AccessRefused) {
		w.bus.log.Warn("caches are kept for seconds only: import the definitions that deploy/rabbitmq/definitions.sh "+
			"prints", "error", err)
		return nil
	}
	return err
}

// deaf reports whether nothing has come for long although the broker takes what is published.
func (w *watcher) deaf() bool {
	if s := w.bus.publishing.state(); !s.Connected || s.Blocked {
		w.heard = time.Now()
	}
	return time.Since(w.heard) > deafAfter
}

// receive relies on the order of the queue: when a tick has come, every event routed before it has been shown.
func (w *watcher) receive(d amqp091.Delivery) {
	if d.RoutingKey == w.tick {
		if !w.alive || !w.Link.Alive() {
			w.OnGap()
		}
		w.alive, w.heard = true, time.Now()
		w.Link.Tick()
		return
	}
	if service, is := strings.CutPrefix(d.RoutingKey, tickPrefix); is {
		w.Link.Sign(service)
		return
	}
	r := open(d, w.Types)
	if r.poison != nil {
		w.bus.log.Error("a message to a watch is not valid; dropping everything in memory",
			"routing_key", d.RoutingKey, "error", r.poison)
		w.OnGap()
		return
	}
	for _, e := range r.events {
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

// tick says every second that the link lives, on the way that events take: over the publishing connection to the broker
// and back over the consuming one. While the broker takes no messages there is no tick, and rightly so: no revocation
// could arrive either.
func (b *Bus) tick(ctx context.Context, key string, when func(context.Context) bool) {
	every := time.NewTicker(bus.TickEvery)
	defer every.Stop()
	t := &ticker{link: b.publishing, key: key}
	defer t.close()
	for {
		if when(ctx) {
			if err := t.send(ctx); err != nil && ctx.Err() == nil {
				b.log.DebugContext(ctx, "a tick could not be sent", "key", key, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

func always(context.Context) bool { return true }

// Vouch implements bus.Bus.
func (b *Bus) Vouch(caller context.Context, service string, taken func(context.Context) bool) error {
	ctx, cancel := b.until(caller)
	defer cancel()
	b.tick(ctx, signKey(service), taken)
	if caller.Err() == nil {
		return bus.ErrClosed
	}
	return nil
}

// ticker sends on a channel of its own, which it opens again after the connection was lost.
type ticker struct {
	link *link
	key  string
	conn *amqp091.Connection
	ch   *amqp091.Channel
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
	return t.ch.PublishWithContext(ctx, invalidations, t.key, false, false, amqp091.Publishing{Expiration: tickLives})
}

func (t *ticker) close() {
	if t.ch != nil {
		_ = t.ch.Close() // with the connection it has gone already
	}
}
