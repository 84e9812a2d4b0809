// Package inproc is package bus within one process, for the embedded default: no broker, the same promise.
//
// It stores nothing on the way: Publish returns only after every queue that wants an event has committed it or made it
// a dead letter, and waits for a consumer to come where there is none. What keeps events across a crash is the
// publisher's outbox, which sends again what was not confirmed.
package inproc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/internal/delivery"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// Config says which queues there are and where dead letters go.
type Config struct {
	// DB keeps the dead letters; Migrations must have run on it.
	DB *db.DB
	// Queues are all durable queues of the process.
	Queues []bus.Queue
	// Log records failed events; nil is silent.
	Log *slog.Logger
}

// Bus is a bus.Bus within the process. It is safe for concurrent use.
type Bus struct {
	db     *db.DB
	log    *slog.Logger
	queues map[string]*queue
	ctx    context.Context // ends with Close
	stop   context.CancelFunc

	mu      sync.Mutex
	watches []*watch
}

var _ bus.Bus = (*Bus)(nil)

// New makes a bus. It fails when Config has no DB, or queues without their own name or a type.
func New(cfg Config) (*Bus, error) {
	if cfg.DB == nil {
		return nil, errors.New("the in-process bus needs a database for its dead letters")
	}
	b := &Bus{db: cfg.DB, log: cfg.Log, queues: map[string]*queue{}}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	for _, q := range cfg.Queues {
		if _, twice := b.queues[q.Name]; twice || q.Name == "" || len(q.Types) == 0 {
			return nil, fmt.Errorf("the queue %q needs a unique name and at least one type", q.Name)
		}
		b.queues[q.Name] = newQueue(q)
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	return b, nil
}

// State implements bus.Bus: there is no link to lose.
func (b *Bus) State() bus.State {
	if b.ctx.Err() != nil {
		return bus.State{Detail: bus.ErrClosed.Error()}
	}
	return bus.State{Connected: true}
}

// Close ends every call on the bus. What was not confirmed is for its publisher to send again.
func (b *Bus) Close() error {
	b.stop()
	return nil
}

// until returns ctx ended early by Close.
func (b *Bus) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(b.ctx, func() { cancel(bus.ErrClosed) })
	return ctx, func() { unhook(); cancel(nil) }
}

// Publish implements bus.Publisher. It holds the caller back for as long as the consumers need.
func (b *Bus) Publish(ctx context.Context, events []event.Event) error {
	for i := range events {
		if err := events[i].Check(); err != nil {
			return err
		}
	}
	ctx, cancel := b.until(ctx)
	defer cancel()
	if err := b.show(ctx, events); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	var publications []*publication
	for _, q := range b.queues {
		if wanted := q.wanted(events); len(wanted) > 0 {
			p := q.put(wanted)
			defer p.abandon()
			publications = append(publications, p)
		}
	}
	for _, p := range publications {
		if err := p.wait(ctx); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	return nil
}

// Consume implements bus.Bus.
func (b *Bus) Consume(caller context.Context, q bus.Queue, h bus.Handler) error {
	own, ok := b.queues[q.Name]
	if !ok {
		return fmt.Errorf("bus: the queue %q was not named in Config.Queues", q.Name)
	}
	ctx, cancel := b.until(caller)
	defer cancel()
	q = q.WithDefaults()
	deliverer := &delivery.Deliverer{Queue: q, Handle: h, Store: b.store(own), Log: b.log}
	err := own.consume(ctx, q.BatchSize, deliverer)
	if caller.Err() == nil && err != nil {
		return bus.ErrClosed
	}
	return nil
}

// watch is a running Watch.
type watch struct {
	bus.Watch
	events chan event.Event
	ended  <-chan struct{}
}

// Watch implements bus.Bus.
func (b *Bus) Watch(caller context.Context, w bus.Watch) error {
	ctx, cancel := b.until(caller)
	defer cancel()
	if w.Link == nil {
		w.Link = bus.NewLink()
	}
	own := &watch{Watch: w, events: make(chan event.Event, 256), ended: ctx.Done()}
	b.mu.Lock()
	b.watches = append(b.watches, own)
	b.mu.Unlock()
	defer b.forget(own)
	own.run()
	if caller.Err() == nil {
		return bus.ErrClosed
	}
	return nil
}

func (w *watch) run() {
	ticker := time.NewTicker(bus.TickEvery)
	defer ticker.Stop()
	w.OnGap() // what was cached before the watch began may be stale
	w.Link.Tick()
	for {
		select {
		case <-w.ended:
			w.Link.Lose()
			w.OnGap()
			return
		case e := <-w.events:
			w.OnEvent(e)
		case <-ticker.C:
			if !w.Link.Alive() {
				w.OnGap() // the process was frozen, or a callback was slow
			}
			w.Link.Tick()
		}
	}
}

// Vouch implements bus.Bus.
func (b *Bus) Vouch(caller context.Context, service string, taken func(context.Context) bool) error {
	ctx, cancel := b.until(caller)
	defer cancel()
	ticker := time.NewTicker(bus.TickEvery)
	defer ticker.Stop()
	for {
		if taken(ctx) {
			b.sign(service)
		}
		select {
		case <-ctx.Done(): // the caller's has ended, or the bus was closed
			if caller.Err() == nil {
				return bus.ErrClosed
			}
			return nil
		case <-ticker.C:
		}
	}
}

func (b *Bus) sign(service string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.watches {
		w.Link.Sign(service)
	}
}

func (b *Bus) forget(own *watch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watches = slices.DeleteFunc(slices.Clone(b.watches), func(w *watch) bool { return w == own })
}

// show gives events to the watches, before any queue: a revocation must not wait for the consumers.
func (b *Bus) show(ctx context.Context, events []event.Event) error {
	b.mu.Lock()
	watches := b.watches
	b.mu.Unlock()
	for _, w := range watches {
		for i := range events {
			if !bus.MatchesAny(w.Types, events[i].Type) {
				continue
			}
			select {
			case w.events <- events[i]:
			case <-w.ended:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return ctx.Err()
}
