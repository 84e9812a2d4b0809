package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Observe shows operators what waits and what was lost: the connections in use, the events that the bus has not confirmed yet,
// and, where a service has telemetry, the events of it that were dropped (nil leaves that out).
func (d Deps) Observe(unsent func(context.Context) (int, error), dropped func() uint64) {
	r := d.Metrics.Registerer()
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "latchkey_database_waiting_calls", Help: "Calls that wait for a connection to the database.",
		}, func() float64 { return float64(d.DB.Load().Waiting) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "latchkey_database_refused_calls_total", Help: "Calls answered 503 because no connection to the database came free in time.",
		}, func() float64 { return float64(d.DB.Load().Refused) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "latchkey_database_connections_in_use", Help: "Connections to the database that are in use.",
		}, func() float64 { return float64(d.DB.Stats().InUse) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "latchkey_outbox_unsent_events", Help: "Events that wait in the outbox; -1 while the database does not answer.",
		}, func() float64 { return countWithin(unsent) }),
	)
	if dropped != nil {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "latchkey_telemetry_dropped_events_total", Help: "Telemetry events that found no room while the broker was away.",
		}, func() float64 { return float64(dropped()) }))
	}
}

// ObserveDeadLetters shows operators how many events the consumer of a queue could not take in: those that lie there, and those
// that were ever made, since what lies there is bounded. Alarm on the first one.
func (d Deps) ObserveDeadLetters(queue string) {
	letters := d.Bus.DeadLetters(queue)
	d.Metrics.Registerer().MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "latchkey_dead_letters",
		Help:        "Events that the consumer of the queue could not take in; -1 while they cannot be counted.",
		ConstLabels: prometheus.Labels{"queue": queue},
	}, func() float64 { return countWithin(letters.Count) }), prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name:        "latchkey_dead_letters_made_total",
		Help:        "Events that this process made dead letters of the queue, also those that were replayed or dropped since.",
		ConstLabels: prometheus.Labels{"queue": queue},
	}, func() float64 { return float64(letters.Made()) }))
}

func countWithin(count func(context.Context) (int, error)) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	n, err := count(ctx)
	if err != nil {
		return -1
	}
	return float64(n)
}
