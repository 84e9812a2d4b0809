// Package telemetry carries events that only count use, such as license.validated, from the hot path to the bus.
// Recording never waits and never fails. The price: a killed process may lose its last 250 ms. A graceful end loses
// nothing, and while the broker is away batches are spilled into a table, up to a cap (spill.go). While only the
// database is away batches go to the bus past what is spilled, in another order; what neither takes is dropped and
// counted.
package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

const (
	flushEvery = 200 * time.Millisecond
	maxBatch   = 500
	defaultCap = 500_000
	// An event with long texts has some 5 kB: the number alone would bound little.
	defaultCapBytes = 256 << 20
	// bufferSize bounds what waits in memory to be encoded, and handedOver the batches that wait to be published.
	bufferSize = 16_384
	handedOver = 16
	// together is how many of them may be published at once.
	together = 12
	// publishTimeout bounds one publish; once the process is to end, lastTimeout does.
	publishTimeout = 10 * time.Second
	lastTimeout    = time.Second
)

// Config says where events go.
type Config struct {
	// DB holds what is spilled; Migrations must have run on it.
	DB  *db.DB
	Pub bus.Publisher
	// Backlog is how many changes of state wait to be published, counted up to most. What was spilled goes after them.
	Backlog func(ctx context.Context, most int) (int, error)
	// Log records what is spilled and dropped; nil is silent.
	Log *slog.Logger
	// MaxBatch is how many events are published at once: 500, which is also the most.
	MaxBatch int
	// Cap is how many spilled events are kept, and CapBytes how many bytes of them: 500,000 and 256 MiB when zero.
	Cap, CapBytes int
}

// Recorder accepts events from any number of goroutines.
type Recorder struct {
	cfg     Config
	buffer  *buffer
	batches chan []event.Event
	dropped atomic.Uint64
	// nextLine is when the next line about lost events may be logged, nextBusyLine the next about those that found no
	// room in memory, which must not hide the others; in seconds since 1970.
	nextLine, nextBusyLine atomic.Int64

	mu sync.Mutex // held while a batch is spilled and while the table is seen to be empty
	// hasSpilled is true while spilled events wait: newer ones queue up behind them.
	hasSpilled bool
	// known is what was spilled at knownAt, and by this process since.
	known   amount
	knownAt time.Time
}

// New makes a recorder that sends nothing before Run.
func New(cfg Config) *Recorder {
	if cfg.MaxBatch <= 0 || cfg.MaxBatch > maxBatch {
		cfg.MaxBatch = maxBatch
	}
	if cfg.Cap <= 0 {
		cfg.Cap = defaultCap
	}
	if cfg.CapBytes <= 0 {
		cfg.CapBytes = defaultCapBytes
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Recorder{cfg: cfg, buffer: newBuffer(cfg.MaxBatch), batches: make(chan []event.Event, handedOver)}
}

// Record accepts an event. msg must not be changed afterwards: it is encoded later. When more arrives than can be
// encoded or stored, events are dropped and counted.
func (r *Recorder) Record(source, subject string, at time.Time, msg proto.Message) {
	if !r.buffer.put(record{source, subject, at, msg}) {
		r.drop(1, errBusy, &r.nextBusyLine)
	}
}

// errBusy is why an event found no room in memory: the processors, not the broker, are behind.
var errBusy = errors.New("more is recorded than this process can encode")

// Dropped counts the events lost since the start.
func (r *Recorder) Dropped() uint64 { return r.dropped.Load() }

// Run publishes what is recorded until ctx ends, and then what is left: to the bus or, failing that, into the table. It
// is called once, and recording must have stopped when ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	if err := r.look(ctx); err != nil && ctx.Err() == nil { // a command may end before it has looked
		r.cfg.Log.WarnContext(ctx, "the table of stored telemetry cannot be read", "error", err)
	}
	var workers sync.WaitGroup
	workers.Go(func() { r.drain(ctx) })
	workers.Go(func() {
		for batch := range r.batches {
			r.deliver(ctx, r.gather(batch))
		}
	})
	r.collect(ctx)
	close(r.batches)
	workers.Wait()
	return nil
}

