// Package bus carries events between services. Two implementations keep the same promise: pkg/bus/amqp
// over RabbitMQ and pkg/bus/inproc within one process; pkg/bus/bustest holds both to it.
//
// The promise: an event that Publish confirmed reaches every declared queue whose patterns match it, at least once, in
// the order of publishing, until its handler has committed it or it lies in that queue's dead letters.
package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/event"
)

// ErrClosed is returned by every call on a bus after Close.
var ErrClosed = errors.New("bus: closed")

// Bus is everything a service does with the bus. State and Close aside, calls block until done or until ctx ends.
type Bus interface {
	Publisher
	// Consume hands the events of q to h until ctx ends (nil) or the bus is closed (ErrClosed). q must be one of the
	// queues that the bus was made with. When several consume one queue they share it, or with SingleActive one of them
	// works and the others stand by.
	Consume(ctx context.Context, q Queue, h Handler) error
	// Watch shows events to w until ctx ends (nil) or the bus is closed (ErrClosed). Nothing is kept for a watch that
	// is away: see Watch.OnGap.
	Watch(ctx context.Context, w Watch) error
	// Vouch tells all watches every second, while taken returns true, that the events of service are being accepted,
	// until ctx ends (nil) or the bus is closed (ErrClosed): see Source.
	Vouch(ctx context.Context, service string, taken func(context.Context) bool) error
	// DeadLetters is the store of what the named queue gave up.
	DeadLetters(queue string) DeadLetters
	State() State
	Close() error
}

// Publisher sends events.
type Publisher interface {
	// Publish returns nil only when every event is safe with every queue that wants it. An error means "unknown": some
	// may have arrived, so send all of them again; consumers drop what they have seen. A RefusedError says which of
	// them not to send again with the others.
	Publish(ctx context.Context, events []event.Event) error
}

// RefusedError is the error of a Publish when the bus takes no events of some types: a permission is missing, or a
// queue that wants them. The others may have arrived or not, and can be sent without these.
type RefusedError struct {
	// Types are those of events of the call, one at least.
	Types []string
	// Err is what the bus said.
	Err error
}

// Error names the types.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("events of type %s are refused: %v", strings.Join(e.Types, ", "), e.Err)
}

// Unwrap returns what the bus said.
func (e *RefusedError) Unwrap() error { return e.Err }

// Queue is a durable queue and how it is consumed. Name, Types, SingleActive and the bounds must not change once the
// queue exists on a broker.
type Queue struct {
	// Name is for example "analytics.events".
	Name string
	// Types are topic patterns: words between dots, * stands for one word, # for any number of words.
	Types []string
	// BatchSize is about how many events a Handler gets at once; 0 means 100.
	BatchSize int
	// BatchWait is the longest wait for a batch to fill; 0 means 20 ms.
	BatchWait time.Duration
	// MaxAttempts is how often an event may fail by itself before it becomes a dead letter; 0 means 5.
	MaxAttempts int
	// SingleActive lets one consumer work at a time, in all processes together.
	SingleActive bool
	// MaxBytes bounds what waits in the queue; beyond it Publish fails. 0 means 1 GiB. The in-process bus holds
	// publishers back instead and keeps nothing.
	MaxBytes int64
	// MaxDeadLetters and MaxDeadLetterBytes bound the dead letters, so that no flood of bad events fills a disk; beyond
	// them the oldest are dropped. 0 means 10,000 and 64 MiB.
	MaxDeadLetters     int
	MaxDeadLetterBytes int64
}

// WithDefaults returns q with its zero settings replaced.
func (q Queue) WithDefaults() Queue {
	if q.BatchSize <= 0 {
		q.BatchSize = 100
	}
	if q.BatchWait <= 0 {
		q.BatchWait = 20 * time.Millisecond
	}
	if q.MaxAttempts <= 0 {
		q.MaxAttempts = 5
	}
	if q.MaxBytes <= 0 {
		q.MaxBytes = 1 << 30
	}
	if q.MaxDeadLetters <= 0 {
		q.MaxDeadLetters = 10_000
	}
	if q.MaxDeadLetterBytes <= 0 {
		q.MaxDeadLetterBytes = 64 << 20
	}
	return q
}

// Wants reports whether events of this type belong into the queue.
func (q Queue) Wants(eventType string) bool { return MatchesAny(q.Types, eventType) }

// Handler commits a batch. It must be idempotent: the same event comes again after a crash, a lost link or an error.
// nil says that all of events are committed, Rejected that all but the named ones are. After any other error the batch
// is delivered again in halves, until a single event fails Queue.MaxAttempts times, with growing pauses, and becomes a
// dead letter: one bad event among n costs about log n deliveries, and no other event is lost. An apierr of kind
// Unavailable (the database is away) counts as no attempt: it is tried forever, in halves where a deadline keeps
// passing. A panic counts as an error. A Handler must not publish to its own queue and wait for it.
type Handler func(ctx context.Context, events []event.Event) error

// Rejected is the error of a Handler that has committed its batch except for some events, which no further attempt can
// fix: the index of each in the batch, and why. They become dead letters at once; nothing is delivered again.
type Rejected map[int]error

// Error says how many events were rejected, and why the first was.
func (r Rejected) Error() string {
	first := slices.Min(slices.Collect(maps.Keys(r)))
	return fmt.Sprintf("%d events were rejected, the first one because: %v", len(r), r[first])
}

// OrNil is r as an error, nil when nothing was rejected.
func (r Rejected) OrNil() error {
	if len(r) == 0 {
		return nil
	}
	return r
}

// Watch receives events as they happen, to invalidate what a cache holds. Every watch sees every event that
// matches. The callbacks are called one at a time and must be quick.
type Watch struct {
	// Types are topic patterns as in Queue.
	Types   []string
	OnEvent func(event.Event)
	// OnGap says that events may have been missed: forget everything cached. It is called when the link is lost, and
	// again (also the very first time) before it counts as alive.
	OnGap func()
	// Link, when not nil, is kept current by the watch.
	Link *Link
}

// State is what a readiness check shows of the link to the broker.
type State struct {
	Connected bool
	// Blocked says that the broker takes no messages for the moment: an alarm on its memory or disk.
	Blocked bool
	// Refused is what the broker said when it last refused a message, of late: an exchange or a permission is missing.
	Refused string
	// Detail is a sentence for people, empty when all is well. It holds no password.
	Detail string
}

// DeadLetter is a message that a queue gave up.
type DeadLetter struct {
	// ID names it for Replay.
	ID string
	// Event is what the message carries (the first event of a batch); zero when Raw cannot be decoded.
	Event event.Event
	// Raw is the message body.
	Raw      []byte
	Reason   string
	Attempts int
	DiedAt   time.Time
}

// DeadLetters lists the events that a queue gave up, and replays or drops them.
//
// They are bounded: see Queue.MaxDeadLetters.
type DeadLetters interface {
	// Count is how many there are.
	Count(ctx context.Context) (int, error)
	// Made is how many events this process has made dead letters since it started, those that were dropped since or
	// replayed included.
	Made() uint64
	// List shows up to limit dead letters, oldest first, and leaves them where they are.
	List(ctx context.Context, limit int) ([]DeadLetter, error)
	// Replay puts the named dead letters, or all of those present when none is named, back into their queue with fresh
	// attempts, and returns how many. A dead letter is removed only after its queue has it.
	Replay(ctx context.Context, ids ...string) (int, error)
	// Drop deletes the named dead letters, or all of those present when none is named, and returns how many.
	Drop(ctx context.Context, ids ...string) (int, error)
}
