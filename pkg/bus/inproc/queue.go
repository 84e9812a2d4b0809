package inproc

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/internal/delivery"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// publication is what one Publish put into one queue.
type publication struct {
	// left counts events not yet settled; the queue's mutex guards it.
	left int
	// abandoned says that the publisher has given up waiting. Its events leave the queue, since it sends them again;
	// those that a consumer has taken do not come back.
	abandoned bool
	settled   chan struct{}
	queue     *queue
}

func (p *publication) wait(ctx context.Context) error {
	select {
	case <-p.settled:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// abandon takes back what no consumer has taken. It does nothing to a publication that is settled.
func (p *publication) abandon() {
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	p.abandoned = true
	p.queue.waiting = slices.DeleteFunc(p.queue.waiting, waiting.isAbandoned)
}

// waiting is one event in a queue.
type waiting struct {
	event       event.Event
	publication *publication
}

func (w waiting) isAbandoned() bool { return w.publication.abandoned }

// queue holds events in the order of publishing. It is bounded by the publishers, who wait for what they put in and
// take it back when they give up.
type queue struct {
	bus.Queue
	// active is held by the consumer at work when only one may be.
	active chan struct{}
	// made counts the dead letters that were made.
	made atomic.Uint64

	mu      sync.Mutex
	waiting []waiting
	// more wakes one consumer; it has room for one signal.
	more chan struct{}
}

func newQueue(q bus.Queue) *queue {
	return &queue{Queue: q.WithDefaults(), active: make(chan struct{}, 1), more: make(chan struct{}, 1)}
}

// wanted picks the events that belong into the queue.
func (q *queue) wanted(events []event.Event) []event.Event {
	var wanted []event.Event
	for i := range events {
		if q.Wants(events[i].Type) {
			wanted = append(wanted, events[i])
		}
	}
	return wanted
}

// put adds events to the end of the queue.
func (q *queue) put(events []event.Event) *publication {
	p := &publication{left: len(events), settled: make(chan struct{}), queue: q}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range events {
		q.waiting = append(q.waiting, waiting{events[i], p})
	}
	q.wake()
	return p
}

func (q *queue) wake() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// consume works until ctx ends.
func (q *queue) consume(ctx context.Context, batchSize int, deliverer *delivery.Deliverer) error {
	if q.SingleActive {
		select {
		case q.active <- struct{}{}:
			defer func() { <-q.active }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer q.pass()
	for {
		batch, err := q.take(ctx, batchSize)
		if err != nil {
			return err
		}
		events := make([]event.Event, len(batch))
		for i := range batch {
			events[i] = batch[i].event
		}
		if err := deliverer.Deliver(ctx, events); err != nil {
			q.putBack(batch)
			return err
		}
		q.settle(batch)
	}
}

// pass hands a signal that a leaving consumer may have swallowed to the next one.
func (q *queue) pass() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		q.wake()
	}
}

// take waits for events and takes up to n.
func (q *queue) take(ctx context.Context, n int) ([]waiting, error) {
	for {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if batch := q.next(n); len(batch) > 0 {
			return batch, nil
		}
		select {
		case <-ctx.Done():
		case <-q.more:
		}
	}
}

func (q *queue) next(n int) []waiting {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.waiting))
	batch := slices.Clone(q.waiting[:n])
	q.waiting = q.waiting[n:]
	if len(q.waiting) > 0 {
		q.wake()
	}
	return batch
}

func (q *queue) putBack(batch []waiting) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(slices.DeleteFunc(batch, waiting.isAbandoned), q.waiting...)
}

func (q *queue) settle(batch []waiting) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range batch {
		if w.publication.left--; w.publication.left == 0 {
			close(w.publication.settled)
		}
	}
}
