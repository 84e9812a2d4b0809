package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
)

// shortMigration is the longest migration that nobody is told of. Most take less.
const shortMigration = 5 * time.Second

// Migrate brings the schema of d up to date for as long as ctx lasts: a migration that a timeout cuts off begins anew
// at the next start, and never ends. When it takes long, the log says so, and probes are answered on the given servers:
// an orchestrator ends a process that does not look alive.
func Migrate(ctx context.Context, d *db.DB, sources []db.Migrations, log *slog.Logger, probes ...server.Server) error {
	if len(sources) == 0 {
		return nil
	}
	stop := answerProbes(ctx, shortMigration, log, probes)
	defer stop()
	if err := d.Migrate(ctx, sources...); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}

// answerProbes serves on probes, from a moment on, until stop.
func answerProbes(ctx context.Context, after time.Duration, log *slog.Logger, probes []server.Server) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var answering sync.WaitGroup
	answering.Go(func() {
		if clock.Sleep(ctx, after) != nil {
			return
		}
		log.WarnContext(ctx, "a migration of the database runs, or is waited for; "+
			"however long it takes, do not stop it")
		listening, err := server.Listen(probes...)
		if err == nil {
			err = listening.Serve(ctx, server.Drain{}, log)
		}
		if err != nil {
			log.WarnContext(ctx, "probes are not answered while a migration runs", "error", err)
		}
	})
	return func() {
		cancel()
		answering.Wait()
	}
}

// MigratingHandler answers for a service whose database is being migrated: alive, not ready, all else unavailable.
func (b Base) MigratingHandler(service string, d Deps) http.Handler {
	e := httpx.NewEngine(b.HTTP(service, d))
	httpx.Meta(e, httpx.MetaOptions{Service: service, Ready: func(context.Context) httpx.Readiness {
		return httpx.Readiness{Dependencies: map[string]string{"database": "away: a migration runs"}}
	}})
	e.NoRoute(httpx.Wrap(func(*gin.Context) error { return apierr.ErrUnavailable }))
	return e
}

// migrating stands for the service in Base.Servers.
type migrating struct {
	Running
	handler http.Handler
}

func (m migrating) Handler() http.Handler         { return m.handler }
func (m migrating) InternalHandler() http.Handler { return m.handler }
