// Command latchkey is the whole suite in one process: auth, license, analytics and admin on ports 5001 to 5004 of
// 127.0.0.1. It needs nothing: its data is SQLite in a directory, its bus is in the process. On its first start it
// makes its secrets, a demo license, and a key for the API, and says how to use them.
//
//	latchkey [--data-dir latchkey-data]
//
// A few commands change its keys while it is stopped: see commands. latchkey import takes over licenses while it runs.
//
// With LATCHKEY_DATABASE_URL and LATCHKEY_AMQP_URL it runs on PostgreSQL and RabbitMQ. latchkey --help lists the
// settings.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/obs"
)

func main() {
	app.Tune()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for the drain
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		os.Exit(app.Fail(os.Stderr, program, err))
	}
}

// run is the program until ctx ends: what people read goes to out, the log to logs.
func run(ctx context.Context, args []string, out, logs io.Writer) (err error) {
	if dir, after, found := importArgs(args); found {
		return importLicenses(ctx, dir, after, out, logs)
	}
	if _, command := splitArgs(args); asksHelp(command) {
		return commands[command[0]].run(ctx, nil, command[1:], out)
	}
	if len(args) == 1 && (args[0] == versionCommand || args[0] == "--"+versionCommand) {
		_, err := fmt.Fprintln(out, obs.ReadBuild().Of(program)) // whatever the settings are
		return err
	}
	set, err := loadSettings(args, out)
	if errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	if err != nil {
		if slices.Equal(set.command, []string{"config", "print"}) {
			err = errors.Join(set.loaded.Print(out), err)
		}
		return err
	}
	if len(set.command) == 0 {
		return withSuite(set, logs, func(s *suite) error { return serve(ctx, s, out) })
	}
	c, args := commands[set.command[0]], set.command[1:]
	if c.unlocked {
		return c.run(ctx, &suite{settings: set, logs: logs}, args, out)
	}
	return withSuite(set, logs, func(s *suite) error { return c.run(ctx, s, args, out) })
}

// withSuite calls fn with the suite of a data directory that no other process has meanwhile.
func withSuite(set *settings, logs io.Writer, fn func(s *suite) error) (err error) {
	data, err := openDataDir(set.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	if err := set.complete(&data.secrets); err != nil {
		return err
	}
	s := newSuite(set, data, logs)
	defer func() { err = errors.Join(err, s.close()) }()
	return fn(s)
}

func serve(ctx context.Context, s *suite, out io.Writer) error {
	s.probes = s.servers(func(svc *service) http.Handler {
		return s.settings.auth.MigratingHandler(svc.Name, app.Deps{Log: s.log, Clock: clock.System{},
			Metrics: obs.NewMetrics(svc.Name)})
	})
	if err := s.open(ctx); err != nil {
		return err
	}
	return s.serve(ctx, func(ctx context.Context, urls map[string]string) error {
		c, err := prepareCredentials(ctx, s, urls)
		if err == nil {
			welcome(out, s.settings.DataDir, c)
		}
		return err
	})
}
