package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/amqp"
	"github.com/latchkey-dev/latchkey/pkg/bus/inproc"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/services/standalone/client"
)

// house is the four services under one roof. They ask each other as they do over the network, only that the requests do not
// leave the process.
type house struct {
	settings *settings
	data     *dataDir
	log      *slog.Logger
	members  []*member
	// public and internal lead to the handlers of the services by name.
	public, internal httpx.InProcess
	local            bus.Bus       // of all members, unless there is a broker
	answered         atomic.Uint64 // requests, by all members
	closers          []func() error
}

// member is one service of the house.
type member struct {
	name       string
	addr       string
	setting    string // the environment name of addr
	migrations []db.Migrations
	// keys makes the register of what the service keeps under master keys; nil where it keeps none.
	keys    func(app.Deps) (*masterkey.Register, error)
	build   func(app.Deps) (app.Running, error)
	running app.Running
}

func newHouse(set *settings, data *dataDir, logs io.Writer) *house {
	return &house{
		settings: set,
		data:     data,
		log:      obs.NewLogger(logs, set.LogLevel, set.LogFormat),
		members:  newMembers(set),
		public:   httpx.InProcess{},
		internal: httpx.InProcess{},
	}
}

// startTimeout is how long to wait for a database or a broker.
func (h *house) startTimeout() time.Duration { return h.settings.auth.StartTimeout }

// open opens and migrates the databases and makes the services.
func (h *house) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.startTimeout())
	defer cancel()
	// The addresses by which the services ask each other lead nowhere outside.
	app.Base{Env: h.settings.Env, DatabaseURL: h.settings.DatabaseURL, AMQPURL: h.settings.AMQPURL}.WarnExposed(ctx, h.log)
	for _, m := range h.members {
		if err := h.openMember(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

func (h *house) openMember(ctx context.Context, m *member) error {
	log := h.log.With("service", m.name)
	database, err := h.openDatabase(ctx, m.name, m.migrations, log)
	if err != nil {
		return err
	}
	events, err := h.openBus(ctx, m.name, log)
	if err != nil {
		return err
	}
	deps := app.Deps{
		Log: log, DB: database, Bus: events, HTTP: h.internal,
		Clock: clock.System{}, Metrics: obs.NewMetrics(m.name), Answered: &h.answered,
	}
	if err := m.startMasterKeys(ctx, deps); err != nil {
		return err
	}
	if m.running, err = m.build(deps); err != nil {
		return err
	}
	h.public[m.name], h.internal[m.name] = m.running.Handler(), m.running.InternalHandler()
	return nil
}

func (m *member) startMasterKeys(ctx context.Context, deps app.Deps) error {
	if m.keys == nil {
		return nil
	}
	keys, err := m.keys(deps)
	if err != nil {
		return err
	}
	err = keys.Start(ctx)
	if problem := app.MasterKeyProblem(err); problem != nil {
		return app.NewSettingsError(program, hint, problem)
	}
	return err
}

func (h *house) openDatabase(ctx context.Context, name string, migrations []db.Migrations, log *slog.Logger) (*db.DB, error) {
	url := h.settings.DatabaseURL
	if url == "" {
		url = "sqlite:" + h.data.file(name+".db")
	}
	database, err := db.Open(ctx, db.Config{URL: url, Schema: name, MaxConns: h.settings.DatabaseConns, Log: log})
	if err != nil {
		return nil, err
	}
	h.closers = append(h.closers, database.Close)
	if err := database.Await(ctx); err != nil {
		return nil, err
	}
	return database, database.Migrate(ctx, migrations...)
}

// openBus connects a service to the broker, or to the one bus of the process.
func (h *house) openBus(ctx context.Context, name string, log *slog.Logger) (bus.Bus, error) {
	if h.settings.AMQPURL != "" {
		b, err := amqp.Dial(amqp.Config{URL: h.settings.AMQPURL, Name: name, Queues: bus.AllQueues(), Log: log})
		if err != nil {
			return nil, err
		}
		h.closers = append(h.closers, b.Close)
		return b, b.Await(ctx)
	}
	if h.local != nil {
		return h.local, nil
	}
	letters, err := h.openDatabase(ctx, "bus", []db.Migrations{inproc.Migrations}, log)
	if err != nil {
		return nil, err
	}
	b, err := inproc.New(inproc.Config{DB: letters, Queues: bus.AllQueues(), Log: h.log})
	if err != nil {
		return nil, err
	}
	h.closers = append(h.closers, b.Close)
	h.local = b
	return b, nil
}

// close closes buses and databases, the last one first.
func (h *house) close() error {
	var errs []error
	for i := len(h.closers) - 1; i >= 0; i-- {
		errs = append(errs, h.closers[i]())
	}
	return errors.Join(errs...)
}

// serve answers until ctx ends or something fails. It calls ready, with the addresses by service, once requests are answered.
func (h *house) serve(ctx context.Context, ready func(ctx context.Context, urls map[string]string) error) error {
	listening, err := server.Listen(h.servers()...)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx)) // goes on until the last request is answered
	g.Go(func() error { return h.work(work) })
	g.Go(func() error {
		defer stopWork()
		return listening.Serve(ctx, server.Drain{Begin: h.drain, Delay: h.settings.DrainDelay}, h.log)
	})
	g.Go(func() error {
		urls := map[string]string{}
		for _, m := range h.members {
			urls[m.name] = listening.URL(m.name)
		}
		err := h.awaitReady(ctx)
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
func (h *house) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.startTimeout())
	defer cancel()
	for _, m := range h.members {
		for {
			err := client.Ready(ctx, h.public, "http://"+m.name)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return err
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return nil
}

func (h *house) servers() (servers []server.Server) {
	for _, m := range h.members {
		servers = append(servers, server.Server{
			Name:    m.name,
			Addr:    m.addr,
			Setting: m.setting,
			Handler: m.running.Handler(),
			TLSCert: h.settings.auth.TLSCertFile,
			TLSKey:  h.settings.auth.TLSKeyFile,
		})
	}
	return servers
}

func (h *house) drain() {
	for _, m := range h.members {
		m.running.Drain()
	}
}

// work runs what the services do in the background. They end in the order of members, one after the other, so that those who
// consume events outlive those who publish their last ones.
func (h *house) work(ctx context.Context) error {
	g, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	stop := make([]context.CancelFunc, len(h.members))
	done := make([]sync.WaitGroup, len(h.members))
	for i, m := range h.members {
		var own context.Context
		own, stop[i] = context.WithCancel(failed)
		done[i].Add(1)
		g.Go(func() error {
			defer done[i].Done()
			if err := m.running.Run(own); err != nil && own.Err() == nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			return nil
		})
	}
	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	for i := range h.members {
		stop[i]()
		done[i].Wait()
	}
	return g.Wait()
}
