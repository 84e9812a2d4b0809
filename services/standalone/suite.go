package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/amqp"
	"github.com/latchkey-dev/latchkey/pkg/bus/inproc"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/trace"
	"github.com/latchkey-dev/latchkey/pkg/trace/otlp"
	"github.com/latchkey-dev/latchkey/services/standalone/client"
)

// suite is the four services in one process. They ask each other as they do over the network, only that the requests do
// not leave the process.
type suite struct {
	settings *settings
	data     *dataDir
	logs     io.Writer
	log      *slog.Logger
	services []*service
	// public and internal lead to the handlers of the services by name.
	public, internal httpx.InProcess
	local            bus.Bus       // of all services, unless there is a broker
	claim            *db.Claim     // of the databases; nil on SQLite
	answered         atomic.Uint64 // requests, by all services
	adminKeyAttempts *guard.Attempts
	readOnly         bool            // of the databases
	probes           []server.Server // that answer while a migration runs; none where nobody serves
	closers          []func() error
	endTraces        []func()
}

func newSuite(set *settings, data *dataDir, logs io.Writer) *suite {
	s := &suite{
		settings: set,
		data:     data,
		logs:     logs,
		log:      obs.NewLogger(logs, set.LogLevel, set.LogFormat),
		services: newServices(set),
		public:   httpx.InProcess{},
		internal: httpx.InProcess{},
	}
	set.admin.KeepOwner = s.keepAdminKey
	return s
}

// busSchema is where the bus of the process keeps its dead letters.
const busSchema = "bus"

// open opens and migrates the databases and makes the services.
func (s *suite) open(ctx context.Context) error {
	// The addresses by which the services ask each other lead nowhere outside.
	app.Base{
		Env:         s.settings.Env,
		DatabaseURL: s.settings.DatabaseURL,
		AMQPURL:     s.settings.AMQPURL,
	}.WarnExposed(ctx, s.log)
	s.settings.auth.WarnMaintenance(ctx, s.log)
	s.readOnly = s.settings.auth.Maintenance
	s.adminKeyAttempts = s.settings.auth.AdminKeyAttempts(clock.System{})
	for _, svc := range s.services {
		if err := s.openService(ctx, svc); err != nil {
			return fmt.Errorf("%s: %w", svc.Name, err)
		}
	}
	return nil
}

func (s *suite) openService(ctx context.Context, svc *service) error {
	log := s.log.With("service", svc.Name)
	traces, end, err := otlp.Open(ctx, svc.Name, log)
	if err != nil {
		return err
	}
	s.endTraces = append(s.endTraces, end)
	log = traces.Logger(log)
	database, err := s.openDatabase(ctx, svc.Name, svc.Migrations, log, traces)
	if err != nil {
		return err
	}
	events, err := s.openBus(ctx, svc.Name, log)
	if err != nil {
		return err
	}
	deps := app.Deps{
		Log: log, DB: database, Bus: events, HTTP: s.internal,
		Clock: clock.System{}, Metrics: obs.NewMetrics(svc.Name), Traces: traces, Answered: &s.answered,
		AdminKeyAttempts: s.adminKeyAttempts,
	}
	if err := svc.StartMasterKeys(ctx, deps); err != nil {
		return masterKeyProblem(err)
	}
	if svc.running, err = svc.New(deps); err != nil {
		return err
	}
	svc.deps = deps
	s.public[svc.Name], s.internal[svc.Name] = svc.running.Handler(), svc.running.InternalHandler()
	return nil
}

// masterKeyProblem is err, with what to do here where a master key is missing: that of most suites no setting names.
func masterKeyProblem(err error) error {
	if problem := new(config.Problem); errors.As(err, &problem) {
		told := *problem
		told.Text += ". If no setting gave it, put back the " + secretsFile + " of the backup that the databases are of"
		return app.NewSettingsError(program, hint, &told)
	}
	return err
}

func (s *suite) openDatabase(
	ctx context.Context, name string, migrations []db.Migrations, log *slog.Logger, traces *trace.Recorder,
) (*db.DB, error) {
	start, cancel := s.settings.auth.Starting(ctx)
	defer cancel()
	database, err := db.Open(start, db.Config{
		URL:      s.databaseURL(name),
		Schema:   name,
		ReadOnly: s.readOnly,
		MaxConns: s.settings.DatabaseConns,
		Log:      log,
		Traces:   traces,
	})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, database.Close)
	if err := database.Await(start); err != nil {
		return nil, err
	}
	if err := s.claimDatabase(start, database); err != nil {
		return nil, err
	}
	return database, app.Migrate(ctx, database, migrations, log, s.probes...)
}

