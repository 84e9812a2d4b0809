// Package amqp is package bus over RabbitMQ, 3.10 or later.
//
// Events go to the durable topic exchange latchkey.events under their type as routing key, and changes of state once
// more, packed, to latchkey.invalidations, which watches listen to. Every queue is a quorum queue with a companion
// "<queue>.dead" for its dead letters, which come through latchkey.dead.<queue>. All of it is declared by whoever
// connects and may, and is otherwise there by Definitions. Publishing and consuming have a connection each, because a
// broker in alarm stops reading from connections that publish, and acknowledgments must not wait for that.
package amqp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/internal/delivery"
)

// Config says where the broker is and what is declared on it.
type Config struct {
	// URL is amqp://user:password@host:port/vhost or amqps://. It never appears in an error or a log.
	URL string
	// Name is the service's; the broker shows it with each connection and message.
	Name string
	// Queues are all durable queues of the system, not only those of this service: events are kept for a consumer that
	// has never run.
	Queues []bus.Queue
	// Log records lost links and failed events; nil is silent.
	Log *slog.Logger
}

// Bus is a bus.Bus on a broker. It is safe for concurrent use.
type Bus struct {
	name   string
	queues map[string]bus.Queue
	// made counts the dead letters that were made of the events of each queue.
	made     map[string]*atomic.Uint64
	topology topology
	log      *slog.Logger
	// publishing also carries ticks and dead letters.
	publishing, consuming *link
	publisher             *publisher
	// letters lets one look into the dead letters at a time, since who looks holds them.
	deadLetters sync.Mutex
	ctx         context.Context // ends with Close
	stop        context.CancelFunc
	links       sync.WaitGroup
}

var _ bus.Bus = (*Bus)(nil)

// Dial returns at once and connects in the background, again and again until Close. It fails only on a bad Config.
func Dial(cfg Config) (*Bus, error) {
	if err := CheckURL(cfg.URL); err != nil {
		return nil, err
	}
	b := &Bus{name: cfg.Name, queues: map[string]bus.Queue{}, made: map[string]*atomic.Uint64{}, log: cfg.Log}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	for _, q := range cfg.Queues {
		if _, twice := b.queues[q.Name]; twice || q.Name == "" || len(q.Types) == 0 {
			return nil, fmt.Errorf("the queue %q needs a unique name and at least one type", q.Name)
		}
		b.queues[q.Name], b.made[q.Name] = q.WithDefaults(), &atomic.Uint64{}
	}
	b.topology = topologyOf(slices.Collect(maps.Values(b.queues))...)
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.publishing = newLink("publish", cfg, b.log, func(conn *amqp091.Connection) error {
		return b.ensure(conn, b.topology)
	})
	b.consuming = newLink("consume", cfg, b.log, nil)
	b.publisher = newPublisher(b)
	b.links.Go(func() { b.publishing.run(b.ctx) })
	b.links.Go(func() { b.consuming.run(b.ctx) })
	return b, nil
}

// CheckURL returns what is wrong with the URL of a broker, without asking it. The error does not show the URL.
func CheckURL(url string) error {
	if _, err := amqp091.ParseURI(url); err != nil {
		// The parser's error quotes the URL, password included.
		return errors.New("the broker URL cannot be read: expected amqp://user:password@host:port/vhost, " +
			"with special characters of the password percent-encoded")
	}
	return nil
}

// Password is what the connection to a broker is opened with: the one in its URL, or that of the driver, "guest". It is
// empty where none is used (auth_mechanism=external), and where the URL cannot be read.
func Password(url string) string {
	uri, err := amqp091.ParseURI(url)
	if err != nil || len(uri.AuthMechanism) > 0 && !slices.Contains(uri.AuthMechanism, "plain") {
		return ""
	}
	return uri.Password
}

// Await waits for the first connection; its error says what was tried. A broker that refuses user, password or virtual
// host is not waited for.
func (b *Bus) Await(ctx context.Context) error {
	ctx, cancel := b.until(ctx)
	defer cancel()
	for _, l := range []*link{b.publishing, b.consuming} {
		err := l.awaitFirst(ctx)
		if errors.Is(err, errTurnedAway) {
			return fmt.Errorf("the broker at %s refuses the connection (%s); correct user, password and virtual host "+
				"in the broker URL",
				l.address, l.state().Detail)
		}
		if err != nil {
			return fmt.Errorf("the broker at %s did not answer (%s); check that it runs and that the broker URL "+
				"names it: %w",
				l.address, l.state().Detail, err)
		}
	}
	return nil
}

// State implements bus.Bus.
func (b *Bus) State() bus.State {
	publish, consume := b.publishing.state(), b.consuming.state()
	var details []string
	for _, d := range []string{publish.Detail, consume.Detail} {
		if d != "" {
			details = append(details, d)
		}
	}
	return bus.State{
		Connected: publish.Connected && consume.Connected,
		Blocked:   publish.Blocked,
		Refused:   b.publisher.refusals.current(),
		Detail:    strings.Join(details, "; "),
	}
}

// Close ends every Consume and Watch and closes the connections. What was not acknowledged is delivered again to
// others.
func (b *Bus) Close() error {
	b.stop()
	b.links.Wait()
	return nil
}

// until returns ctx ended early by Close.
func (b *Bus) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(b.ctx, func() { cancel(bus.ErrClosed) })
	return ctx, func() { unhook(); cancel(nil) }
}

// repeat runs session on the consuming connection, again whenever it fails, until ctx ends (nil) or Close (ErrClosed).
func (b *Bus) repeat(
	caller context.Context, what string, session func(context.Context, *amqp091.Connection) error,
) error {
	ctx, cancel := b.until(caller)
	defer cancel()
	for n := 1; ; n++ {
		conn, err := b.consuming.await(ctx)
		if err == nil {
			started := time.Now()
			err = session(ctx, conn)
			if time.Since(started) > steadyAfter {
				n = 1
			}
		}
		switch {
		case caller.Err() != nil:
			return nil
		case ctx.Err() != nil:
			return bus.ErrClosed
		}
		b.log.WarnContext(ctx, "lost a subscription; subscribing again", "what", what, "error", err)
		_ = delivery.Pause(ctx, n) // when ctx ends, await says so
	}
}

func (b *Bus) known(q bus.Queue) (bus.Queue, error) {
	declared, ok := b.queues[q.Name]
	if !ok {
		return q, fmt.Errorf("bus: the queue %q was not named in Config.Queues", q.Name)
	}
	q = q.WithDefaults()
	// What the queue is was said in Config; how it is consumed is said now.
	q.Types, q.MaxBytes, q.SingleActive = declared.Types, declared.MaxBytes, declared.SingleActive
	return q, nil
}
