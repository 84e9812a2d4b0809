package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/smoketest"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// configCommand is config check, and config print, which shows also those that are wrong.
func configCommand(_ context.Context, s *suite, args []string, out io.Writer) error {
	switch args[0] {
	case "print":
		return s.settings.loaded.Print(out)
	case "check":
		made := newSecrets() // those of the data directory are made the same way
		if err := s.settings.complete(&made); err != nil {
			return err
		}
		err := errors.Join(s.settings.checkDataDir(), s.settings.tryDataDir(),
			s.settings.auth.CheckCertificate(time.Now()))
		if err := app.NewSettingsError(program, hint, err); err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "the settings of %s are fine\n", program)
		return err
	}
	return &app.ArgumentError{Err: fmt.Errorf("unknown: config %s; use config check or config print", args[0])}
}

// deadLettersCommand is the command that the services have, for the queues of all of them.
func deadLettersCommand(ctx context.Context, s *suite, args []string, out io.Writer) error {
	var queues []string
	for _, q := range bus.AllQueues() {
		queues = append(queues, q.Name)
	}
	return app.RunCommand(ctx, app.DeadLetters(queues...), args, out, func(
		ctx context.Context, fn func(context.Context, app.Deps) error,
	) error {
		return s.working(ctx, func(ctx context.Context, services []*service) error { return fn(ctx, services[0].deps) })
	})
}

// republish is the command that the services have, for the event logs of all of them.
func republish(ctx context.Context, s *suite, args []string, out io.Writer) error {
	return app.RunCommand(ctx, app.Republish(program), args, out, func(
		ctx context.Context, fn func(context.Context, app.Deps) error,
	) error {
		return s.working(ctx, func(ctx context.Context, services []*service) error {
			var errs []error
			for _, svc := range services {
				fmt.Fprintf(out, "%s:\n", svc.Name)
				errs = append(errs, fn(ctx, svc.deps))
			}
			return errors.Join(errs...)
		})
	})
}

// working calls fn while the services do their work in the background, consuming events above all, and answer nobody.
func (s *suite) working(ctx context.Context, fn func(ctx context.Context, services []*service) error) error {
	return withSuite(s.settings, s.logs, func(s *suite) error {
		if err := s.open(ctx); err != nil {
			return err
		}
		work, stop := context.WithCancel(ctx)
		g, failed := errgroup.WithContext(work)
		g.Go(func() error { return s.Run(failed) })
		g.Go(func() error { defer stop(); return fn(failed, s.services) })
		return g.Wait()
	})
}

// smokeTest tries the suite that serves from the data directory.
func smokeTest(ctx context.Context, s *suite, _ []string, out io.Writer) error {
	var c credentials.Credentials
	if err := credentials.ReadJSON(filepath.Join(s.settings.DataDir, credentials.File), &c); err != nil {
		return err
	}
	tried := smoketest.Suite{
		AuthURL:     c.AuthURL,
		LicenseURL:  c.LicenseURL,
		AdminURL:    c.AdminURL,
		AdminSecret: secret.Secret(c.AdminSecret),
		AdminAPIKey: secret.Secret(c.AdminAPIKey),
	}
	if cert := s.settings.auth.TLSCertFile; cert != "" {
		var err error
		if tried.HTTP, err = server.OwnCertificate(cert); err != nil {
			return err
		}
	}
	if err := tried.Run(ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "a license was made, activated and validated")
	return err
}
