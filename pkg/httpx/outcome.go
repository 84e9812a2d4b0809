package httpx

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// outcome is how a request ended. What becomes of one whose client leaves before the answer is told in deadline.go.
type outcome struct {
	method, route string
	status        int
}

// outcomeLog is where requests of one outcome are recorded.
type outcomeLog struct {
	level   slog.Level
	log     slog.Handler        // has the attributes of the outcome
	latency prometheus.Observer // nil without metrics
}

func (m *middleware) outcomeLog(o outcome) *outcomeLog {
	if known, ok := m.outcomes.Load(o); ok {
		return known.(*outcomeLog)
	}
	log := m.Log.With("method", o.method, "route", o.route, "status", o.status).Handler()
	made := &outcomeLog{level: levelOf(o.route, o.status), log: log}
	if m.Metrics != nil {
		made.latency = m.Metrics.Requests(o.method, o.route, o.status)
	}
	known, _ := m.outcomes.LoadOrStore(o, made)
	return known.(*outcomeLog)
}