// collect makes batches of what is recorded until ctx ends and the buffer is empty.
func (r *Recorder) collect(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	c := collector{Recorder: r}
	for ended := false; !ended; {
		tick := true
		select {
		case <-r.buffer.ready:
			tick = false // what does not fill a batch may wait for the tick
		case <-ticker.C:
		case <-ctx.Done():
			ended = true
		}
		c.takeIn(ctx)
		if tick {
			c.flush(ctx)
		}
	}
}

// collector is the state of collect.
type collector struct {
	*Recorder
	spare []record
	batch []event.Event
}

func (c *collector) takeIn(ctx context.Context) {
	taken := c.buffer.take(c.spare[:0])
	for _, rec := range taken {
		if c.batch = c.encode(c.batch, rec); len(c.batch) == c.cfg.MaxBatch {
			c.flush(ctx)
		}
	}
	clear(taken) // or the messages would stay in memory
	c.spare = taken
}

func (c *collector) flush(ctx context.Context) {
	if len(c.batch) > 0 {
		c.handOver(ctx, c.batch)
		c.batch = make([]event.Event, 0, c.cfg.MaxBatch)
	}
}

func (r *Recorder) encode(batch []event.Event, rec record) []event.Event {
	e, err := event.New(rec.source, rec.subject, rec.at, rec.msg)
	if err != nil {
		r.drop(1, err, &r.nextLine)
		return batch
	}
	return append(batch, e)
}

// handOver never waits for the bus: when it is slower than the recording, batches go to the table.
func (r *Recorder) handOver(ctx context.Context, batch []event.Event) {
	select {
	case r.batches <- batch:
	default:
		r.spill(ctx, batch)
	}
}

// gather takes what waits behind a batch along, so that a bus that is slow to confirm gets more at a time.
func (r *Recorder) gather(first []event.Event) [][]event.Event {
	batches := [][]event.Event{first}
	for len(batches) < together {
		select {
		case next, open := <-r.batches:
			if !open {
				return batches
			}
			batches = append(batches, next)
		default:
			return batches
		}
	}
	return batches
}

func (r *Recorder) deliver(ctx context.Context, batches [][]event.Event) {
	batches = slices.DeleteFunc(batches, func(batch []event.Event) bool { return r.queueUp(ctx, batch) })
	if len(batches) == 0 {
		return
	}
	events := batches[0] // nearly always the only one
	if len(batches) > 1 {
		events = slices.Concat(batches...)
	}
	if err := r.publish(ctx, events); err != nil {
		r.cfg.Log.WarnContext(ctx, "telemetry cannot be published and is stored for later", "error", err)
		for _, batch := range batches {
			r.spill(ctx, batch)
		}
	}
}

// publish goes on for a little while after the end of run.
func (r *Recorder) publish(run context.Context, events []event.Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(run), publishTimeout)
	defer cancel()
	unhook := context.AfterFunc(run, func() {
		last := time.NewTimer(lastTimeout)
		defer last.Stop()
		select {
		case <-last.C:
			cancel()
		case <-ctx.Done():
		}
	})
	defer unhook()
	return r.cfg.Pub.Publish(ctx, events)
}

// lineEvery is a minute in seconds. A next line that is further away is from before the clock was set back.
const lineEvery = 60

// drop counts lost events and says so, at most once in lineEvery for each of the two kinds.
func (r *Recorder) drop(n int, why error, nextLine *atomic.Int64) {
	total := r.dropped.Add(uint64(n))
	now := time.Now().Unix()
	next := nextLine.Load()
	if early := now < next && next-now <= lineEvery; !early && nextLine.CompareAndSwap(next, now+lineEvery) {
		r.cfg.Log.Error("telemetry is lost", "events", n, "total", total, "error", why)
	}
}
