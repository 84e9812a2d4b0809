package app

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// lagHolds is how long a lag is shown after nothing more was done: longer than a consumer waits before it tries again,
// and than Prometheus does before it asks again. A replica that stands by has none.
const lagHolds = time.Minute

// lag is how far the consumers of this process are behind. It goes on growing while one of them stands still.
type lag struct {
	clock clock.Clock
	desc  *prometheus.Desc
	mu    sync.Mutex
	of    map[string]*progress
}

// progress is what the consumer of a queue is about.
type progress struct {
	oldest time.Time // event of the batch
	at     time.Time // of the last change
	works  bool
	final  time.Duration // lag when the batch was taken in, -1 while it is not
}

func newLag(c clock.Clock) *lag {
	return &lag{clock: c, of: map[string]*progress{}, desc: prometheus.NewDesc("latchkey_consumer_lag_seconds",
		"Age of the oldest event of the batch of a queue that is being taken in, or was within the last minute.",
		[]string{"queue"}, nil)}
}

// begun says that a batch is tried.
func (l *lag) begun(queue string, events []event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &progress{at: l.clock.Now(), works: true, final: -1}
	p.oldest = p.at
	for i := range events {
		if events[i].Time.Before(p.oldest) {
			p.oldest = events[i].Time
		}
	}
	l.of[queue] = p
}

// ended says that the batch was taken in, or that it comes again because it failed.
func (l *lag) ended(queue string, takenIn bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.of[queue]
	p.at, p.works = l.clock.Now(), false
	if takenIn {
		p.final = p.at.Sub(p.oldest)
	}
}

// behind is the lag now.
func (p *progress) behind(now time.Time) time.Duration {
	switch {
	case !p.works && now.Sub(p.at).Abs() > lagHolds: // further ahead: the clock was set back
		return 0
	case p.final >= 0:
		return p.final
	}
	return max(0, now.Sub(p.oldest)) // the clock may have been set back
}

// Describe implements prometheus.Collector.
func (l *lag) Describe(to chan<- *prometheus.Desc) { to <- l.desc }

// Collect implements prometheus.Collector.
func (l *lag) Collect(to chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	for queue, p := range l.of {
		to <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, p.behind(now).Seconds(), queue)
	}
}
