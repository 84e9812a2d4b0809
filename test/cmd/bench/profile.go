//go:build unix

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/services/license"
	"github.com/latchkey-dev/latchkey/test/servers"
)

// profiledCommand starts this program as the license service with net/http/pprof on an address of its own. The shipped
// binaries have no profiler.
const profiledCommand = "profiled-license"

func serveProfiled(ctx context.Context, addr string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	server := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.ListenAndServe() }() // bench notices when nobody answers
	os.Args = []string{license.Name, "serve"}
	cfg := license.DefaultConfig()
	app.Main(app.Service{
		Name: license.Name, Config: &cfg, Migrations: license.Migrations, Queues: bus.AllQueues(),
		New: func(deps app.Deps) (app.Running, error) { return license.New(cfg, deps) },
	})
}

// profileTime is how long the profiled process is under load.
const profileTime = 10 * time.Second

// profiles writes where warm validations, with and without a limit, fresh activations, validations that consume and
// checkouts of leases spend processor time and memory: to validate.cpu, validate.allocs, limited.cpu and so on in the
// folder of --profile.
func (b *bench) profiles(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ports, err := servers.FreePorts(1)
	if err != nil {
		return err
	}
	address := servers.Address(ports[0])
	cmd := b.license("serve", b.suite.Postgres.URL, b.suite.Process("auth").InternalURL)
	cmd.Path, cmd.Args = self, []string{self, profiledCommand, address}
	p, err := b.serveLicense(ctx, profiledCommand, cmd)
	if err != nil {
		return err
	}
	defer p.Kill()
	if err := errors.Join(b.makeMetered(ctx), b.makeFloating(ctx)); err != nil {
		return err
	}
	if err := warm(ctx, p.url, b.suite.APIKey, licenses); err != nil {
		return err
	}
	limited, err := b.newKey(ctx, 1_000_000_000, 0)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		name   string
		target target
		next   func(conn, i int) (call, bool)
	}{
		{"validate", validation(p.url, b.suite.APIKey), anyOf(licenses)},
		{"limited", validation(p.url, limited), anyOf(licenses)},
		{"activate", activation(p.url, b.suite.APIKey), b.freshDevices(licenses)},
		{"metered", metered(p.url, b.suite.APIKey), anyOf(licenses)},
		{"lease", checkout(p.url, b.suite.APIKey), b.freshDevices(licenses)},
	} {
		if err := b.profile(ctx, step.name, address, step.target, step.next); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) profile(
	ctx context.Context, name, address string, t target, next func(conn, i int) (call, bool),
) error {
	if err := b.settle(ctx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		o, err := drive(ctx, t, profileTime+time.Second, next)
		b.say("%s: %.0f/s", name, o.perSecond())
		return cmp.Or(err, o.first)
	})
	for _, kind := range []string{"profile", "allocs"} {
		g.Go(func() error {
			file := filepath.Join(b.profileDir, name+"."+strings.Replace(kind, "profile", "cpu", 1))
			return fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/%s?seconds=%d",
				address, kind, int(profileTime.Seconds())), file)
		})
	}
	return g.Wait()
}

// fetch saves what url answers.
func fetch(ctx context.Context, url, file string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", url, response.Status)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o644)
}
