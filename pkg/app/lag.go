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
	ended  time.Duration // lag when the batch was taken in, -1 while it is not
}

func newLag(c clock.Clock) *lag {
	return &lag{clock: c, of: map[string]*progress{}, desc: prometheus.NewDesc("latchkey_consumer_lag_seconds",
		"Age of the oldest event of the batch of a queue that is being taken in, or was within the last minute.",
		[]string{"queue"}, nil)}
}

// works says that a batch is tried.
func (l *lag) works(queue string, events []event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &progress{at: l.clock.Now(), works: true, ended: -1}
	p.oldest = p.at
	for i := range events {
		if events[i].Time.Before(p.oldest) {
			p.oldest = events[i].Time
		}
	}
	l.of[queue] = p
}

// failed says that it comes again.
func (l *lag) failed(queue string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of[queue].at, l.of[queue].works = l.clock.Now(), false
}

// done says that it was taken in.
func (l *lag) done(queue string) {
	l.failed(queue)
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.of[queue]
	p.ended = p.at.Sub(p.oldest)
}

// behind is the lag now.
func (p *progress) behind(now time.Time) time.Duration {
	switch {
	case !p.works && now.Sub(p.at) > lagHolds:
		return 0
	case p.ended >= 0:
		return p.ended
	}
	return now.Sub(p.oldest)
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
