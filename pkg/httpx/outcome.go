package httpx

import (
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/pkg/obs"
)

// outcome is how a request ended. There are as many as routes have statuses, so what they look like in the log and in the
// metrics is prepared once.
type outcome struct {
	method, route string
	status        int
}

// trace is where requests of one outcome leave theirs.
type trace struct {
	level   slog.Level
	lines   slog.Handler        // has the attributes of the outcome
	line    *obs.Line           // for requests of which there is no more to say; nil where only lines can write it
	latency prometheus.Observer // nil without metrics
}

// traces are read by every request and hardly ever written: a map is replaced, never changed.
type traces struct {
	known atomic.Pointer[map[outcome]*trace]
	mu    sync.Mutex // held to replace it
}

func (e *edge) trace(o outcome) *trace {
	if known := e.traces.known.Load(); known != nil && (*known)[o] != nil {
		return (*known)[o]
	}
	e.traces.mu.Lock()
	defer e.traces.mu.Unlock()
	more := map[outcome]*trace{}
	if known := e.traces.known.Load(); known != nil {
		more = maps.Clone(*known)
	}
	if more[o] == nil {
		more[o] = e.newTrace(o)
		e.traces.known.Store(&more)
	}
	return more[o]
}

func (e *edge) newTrace(o outcome) *trace {
	level := levelOf(o.route, o.status)
	attrs := []slog.Attr{slog.String("method", o.method), slog.String("route", o.route), slog.Int("status", o.status)}
	t := &trace{level: level, lines: e.lines.WithAttrs(attrs), line: obs.NewLine(e.lines, level, logMessage, attrs...)}
	if e.Metrics != nil {
		t.latency = e.Metrics.Requests(o.method, o.route, o.status)
	}
	return t
}
