package httpx

import (
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// outcome is how a request ended. There are as many as routes have statuses, so what they look like in the log and in the
// metrics is prepared once.
type outcome struct {
	method, route string
	status        int
}

// exit is where requests of one outcome leave: their line in the log and their observation.
type exit struct {
	level   slog.Level
	lines   slog.Handler        // has the attributes of the outcome
	latency prometheus.Observer // nil without metrics
}

// exits are read by every request and hardly ever written: a map is replaced, never changed.
type exits struct {
	known atomic.Pointer[map[outcome]*exit]
	mu    sync.Mutex // held to replace it
}

func (e *edge) exit(o outcome) *exit {
	if known := e.exits.known.Load(); known != nil && (*known)[o] != nil {
		return (*known)[o]
	}
	e.exits.mu.Lock()
	defer e.exits.mu.Unlock()
	more := map[outcome]*exit{}
	if known := e.exits.known.Load(); known != nil {
		more = maps.Clone(*known)
	}
	if more[o] == nil {
		more[o] = e.newExit(o)
		e.exits.known.Store(&more)
	}
	return more[o]
}

func (e *edge) newExit(o outcome) *exit {
	level := levelOf(o.route, o.status)
	attrs := []slog.Attr{slog.String("method", o.method), slog.String("route", o.route), slog.Int("status", o.status)}
	x := &exit{level: level, lines: e.lines.WithAttrs(attrs)}
	if e.Metrics != nil {
		x.latency = e.Metrics.Requests(o.method, o.route, o.status)
	}
	return x
}
