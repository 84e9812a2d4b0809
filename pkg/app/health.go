package app

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
)

// Health answers /readyz for a service, and takes it out of the load balancer when it drains. A service embeds one.
type Health struct {
	deps     Deps
	draining atomic.Bool

	mu      sync.Mutex
	checked time.Time
	last    httpx.Readiness
}

// NewHealth looks at the database and the bus of d.
func NewHealth(d Deps) *Health { return &Health{deps: d} }

// Drain makes the service unready for good.
func (h *Health) Drain() { h.draining.Store(true) }

// healthAge keeps callers of the public /readyz from making work for the database.
const healthAge = time.Second

// Ready tells how the dependencies are. Only the database is needed: without a broker the service answers from what it has, and
// sends its events later.
func (h *Health) Ready(ctx context.Context) httpx.Readiness {
	if h.draining.Load() {
		return httpx.Readiness{Dependencies: map[string]string{"service": "away: it is shutting down"}}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.checked) >= healthAge {
		h.last, h.checked = h.check(ctx), time.Now()
	}
	return h.last
}

func (h *Health) check(ctx context.Context) httpx.Readiness {
	// The answer serves others too: it must not depend on whether this caller stays.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	r := httpx.Readiness{Ready: true, Dependencies: map[string]string{"database": "ok", "broker": "ok"}}
	if err := h.deps.DB.Ping(ctx); err != nil {
		r.Ready = false
		r.Dependencies["database"] = "away: it does not answer"
	}
	switch state := h.deps.Bus.State(); {
	case !state.Connected:
		r.Dependencies["broker"] = "degraded: no connection; events wait"
	case state.Blocked:
		r.Dependencies["broker"] = "degraded: it takes no messages at the moment; events wait"
	}
	return r
}
