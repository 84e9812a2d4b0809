package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// quietTime is how long a connection that keeps alive must have been quiet before a draining server closes it: its
	// client may be sending the next request, which would be cut off.
	quietTime = 750 * time.Millisecond
	// drainTimeout is what the requests under way may still take once no connection is accepted any more.
	drainTimeout = 20 * time.Second
)

// Drain says how a server ends.
type Drain struct {
	// Begin turns readiness off; nil does nothing.
	Begin func()
	// Delay is how long the server goes on as before, except that each answer asks its client to let go of the
	// connection: time for load balancers to notice.
	Delay time.Duration
}

// drainer ends servers so that every connection ends with a complete answer or is refused.
type drainer struct {
	Drain
	log       *slog.Logger
	draining  atomic.Bool
	lastIdle  atomic.Pointer[time.Time] // when a client last got an answer and kept the connection
	accepting sync.WaitGroup
	servers   []*http.Server
	listeners []*listener
}

// handler asks the clients of a draining server to let go of their connections.
func (d *drainer) handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// connState notes the clients that keep a connection although the server drains: their request came before.
func (d *drainer) connState(_ net.Conn, s http.ConnState) {
	if s == http.StateIdle && d.draining.Load() {
		d.noteIdle()
	}
}

// noteIdle keeps the monotonic time too: the clock may be set while the server drains.
func (d *drainer) noteIdle() {
	now := time.Now()
	d.lastIdle.Store(&now)
}

// run ends the servers: it tells everyone, stops accepting, answers what was accepted, and closes what is quiet.
func (d *drainer) run(ctx context.Context) error {
	d.noteIdle()
	d.draining.Store(true)
	if d.Begin != nil {
		d.Begin()
	}
	time.Sleep(d.Delay)
	for _, l := range d.listeners {
		l.refuse()
	}
	d.accepting.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	d.awaitQuiet(ctx)
	return d.shutdown(ctx)
}

// awaitQuiet gives each connection that keeps alive the time for one more request, its last.
func (d *drainer) awaitQuiet(ctx context.Context) {
	for {
		rest := quietTime - time.Since(*d.lastIdle.Load())
		if rest <= 0 || ctx.Err() != nil {
			return
		}
		time.Sleep(rest)
	}
}

// shutdown closes the quiet connections and cuts what is not done in time, which is no failure of who was told to end.
func (d *drainer) shutdown(ctx context.Context) error {
	var g errgroup.Group
	for _, s := range d.servers {
		g.Go(func() error {
			err := s.Shutdown(ctx)
			if err == nil {
				return nil
			}
			s.Close()
			if ctx.Err() == nil {
				return err
			}
			d.log.WarnContext(ctx, "requests that took too long were cut off", "waited", drainTimeout)
			return nil
		})
	}
	return g.Wait()
}
