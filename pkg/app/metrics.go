package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// observe shows operators what waits: for connections to the database, and for the bus to confirm it.
func (c *Core) observe() {
	c.Metrics.Registerer().MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "latchkey_database_waiting_calls", Help: "Calls that wait for a connection to the database.",
		}, func() float64 { return float64(c.DB.Load().Waiting) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "latchkey_database_refused_calls_total",
			Help: "Calls answered 503 because no connection to the database came free in time.",
		}, func() float64 { return float64(c.DB.Load().Refused) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "latchkey_database_connections_in_use", Help: "Connections to the database that are in use.",
		}, func() float64 { return float64(c.DB.Stats().InUse) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "latchkey_outbox_unsent_events",
			Help: "Events that wait in the outbox; -1 while the database does not answer.",
		}, func() float64 { return countWithin(c.Outbox.Pending) }),
	)
}

// ObserveDeadLetters shows operators how many events the consumer of a queue could not take in: those that lie there,
// and those that were ever made, since what lies there is bounded. Alarm on the first one.
func (d Deps) ObserveDeadLetters(queue string) {
	letters := d.Bus.DeadLetters(queue)
	d.Metrics.Registerer().MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "latchkey_dead_letters",
		Help:        "Events that the consumer of the queue could not take in; -1 while they cannot be counted.",
		ConstLabels: prometheus.Labels{"queue": queue},
	}, func() float64 { return countWithin(letters.Count) }), prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "latchkey_dead_letters_made_total",
		Help: "Events that this process made dead letters of the queue, also those that were replayed or " +
			"dropped since.",
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
