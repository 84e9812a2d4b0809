package analytics

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// metrics are what an operator watches of the consumption of events.
type metrics struct {
	events prometheus.Counter
	lag    prometheus.Gauge
	batch  prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		events: prometheus.NewCounter(prometheus.CounterOpts{Name: "latchkey_analytics_events_total",
			Help: "Events that were taken in or recognized as taken in before."}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{Name: "latchkey_analytics_consumer_lag_seconds",
			Help: "Age of the oldest event of the last batch when it was stored."}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latchkey_analytics_batch_duration_seconds",
			Help:    "Time to take in one batch of events.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}),
	}
	r.MustRegister(m.events, m.lag, m.batch)
	return m
}

// watched is h, observed.
func (m *metrics) watched(c clock.Clock, h bus.Handler) bus.Handler {
	return func(ctx context.Context, events []event.Event) error {
		began := c.Now()
		err := h(ctx, events)
		var rejected bus.Rejected
		if err != nil && !errors.As(err, &rejected) {
			return err
		}
		ended, oldest := c.Now(), time.Duration(0)
		for i := range events {
			oldest = max(oldest, ended.Sub(events[i].Time))
		}
		m.events.Add(float64(len(events)))
		m.lag.Set(oldest.Seconds())
		m.batch.Observe(ended.Sub(began).Seconds())
		return err
	}
}
