package amqp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

const (
	// window is how many messages of one call are unconfirmed at a time.
	window = 512
	// confirmTimeout bounds a call whose context is more patient. A broker in alarm confirms nothing.
	confirmTimeout = 10 * time.Second
	// publishChannels is how many calls publish at the same time; further ones wait for them.
	publishChannels = 4
)

// Publish implements bus.Publisher. It fails at once while there is no connection or the broker takes no messages.
//
// Messages to the queues are mandatory: one that reaches no queue comes back. That is an error only when one of the
// known queues wants its type, which means that the queue has gone; of other types, such as apikey.created, nobody need
// keep a copy.
func (b *Bus) Publish(ctx context.Context, events []event.Event) error {
	msgs, err := messages(events, b.name)
	if err != nil {
		return err
	}
	packed, err := invalidationsOf(events, b.name)
	if err != nil {
		return err
	}
	msgs = append(msgs, packed...)
	return b.publisher.refusedTypes(ctx, msgs, b.publisher.send(ctx, msgs))
}

type publisher struct {
	bus      *Bus
	refusals refusals
	// slots holds one entry per channel that is not in use, nil where it must be opened first.
	slots chan *confirmChannel
}

func newPublisher(b *Bus) *publisher {
	p := &publisher{bus: b, slots: make(chan *confirmChannel, publishChannels)}
	for range publishChannels {
		p.slots <- nil
	}
	return p
}

// send returns nil when the broker has confirmed every message.
func (p *publisher) send(ctx context.Context, msgs []message) error {
	if len(msgs) == 0 {
		return nil
	}
	ctx, cancel := p.bus.until(ctx)
	defer cancel()
	ctx, cancelTimeout := context.WithTimeout(ctx, confirmTimeout)
	defer cancelTimeout()
	if s := p.bus.publishing.state(); !s.Connected || s.Blocked {
		return fmt.Errorf("publish: %s", s.Detail)
	}
	var c *confirmChannel
	select {
	case c = <-p.slots:
	case <-ctx.Done():
		return fmt.Errorf("publish: waiting for a channel: %w", context.Cause(ctx))
	}
	c, err := p.usable(ctx, c)
	if err != nil {
		p.slots <- nil
		return fmt.Errorf("publish: %w", err)
	}
	err = c.send(ctx, msgs)
	if !c.broken { // what came back is of this call, also where another message was not taken
		err = errors.Join(err, p.missing(ctx, c))
	}
	p.slots <- c.orNil()
	if err != nil {
		return fmt.Errorf("publish: %w", p.handleRefusal(ctx, c.conn, err))
	}
	return nil
}

// usable returns c, or a new channel when c is of an earlier connection.
func (p *publisher) usable(ctx context.Context, c *confirmChannel) (*confirmChannel, error) {
	conn := p.bus.publishing.current()
	if conn == nil {
		return nil, amqp091.ErrClosed
	}
	if c != nil && c.conn == conn && !c.ch.IsClosed() {
		return c, nil
	}
	type opened struct {
		c   *confirmChannel
		err error
	}
	// A caller in a hurry gives up the wait, not the connection.
	done := make(chan opened, 1)
	go func() {
		c, err := openConfirmChannel(context.WithoutCancel(ctx), conn)
		done <- opened{c, err}
	}()
	select {
	case o := <-done:
		return o.c, o.err
	case <-ctx.Done():
		go func() {
			if o := <-done; o.c != nil {
				_ = o.c.ch.Close()
			}
		}()
		return nil, fmt.Errorf("opening a channel: %w", context.Cause(ctx))
	}
}

// missing is an error when a message came back that a known queue should have taken; the queues are declared again
// first.
func (p *publisher) missing(ctx context.Context, c *confirmChannel) error {
	returned := c.returned
	c.returned = nil
	var keys []string
	for _, r := range returned {
		if p.bus.wanted(r) {
			keys = append(keys, r.RoutingKey)
			continue
		}
		p.bus.log.Debug("no queue is bound for an event", "type", r.RoutingKey, "event_id", r.MessageId)
	}
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	p.bus.log.Error("events came back because a queue or its binding has gone; declaring the queues again",
		"types", keys, "remedy", "if this goes on, import RabbitMQ's definitions again")
	p.refusals.note(&amqp091.Error{Code: amqp091.NoRoute, Reason: "no queue is bound for " + keys[0]})
	return &bus.RefusedError{Types: keys, Err: errors.Join(errCameBack, p.redeclare(ctx, c.conn))}
}

var errCameBack = errors.New("they came back, as no queue was bound for them")

