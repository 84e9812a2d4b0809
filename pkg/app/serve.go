package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/latchkey-dev/latchkey/pkg/bus/amqp"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/trace/otlp"
)

// finishTimeout is what background work may take after the last request, which comes DrainDelay and then at most
// drainTimeout of package server, 20 s, after SIGTERM. The grace periods in deploy allow for the sum.
const finishTimeout = 10 * time.Second

func (p *program) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the service until SIGTERM or Ctrl-C, which drain it; a second signal stops it at once",
		Long: `Run the service. It waits for the database and the broker, in any order of starting, for
LATCHKEY_START_TIMEOUT (one that refuses the user or the password ends it at once), brings the schema
up to date, however long that takes, and then answers on its public and its internal address.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.loadChecked(cmd); err != nil {
				return err
			}
			return p.withDeps(cmd.Context(),
				needs{bus: true, readOnly: p.base().Maintenance, migrations: p.Migrations}, p.serve)
		},
	}
}

// WithDeps gives an extra command what serve gives the service: it loads and checks the settings, waits for the
// database and the bus, and closes them after fn. It does not migrate.
func WithDeps(cmd *cobra.Command, fn func(ctx context.Context, d Deps) error) error {
	return runCommand(cmd, needs{bus: true}, fn)
}

// WithDatabase is WithDeps for what must be possible without a broker, too: it does not wait for the bus.
func WithDatabase(cmd *cobra.Command, fn func(ctx context.Context, d Deps) error) error {
	return runCommand(cmd, needs{}, fn)
}

func runCommand(cmd *cobra.Command, n needs, fn func(ctx context.Context, d Deps) error) error {
	p, ok := cmd.Context().Value(programKey{}).(*program)
	if !ok {
		return errors.New("app: the command is not one of Service.Commands")
	}
	if p.open != nil {
		return p.open(cmd.Context(), fn)
	}
	if err := p.loadChecked(cmd); err != nil {
		return err
	}
	return p.withDeps(cmd.Context(), n, fn)
}

// OpenDeps calls fn with what a command of a service needs.
type OpenDeps func(ctx context.Context, fn func(ctx context.Context, d Deps) error) error

// RunCommand runs a command of a service in a program that has settings of its own. The command says what is wrong with
// its arguments, an *ArgumentError, and shows its help, before it calls open.
func RunCommand(ctx context.Context, cmd *cobra.Command, args []string, out io.Writer, open OpenDeps) error {
	p := &program{}
	p.open = func(ctx context.Context, fn func(context.Context, Deps) error) error {
		p.started = true
		return open(ctx, fn)
	}
	cmd.SilenceUsage, cmd.SilenceErrors, cmd.CompletionOptions.DisableDefaultCmd = true, true, true
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(out)
	err := cmd.ExecuteContext(context.WithValue(ctx, programKey{}, p))
	if err != nil && !p.started {
		return &ArgumentError{Err: err}
	}
	return err
}

// needs are what has to be done before work begins, beside opening the database.
type needs struct {
	bus        bool // wait for it
	readOnly   bool // write nothing
	migrations []db.Migrations
}

// withDeps opens what the service needs, runs fn, and closes everything in reverse.
func (p *program) withDeps(ctx context.Context, n needs, fn func(context.Context, Deps) error) error {
	out := obs.NewBuffer(p.logs)
	defer out.Flush()
	log := p.base().Logger(out).With("service", p.Name)
	p.base().WarnExposed(ctx, log)
	if len(p.unused) > 0 {
		log.WarnContext(ctx, "variables that only other services take have no effect", "settings", p.unused)
	}
	traces, endTraces, err := otlp.Open(ctx, p.Name, log)
	if err != nil {
		return err
	}
	defer endTraces()
	log = traces.Logger(log)
	start, cancel := p.base().Starting(ctx)
	defer cancel()

	// The broker is dialed first because that happens in the background.
	broker, err := amqp.Dial(amqp.Config{URL: p.base().AMQPURL, Name: p.Name, Log: log, Queues: p.Queues})
	if err != nil {
		return err
	}
	defer broker.Close()
	data, err := p.openDB(start, db.Config{ReadOnly: n.readOnly, Log: log, Traces: traces})
	if err != nil {
		return stopped(ctx, err)
	}
	defer data.Close()
	if n.bus {
		if err := broker.Await(start); err != nil {
			return stopped(ctx, err)
		}
	}
	deps := Deps{
		Log:      log,
		DB:       data,
		Bus:      broker,
		Clock:    clock.System{},
		Metrics:  obs.NewMetrics(p.Name),
		Traces:   traces,
		Answered: new(atomic.Uint64),
	}
	probes := p.base().Servers(migrating{handler: p.base().MigratingHandler(p.Name, deps)})
	if err := Migrate(ctx, data, n.migrations, log, probes...); err != nil {
		return stopped(ctx, err)
	}
	return fn(ctx, deps)
}

// Starting ends when the wait for what a start needs has taken too long.
func (b Base) Starting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, b.StartTimeout,
		fmt.Errorf("LATCHKEY_START_TIMEOUT of %v is over", b.StartTimeout))
}

// stopped hides the failure of a start that somebody called off.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// openDB opens the database of the settings, with the rest of cfg, and waits for it.
func (p *program) openDB(ctx context.Context, cfg db.Config) (*db.DB, error) {
	b := p.base()
	cfg.URL, cfg.Schema, cfg.MaxConns = b.DatabaseURL, p.Name, b.DatabaseMaxConns
	d, err := db.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := d.Await(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// migrate is the command.
func (p *program) migrate(ctx context.Context) error {
	log := p.base().Logger(p.logs).With("service", p.Name)
	start, cancel := p.base().Starting(ctx)
	defer cancel()
	d, err := p.openDB(start, db.Config{Log: log})
	if err != nil {
		return err
	}
	defer d.Close()
	if err := Migrate(ctx, d, p.Migrations, log); err != nil {
		return err
	}
	log.Info("the database has this version's schema")
	return nil
}

// serve makes the service and runs it until ctx ends.
func (p *program) serve(ctx context.Context, d Deps) error {
	if err := p.StartMasterKeys(ctx, d); err != nil {
		return p.masterKeyError(err)
	}
	svc, err := p.New(d)
	if err != nil {
		return err
	}
	ports := p.base().Servers(svc)
	listening, err := server.Listen(ports...)
	if err != nil {
		return err
	}
	p.base().WarnPlain(ctx, d.Log, ports[0])
	if public(p.base().InternalAddr) {
		d.Log.Warn("the internal port can be reached from other computers: make sure that only the peer services can",
			"address", p.base().InternalAddr, "setting", "LATCHKEY_INTERNAL_ADDR")
	}
	p.base().WarnMaintenance(ctx, d.Log)
	d.Log.Info("ready", "public", listening.URL("public"), "internal", listening.URL("internal"),
		"version", obs.ReadBuild().Version)
	return Run(ctx, listening, svc, Options{DrainDelay: p.base().DrainFor(), Log: d.Log})
}

// Servers are the public and the internal server of a service, on the addresses of the settings. TLS is for the
// public one.
func (b *Base) Servers(svc Running) []server.Server {
	return []server.Server{
		{
			Name:    "public",
			Addr:    b.Addr,
			Setting: "LATCHKEY_ADDR",
			Handler: svc.Handler(),
			TLSCert: b.TLSCertFile,
			TLSKey:  b.TLSKeyFile,
		},
		{Name: "internal", Addr: b.InternalAddr, Setting: "LATCHKEY_INTERNAL_ADDR", Handler: svc.InternalHandler()},
	}
}

// Options of Run.
type Options struct {
	// DrainDelay is how long the service goes on answering after it has become unready.
	DrainDelay time.Duration
	Log        *slog.Logger
}

// Run serves svc on the addresses of l, with its background work beside it, until ctx ends or one of them fails. The
// work ends after the last request, so that nothing a request left behind is lost.
func Run(ctx context.Context, l *server.Listening, svc Worker, o Options) error {
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer endWork()
	serving, endServing := context.WithCancel(ctx)
	defer endServing()
	var g errgroup.Group
	g.Go(func() error {
		defer endWork()
		return l.Serve(serving, server.Drain{Begin: svc.Drain, Delay: o.DrainDelay}, o.Log)
	})
	g.Go(func() error {
		defer endServing()
		err := finish(work, svc.Run)
		if work.Err() != nil && errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	})
	err := g.Wait()
	o.Log.Info("stopped")
	return err
}

// finish runs the background work, and leaves it behind when it does not end in time after ctx has.
func finish(ctx context.Context, run func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(finishTimeout):
		return fmt.Errorf("background work did not end within %v", finishTimeout)
	}
}
