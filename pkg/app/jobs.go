package app

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
)

// Job is background work. It runs until ctx ends, and then finishes what it has begun. Every replica runs every job,
// at the same time as the others, and each job must bear that. A service lists its own in Run of its jobs.go.
type Job func(ctx context.Context) error

// pruneEvery is how often what nobody needs any more is deleted.
const pruneEvery = time.Hour

// RunJobs runs jobs and those of all services, which relay events and delete what is kept long enough, until ctx ends
// or one of them fails.
func (c *Core) RunJobs(ctx context.Context, jobs ...Job) error {
	g, ctx := errgroup.WithContext(ctx)
	jobs = append(jobs, c.WhileWritable(c.relay), c.vouch, c.Every(pruneEvery, "prune the event log", c.prune),
		c.Every(pruneEvery, "update the statistics of the database", c.DB.Optimize))
	if len(c.limiters) > 0 {
		jobs = append(jobs, c.Every(ratelimit.PruneEvery, "prune rate limits", c.pruneLimits))
	}
	for _, job := range jobs {
		g.Go(func() error { return job(ctx) })
	}
	return g.Wait()
}

// WhileWritable is a job that rests in maintenance mode, because it writes.
func (c *Core) WhileWritable(job Job) Job {
	if !c.base.Maintenance {
		return job
	}
	return func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	}
}

// Every is a job that does something at once and then each d. A failure is logged, and left to the next time. It rests
// in maintenance mode.
func (c *Core) Every(d time.Duration, what string, do func(context.Context) error) Job {
	return c.WhileWritable(c.EveryReadOnly(d, what, do))
}

// EveryReadOnly is Every for jobs that only read, which maintenance mode allows.
func (c *Core) EveryReadOnly(d time.Duration, what string, do func(context.Context) error) Job {
	return func(ctx context.Context) error {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			if err := do(ctx); err != nil && ctx.Err() == nil {
				c.Log.WarnContext(ctx, "a job failed and will be tried again", "job", what, "error", err)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	}
}

// Prune is a job that has do delete what the service alone keeps, every hour.
func (c *Core) Prune(do func(context.Context) error) Job {
	return c.Every(pruneEvery, "prune the data of the service", do)
}

// Consume is a job that has handle take in the events of q. In maintenance mode they wait there.
func (c *Core) Consume(q bus.Queue, handle bus.Handler) Job {
	return c.WhileWritable(func(ctx context.Context) error { return c.Bus.Consume(ctx, q, handle) })
}

// Cache holds what events make untrue.
type Cache interface {
	// OnEvent drops what an event has changed. Events of other types leave it alone.
	OnEvent(e event.Event)
	// OnGap drops everything: events may have been missed.
	OnGap()
}

// Watch is a job that tells caches of the events of the given types, and keeps Link current.
func (c *Core) Watch(types []string, caches ...Cache) Job {
	w := bus.Watch{
		Types: types,
		OnEvent: func(e event.Event) {
			for _, cache := range caches {
				cache.OnEvent(e)
			}
		},
		OnGap: func() {
			for _, cache := range caches {
				cache.OnGap()
			}
		},
		Link: c.Link,
	}
	return func(ctx context.Context) error { return c.Bus.Watch(ctx, w) }
}

func (c *Core) relay(ctx context.Context) error { return c.Outbox.Relay(ctx, c.Bus, c.Log) }

// vouch goes on in maintenance mode: what the relay of a replica that still takes changes does not send must be known.
func (c *Core) vouch(ctx context.Context) error { return c.Bus.Vouch(ctx, c.Name, c.Outbox.Taken()) }

func (c *Core) prune(ctx context.Context) error {
	_, err := c.Outbox.Prune(ctx, c.Clock.Now().Add(-c.base.EventLog()))
	if c.Idempotency != nil {
		err = errors.Join(err, c.Idempotency.Prune(ctx))
	}
	return err
}

func (c *Core) pruneLimits(ctx context.Context) error {
	var errs []error
	for _, limiter := range c.limiters {
		errs = append(errs, limiter.Prune(ctx))
	}
	return errors.Join(errs...)
}