// redeclare waits before it brings the queues back. A queue that reappears within milliseconds takes over the consumers
// of the deleted one, but RabbitMQ (3.10 at least) then drops their messages as seen; after the wait they have been
// told.
func (p *publisher) redeclare(ctx context.Context, conn *amqp091.Connection) error {
	if err := clock.Sleep(ctx, time.Second); err != nil {
		return err
	}
	return ask(ctx, conn, func() error { return p.bus.ensure(conn, p.bus.topology) })
}

// wanted reports whether a returned message should have found a queue: a dead letter always, an event when a known
// queue wants its type.
func (b *Bus) wanted(r amqp091.Return) bool {
	if r.Exchange != exchange {
		return true
	}
	for _, q := range b.queues {
		if q.Wants(r.RoutingKey) {
			return true
		}
	}
	return false
}

// confirmChannel is used by one goroutine at a time.
type confirmChannel struct {
	conn *amqp091.Connection
	ch   *amqp091.Channel
	// returns is larger than window, and emptied whenever a confirm has come: the broker sends a return before the
	// confirm of the same message, and the library reads both in turn, so it never blocks on a full channel.
	returns  chan amqp091.Return
	returned []amqp091.Return
	// closed says why the broker has closed the channel.
	closed chan *amqp091.Error
	broken bool
}

func openConfirmChannel(ctx context.Context, conn *amqp091.Connection) (*confirmChannel, error) {
	var ch *amqp091.Channel
	err := ask(ctx, conn, func() (err error) {
		if ch, err = conn.Channel(); err != nil {
			return err
		}
		return ch.Confirm(false)
	})
	if err != nil {
		return nil, err
	}
	return &confirmChannel{
		conn: conn, ch: ch, returns: ch.NotifyReturn(make(chan amqp091.Return, 2*window)),
		closed: ch.NotifyClose(make(chan *amqp091.Error, 1)),
	}, nil
}

// send publishes msgs and waits for all confirms, so that the channel is clean for the next call, unless the link is
// lost or ctx ends. It returns the first failure.
func (c *confirmChannel) send(ctx context.Context, msgs []message) error {
	var failed error
	var pending []*amqp091.DeferredConfirmation
	for part := range slices.Chunk(msgs, window/2) {
		published, err := c.write(part)
		if err != nil {
			err = c.why(err)
			c.discard()
			return errors.Join(failed, err)
		}
		failed = cmp.Or(failed, c.awaitAll(ctx, pending))
		if c.broken {
			return failed
		}
		pending = published
	}
	return cmp.Or(failed, c.awaitAll(ctx, pending))
}

// write hands msgs to the broker.
func (c *confirmChannel) write(msgs []message) (pending []*amqp091.DeferredConfirmation, err error) {
	pending = make([]*amqp091.DeferredConfirmation, len(msgs))
	for i, m := range msgs {
		mandatory := m.exchange != invalidations
		if pending[i], err = c.ch.PublishWithDeferredConfirm(m.exchange, m.key, mandatory, false,
			m.Publishing); err != nil {
			return nil, err
		}
	}
	return pending, nil
}

// awaitAll returns the first failure; when the channel breaks it waits for no more.
func (c *confirmChannel) awaitAll(ctx context.Context, pending []*amqp091.DeferredConfirmation) (failed error) {
	for _, confirm := range pending {
		failed = cmp.Or(failed, c.await(ctx, confirm))
		if c.broken {
			return failed
		}
	}
	return failed
}

var errRefused = errors.New("the broker did not take a message: a queue is full, or the link was lost")

// await takes a confirm. A negative one, a lost link and a timeout all mean "unknown".
func (c *confirmChannel) await(ctx context.Context, confirm *amqp091.DeferredConfirmation) error {
	taken, err := confirm.WaitContext(ctx)
	c.drainReturns()
	switch {
	case err != nil:
		c.discard() // confirms of this call may still come; the next call must not see them
		return fmt.Errorf("no confirm: %w", context.Cause(ctx))
	case !taken:
		return c.why(errRefused)
	}
	return nil
}

// why is what the broker said when it closed the channel, or err when it has not.
func (c *confirmChannel) why(err error) error {
	if !c.ch.IsClosed() {
		return err
	}
	c.broken = true
	if said := <-c.closed; said != nil { // a closed channel has something there, or nothing for good
		return said
	}
	return err
}

func (c *confirmChannel) drainReturns() {
	for {
		select {
		case r, open := <-c.returns:
			if !open {
				return
			}
			c.returned = append(c.returned, r)
		default:
			return
		}
	}
}

// discard gives the channel up. Closing waits for the broker, which may be silent until the connection is given up too.
func (c *confirmChannel) discard() {
	c.broken = true
	go func() { _ = c.ch.Close() }()
}

func (c *confirmChannel) orNil() *confirmChannel {
	if c.broken {
		return nil
	}
	return c
}