// databaseURL is where a service keeps its rows.
func (s *suite) databaseURL(service string) string {
	if s.settings.DatabaseURL != "" {
		return s.settings.DatabaseURL
	}
	return s.settings.sqliteURL(service)
}

// openBus connects a service to the broker, or to the one bus of the process.
func (s *suite) openBus(ctx context.Context, name string, log *slog.Logger) (bus.Bus, error) {
	if s.settings.AMQPURL != "" {
		b, err := amqp.Dial(amqp.Config{URL: s.settings.AMQPURL, Name: name, Queues: bus.AllQueues(), Log: log})
		if err != nil {
			return nil, err
		}
		s.closers = append(s.closers, b.Close)
		start, cancel := s.settings.auth.Starting(ctx)
		defer cancel()
		return s.claimed(b), b.Await(start)
	}
	if s.local != nil {
		return s.local, nil
	}
	letters, err := s.openDatabase(ctx, busSchema, []db.Migrations{inproc.Migrations}, log, nil)
	if err != nil {
		return nil, err
	}
	b, err := inproc.New(inproc.Config{DB: letters, Queues: bus.AllQueues(), Log: s.log})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, b.Close)
	s.local = s.claimed(b)
	return s.local, nil
}

// close sends the last traces, and closes buses and databases, the last one first.
func (s *suite) close() error {
	var ending sync.WaitGroup
	for _, end := range s.endTraces {
		ending.Go(end) // together: each waits for a collector that is away
	}
	ending.Wait()
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}

// serve answers until ctx ends or something fails. It calls ready, with the addresses by service, once requests are
// answered.
func (s *suite) serve(ctx context.Context, ready func(ctx context.Context, urls map[string]string) error) error {
	ports := s.servers(func(svc *service) http.Handler { return svc.running.Handler() })
	listening, err := server.Listen(ports...)
	if err != nil {
		return err
	}
	s.settings.auth.WarnPlain(ctx, s.log, ports...)
	urls := map[string]string{}
	for _, svc := range s.services {
		urls[svc.Name] = listening.URL(svc.Name)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return app.Run(ctx, listening, s, app.Options{DrainDelay: s.settings.DrainDelay, Log: s.log})
	})
	g.Go(func() error {
		err := s.awaitReady(ctx)
		if err == nil {
			err = ready(ctx, urls)
		}
		if ctx.Err() != nil {
			return nil // told to stop before it was ready
		}
		return err
	})
	return g.Wait()
}

// awaitReady waits until every service says that it can do its work.
func (s *suite) awaitReady(ctx context.Context) error {
	ctx, cancel := s.settings.auth.Starting(ctx)
	defer cancel()
	for _, svc := range s.services {
		for {
			err := client.Ready(ctx, s.public, "http://"+svc.Name)
			if err == nil {
				break
			}
			if clock.Sleep(ctx, 10*time.Millisecond) != nil {
				return err
			}
		}
	}
	return nil
}

func (s *suite) servers(handler func(*service) http.Handler) (servers []server.Server) {
	for _, svc := range s.services {
		servers = append(servers, server.Server{
			Name:    svc.Name,
			Addr:    svc.addr,
			Setting: svc.addrSetting(),
			Handler: handler(svc),
			TLSCert: s.settings.auth.TLSCertFile,
			TLSKey:  s.settings.auth.TLSKeyFile,
		})
	}
	return servers
}

// Drain makes all services unready.
func (s *suite) Drain() {
	for _, svc := range s.services {
		svc.running.Drain()
	}
}

// Run runs what the services do in the background. They end one after the other, so that those who consume events
// outlive those who publish their last ones.
func (s *suite) Run(ctx context.Context) error {
	g, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	stop := make([]context.CancelFunc, len(s.services))
	done := make([]sync.WaitGroup, len(s.services))
	for i, svc := range s.services {
		var own context.Context
		own, stop[i] = context.WithCancel(failed)
		done[i].Add(1)
		g.Go(func() error {
			defer done[i].Done()
			if err := svc.running.Run(own); err != nil && own.Err() == nil {
				return fmt.Errorf("%s: %w", svc.Name, err)
			}
			return nil
		})
	}
	claimed, release := context.WithCancel(failed)
	defer release()
	if s.claim != nil {
		g.Go(func() error { return s.explainClaim(s.claim.Keep(claimed)) })
	}
	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	for i := range s.services {
		stop[i]()
		done[i].Wait()
	}
	release()
	return g.Wait()
}
