package app

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
)

// Health answers /readyz for a service, and takes it out of the load balancer when it drains. A service embeds one.
// Liveness is /healthz of pkg/httpx/meta.go, which asks for nothing: an outage restarts no process that runs.
type Health struct {
	deps     Deps
	keys     *masterkey.Register
	draining atomic.Bool
	awaited  []awaited

	mu      sync.Mutex
	checked time.Time
	last    httpx.Readiness
	// written is when the last write was tried, and writeErr how it ended.
	written  time.Time
	writeErr error
	// keysFailed is whether the log has been told that a master key is missing.
	keysFailed bool
}

// NewHealth looks at the database and the bus of d, and at keys where the service has master keys; elsewhere keys is
// nil.
func NewHealth(d Deps, keys *masterkey.Register) *Health { return &Health{deps: d, keys: keys} }

// Drain makes the service unready permanently.
func (h *Health) Drain() { h.draining.Store(true) }

// awaited is what must have been done before the service can do its work.
type awaited struct {
	done <-chan struct{}
	what string
}

// Await keeps the service unready until done is closed; what says what it waits for. It is called before Ready is.
func (h *Health) Await(done <-chan struct{}, what string) {
	h.awaited = append(h.awaited, awaited{done, what})
}

// pending is what the service still waits for. What takes a moment after the start, it waits for itself.
func (h *Health) pending(ctx context.Context) string {
	for _, a := range h.awaited {
		select {
		case <-a.done:
			continue
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		return a.what
	}
	return ""
}

// healthAge keeps callers of the public /readyz from making work for the database.
const healthAge = time.Second

// writeAge is healthAge for the check that writes: on SQLite, while it succeeds. PostgreSQL is only asked.
const writeAge = 10 * time.Second

// Ready reports the state of the dependencies. Only the database is needed, and the master keys of its rows:
// without a broker the service answers from what it has, and sends its events later.
func (h *Health) Ready(ctx context.Context) httpx.Readiness {
	if h.draining.Load() {
		return httpx.Readiness{Dependencies: map[string]string{"service": "away: it is shutting down"}}
	}
	if what := h.pending(ctx); what != "" {
		return httpx.Readiness{Dependencies: map[string]string{"service": "away: " + what}}
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	r := httpx.Readiness{Ready: true, Dependencies: map[string]string{"database": "ok", "broker": "ok"}}
	r.Maintenance = h.deps.DB.ReadOnly()
	if err := h.deps.DB.Ping(ctx); err != nil {
		r.Ready = false
		r.Dependencies["database"] = "away: it does not answer"
	} else if err := h.checkWritable(ctx); err != nil && !db.IsReadOnly(err) {
		r.Ready = false
		r.Dependencies["database"] = "away: it takes no changes; is its disk full?"
	} else {
		if err != nil { // what only reads goes on
			r.Dependencies["database"] = "degraded: it takes no changes; it is a standby, or " +
				"default_transaction_read_only is on"
		}
		if h.keys != nil {
			h.checkMasterKeys(ctx, &r)
		}
	}
	switch state := h.deps.Bus.State(); {
	case !state.Connected:
		r.Dependencies["broker"] = "degraded: no connection; events wait"
	case state.Blocked:
		r.Dependencies["broker"] = "degraded: it takes no messages at the moment; events wait"
	case state.Refused != "":
		r.Dependencies["broker"] = "degraded: it refuses messages (" + state.Refused + "); events wait"
	}
	return r
}

// checkWritable finds out now and then whether changes are taken, where the service makes any. That they are not any
// more is logged.
func (h *Health) checkWritable(ctx context.Context) error {
	d := h.deps.DB
	if d.ReadOnly() || d.Engine() == db.SQLite && h.writeErr == nil && time.Since(h.written) < writeAge {
		return h.writeErr
	}
	failedBefore := h.writeErr != nil
	h.written, h.writeErr = time.Now(), d.CheckWritable(ctx)
	if h.writeErr != nil && !failedBefore {
		h.deps.Log.ErrorContext(ctx, "the database takes no changes", "error", h.writeErr,
			"remedy", unwritableRemedy(h.writeErr))
	}
	return h.writeErr
}

// checkMasterKeys needs the database.
func (h *Health) checkMasterKeys(ctx context.Context, r *httpx.Readiness) {
	r.Dependencies["master_key"] = "ok"
	err := h.keys.Check(ctx)
	failedBefore := h.keysFailed
	if h.keysFailed = err != nil; !h.keysFailed {
		return
	}
	r.Ready = false
	r.Dependencies["master_key"] = "away: it cannot be checked"
	if missing := new(masterkey.MissingError); errors.As(err, &missing) {
		r.Dependencies["master_key"] = "away: " + missing.Error()
	}
	if !failedBefore {
		h.deps.Log.ErrorContext(ctx, "not ready", "error", err)
	}
}
