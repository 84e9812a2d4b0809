package amqp

import (
	"context"
	"errors"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/internal/delivery"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// maxPrefetch is the largest that the protocol knows.
const maxPrefetch = 1<<16 - 1

var errCanceled = errors.New("the broker ended the subscription: the queue has gone, or the link was lost")

// Consume implements bus.Bus.
func (b *Bus) Consume(ctx context.Context, q bus.Queue, h bus.Handler) error {
	q, err := b.known(q)
	if err != nil {
		return err
	}
	return b.repeat(ctx, q.Name, func(ctx context.Context, conn *amqp091.Connection) error {
		return b.consume(ctx, conn, q, h)
	})
}

// consume works until ctx ends or the subscription is lost. It acknowledges in the order of delivery, after the handler
// has committed, so one acknowledgment covers all before it.
func (b *Bus) consume(ctx context.Context, conn *amqp091.Connection, q bus.Queue, h bus.Handler) error {
	var ch *amqp091.Channel
	var deliveries <-chan amqp091.Delivery
	err := ask(ctx, conn, func() (err error) {
		ch, deliveries, err = b.subscribe(conn, q)
		return err
	})
	if err != nil {
		return err
	}
	defer closeChannel(conn, ch) // gives back what is not acknowledged
	ctx, cancel := untilClosed(ctx, ch)
	defer cancel()
	deliverer := &delivery.Deliverer{Queue: q, Handle: h, Store: b.store(q.Name), Log: b.log}
	batches, ended := gather(ctx, deliveries, q)
	for batch := range batches {
		if err := b.settle(ctx, deliverer, batch); err != nil {
			return err
		}
		if err := batch[len(batch)-1].Ack(true); err != nil {
			return err
		}
	}
	return <-ended
}

func (b *Bus) subscribe(conn *amqp091.Connection, q bus.Queue) (*amqp091.Channel, <-chan amqp091.Delivery, error) {
	if err := b.ensure(conn, topologyOf(q)); err != nil {
		return nil, nil, err
	}
	ch, err := conn.Channel()
	if err != nil {
		return nil, nil, err
	}
	// One batch is with the handler, one is complete, one is on its way.
	if err := ch.Qos(min(3*q.BatchSize, maxPrefetch), 0, false); err != nil {
		return nil, nil, errors.Join(err, ch.Close())
	}
	deliveries, err := ch.Consume(q.Name, "", false, false, false, false, nil)
	if err != nil {
		return nil, nil, errors.Join(err, ch.Close())
	}
	return ch, deliveries, nil
}

// untilClosed returns ctx ended early when the channel closes: what the handler is working on is then delivered to
// others.
func untilClosed(ctx context.Context, ch *amqp091.Channel) (context.Context, context.CancelFunc) {
	closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// received is a delivery and what was in it.
type received struct {
	amqp091.Delivery
	events []event.Event
	// poison says why the message is not taken in.
	poison error
}

// open reads a delivery from a queue of these types.
func open(d amqp091.Delivery, types []string) received {
	events, err := event.Decode(d.Body)
	if err == nil {
		err = checkOrigin(d, events, types)
	}
	return received{Delivery: d, events: events, poison: err}
}

// gather makes batches of what comes, one ahead of the handler, until the subscription is lost or ctx ends. Then it
// says why and closes the channel of batches; what is in none is not acknowledged.
func gather(ctx context.Context, deliveries <-chan amqp091.Delivery, q bus.Queue) (<-chan []received, <-chan error) {
	batches, ended := make(chan []received), make(chan error, 1)
	go func() {
		defer close(batches)
		for {
			if err := collect(ctx, deliveries, batches, q); err != nil {
				ended <- err
				return
			}
		}
	}()
	return batches, ended
}

// collect hands over one batch. It waits for a message, and then for more until the batch is full or old enough; an old
// one goes on growing while the handler is busy.
func collect(ctx context.Context, deliveries <-chan amqp091.Delivery, batches chan<- []received, q bus.Queue) error {
	var batch []received
	var timeout <-chan time.Time
	var ready chan<- []received // nil until the batch is full or old enough
	for size := 0; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout:
			ready = batches
		case ready <- batch:
			return nil
		case d, more := <-deliveries:
			if !more {
				return errCanceled
			}
			r := open(d, q.Types)
			batch, size = append(batch, r), size+max(1, len(r.events))
		}
		if timeout == nil {
			timer := time.NewTimer(q.BatchWait)
			defer timer.Stop()
			timeout = timer.C
		}
		if size >= q.BatchSize {
			ready, deliveries = batches, nil
		}
	}
}

// settle returns nil when every event of the batch is committed or a dead letter.
func (b *Bus) settle(ctx context.Context, deliverer *delivery.Deliverer, batch []received) error {
	var events []event.Event
	var poison []received
	for _, r := range batch {
		if r.poison != nil {
			poison = append(poison, r)
			continue
		}
		events = append(events, r.events...)
	}
	if err := b.storePoison(ctx, deliverer.Queue.Name, poison); err != nil {
		return err
	}
	return deliverer.Deliver(ctx, events)
}

// storePoison makes dead letters of messages that cannot be read or believed, as they are.
func (b *Bus) storePoison(ctx context.Context, queue string, poison []received) error {
	if len(poison) == 0 {
		return nil
	}
	dead := make([]message, len(poison))
	for i, r := range poison {
		m := message{key: publishedUnder(r.Delivery), Publishing: amqp091.Publishing{
			ContentType: r.ContentType, DeliveryMode: amqp091.Persistent, MessageId: letterID(r.Delivery),
			Type: r.Type, Timestamp: r.Timestamp, AppId: r.AppId, Body: r.Body,
		}}
		dead[i] = deadMessage(m, queue, delivery.ShortReason(r.poison.Error()), 1)
	}
	log := b.log.With("queue", queue, "messages", len(dead), "message_id", dead[0].MessageId)
	log.ErrorContext(ctx, "messages are refused and become dead letters", "error", poison[0].poison)
	return delivery.Persist(ctx, log, func() error { return b.sendDead(ctx, queue, dead) })
}

// store stores the dead letters of a queue.
func (b *Bus) store(queue string) delivery.Store {
	return func(ctx context.Context, dead []delivery.Dead) error {
		msgs := make([]message, len(dead))
		for i, d := range dead {
			m, err := singleMessage(d.Event, b.name)
			if err != nil {
				return err
			}
			msgs[i] = deadMessage(m, queue, d.Reason, d.Attempts)
		}
		return b.sendDead(ctx, queue, msgs)
	}
}

func (b *Bus) sendDead(ctx context.Context, queue string, dead []message) error {
	err := b.publisher.send(ctx, dead)
	if err == nil {
		b.made[queue].Add(uint64(len(dead)))
	}
	return err
}
