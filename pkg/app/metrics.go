package app

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// unknown is what a gauge shows while it cannot be read.
const unknown = -1

// observe shows operators what waits: for connections to the database, and for the bus to confirm it.
func (c *Core) observe() {
	c.gauge("latchkey_database_waiting_calls", "Calls that wait for a connection to the database.",
		func() float64 { return float64(c.DB.Load().Waiting) })
	c.counter("latchkey_database_refused_calls_total",
		"Calls answered 503 because no connection to the database came free in time.",
		func() uint64 { return c.DB.Load().Refused })
	c.gauge("latchkey_database_connections_in_use", "Connections to the database that are in use.",
		func() float64 { return float64(c.DB.Stats().InUse) })
	c.gauge("latchkey_database_connections_max", "Maximum number of connections to the database.",
		func() float64 { return float64(c.DB.Stats().MaxOpenConnections) })
	c.gauge("latchkey_outbox_unsent_events", "Events that wait in the outbox; -1 while the database does not answer.",
		func() float64 { return countWithin(c.Outbox.Pending) })
	c.gauge("latchkey_outbox_oldest_unsent_seconds",
		"Age of the oldest event that waits in the outbox, 0 when none does; -1 while the database does not answer.",
		func() float64 { return within(c.oldestUnsent) })
	c.gauge("latchkey_maintenance", "1 in maintenance mode, in which every change is answered 503; otherwise 0.",
		func() float64 {
			if c.base.Maintenance {
				return 1
			}
			return 0
		})
	c.observeTraces()
	c.gauge("latchkey_bus_connected", "1 while the broker accepts events, otherwise 0.", func() float64 {
		if s := c.Bus.State(); s.Connected && !s.Blocked {
			return 1
		}
		return 0
	})
}

func (c *Core) oldestUnsent(ctx context.Context) (float64, error) {
	at, err := c.Outbox.Oldest(ctx)
	if err != nil || at.IsZero() {
		return 0, err
	}
	return max(0, c.Clock.Now().Sub(at).Seconds()), nil
}

// observeTraces shows zeros where traces are off.
func (c *Core) observeTraces() {
	traces := c.Traces
	if traces == nil {
		traces = &trace.Recorder{}
	}
	for outcome, count := range map[string]*atomic.Uint64{
		"exported": &traces.Counts.Exported, "failed": &traces.Counts.Failed, "dropped": &traces.Counts.Dropped,
	} {
		c.Metrics.Registerer().MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "latchkey_trace_spans_total",
			Help: "Spans of traces that the collector has taken (exported), and those lost because it did not " +
				"(failed) or because too many waited for it (dropped).",
			ConstLabels: prometheus.Labels{"outcome": outcome},
		}, func() float64 { return float64(count.Load()) }))
	}
}

func (c *Core) gauge(name, help string, value func() float64) {
	c.Metrics.Registerer().MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

func (c *Core) counter(name, help string, value func() uint64) {
	c.Metrics.Registerer().MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
		func() float64 { return float64(value()) }))
}

// ObserveCaches shows operators how often caches have what is asked for: their counts, by the name of the cache.
func (c *Core) ObserveCaches(caches map[string]func() (hits, misses uint64)) {
	for name, counts := range caches {
		for result, count := range map[string]func() float64{
			"hit":  func() float64 { hits, _ := counts(); return float64(hits) },
			"miss": func() float64 { _, misses := counts(); return float64(misses) },
		} {
			c.Metrics.Registerer().MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name:        "latchkey_cache_lookups_total",
				Help:        "Look-ups in a cache, by whether it had the value.",
				ConstLabels: prometheus.Labels{"cache": name, "result": result},
			}, count))
		}
	}
}

// ObserveDeadLetters shows operators how many events the consumer of a queue could not take in: those that lie there,
// and those that were ever made, since what lies there is bounded. Alarm on the first one.
func (d Deps) ObserveDeadLetters(queue string) {
	letters := d.Bus.DeadLetters(queue)
	d.Metrics.Registerer().MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "latchkey_dead_letters",
		Help:        "Events that the consumer of the queue could not process; -1 while they cannot be counted.",
		ConstLabels: prometheus.Labels{"queue": queue},
	}, func() float64 { return countWithin(letters.Count) }), prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "latchkey_dead_letters_made_total",
		Help: "Events that this process made dead letters of the queue, also those that were replayed or " +
			"dropped since.",
		ConstLabels: prometheus.Labels{"queue": queue},
	}, func() float64 { return float64(letters.Made()) }))
}

func countWithin(count func(context.Context) (int, error)) float64 {
	return within(func(ctx context.Context) (float64, error) {
		n, err := count(ctx)
		return float64(n), err
	})
}

// within reads a gauge, and gives up before the scrape does.
func within(read func(context.Context) (float64, error)) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	n, err := read(ctx)
	if err != nil {
		return unknown
	}
	return n
}
