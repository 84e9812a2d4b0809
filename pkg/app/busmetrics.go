package app

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// observedBus shows operators what a service publishes and consumes.
type observedBus struct {
	bus.Bus

	published *prometheus.CounterVec
	failed    prometheus.Counter
	refused   *prometheus.CounterVec
	confirmed prometheus.Histogram

	consumed *prometheus.CounterVec
	lag      *lag
	took     *prometheus.HistogramVec
}

func observeBus(d Deps) bus.Bus {
	buckets := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	b := &observedBus{
		Bus: d.Bus,
		published: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_bus_published_events_total",
			Help: "Events that the bus has confirmed, by type; those of type anomaly.* are detections.",
		}, []string{"type"}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "latchkey_bus_failed_publishes_total",
			Help: "Batches of events that the bus did not confirm; they are sent again.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_bus_refused_types_total",
			Help: "How often the broker refused events of a type, for which a permission or a queue is missing; they " +
				"are sent again.",
		}, []string{"type"}),
		confirmed: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "latchkey_bus_publish_duration_seconds",
			Help:    "Time until the bus has confirmed a batch of events.",
			Buckets: buckets,
		}),
		consumed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_consumer_events_total",
			Help: "Events of a queue that were processed, recognized as duplicates, or given up.",
		}, []string{"queue"}),
		lag: newLag(d.Clock),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "latchkey_consumer_batch_duration_seconds",
			Help:    "Time to process a batch of events of a queue.",
			Buckets: buckets,
		}, []string{"queue"}),
	}
	d.Metrics.Registerer().MustRegister(b.published, b.failed, b.refused, b.confirmed, b.consumed, b.lag, b.took)
	return b
}

// Publish implements bus.Publisher.
func (b *observedBus) Publish(ctx context.Context, events []event.Event) error {
	began := time.Now()
	if err := b.Bus.Publish(ctx, events); err != nil {
		b.failed.Inc()
		var refused *bus.RefusedError
		if errors.As(err, &refused) {
			for _, eventType := range refused.Types {
				b.refused.WithLabelValues(eventType).Inc()
			}
		}
		return err
	}
	b.confirmed.Observe(time.Since(began).Seconds())
	for i := range events {
		b.published.WithLabelValues(events[i].Type).Inc()
	}
	return nil
}

// Consume implements bus.Bus.
func (b *observedBus) Consume(ctx context.Context, q bus.Queue, h bus.Handler) error {
	return b.Bus.Consume(ctx, q, func(ctx context.Context, events []event.Event) error {
		began := time.Now()
		b.lag.begun(q.Name, events)
		err := h(ctx, events)
		var rejected bus.Rejected
		if err != nil && !errors.As(err, &rejected) {
			b.lag.ended(q.Name, false)
			return err // they come again
		}
		b.consumedBatch(q.Name, events, began)
		return err
	})
}

func (b *observedBus) consumedBatch(queue string, events []event.Event, began time.Time) {
	b.consumed.WithLabelValues(queue).Add(float64(len(events)))
	b.lag.ended(queue, true)
	b.took.WithLabelValues(queue).Observe(time.Since(began).Seconds())
}
