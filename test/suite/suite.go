//go:build unix

// Package suite runs a whole Latchkey for tests, examples and measurements: the four services as processes of their own
// on a private PostgreSQL and RabbitMQ, with as many replicas as wanted, or the one process of the embedded default.
// Processes can be killed and started again.
package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/testkit/link"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
	"github.com/latchkey-dev/latchkey/test/servers"
)

// Options say what to run.
type Options struct {
	// Replicas of each service; 0 means 1.
	Replicas int
	// Embedded runs the standalone binary on SQLite and the in-process bus.
	Embedded bool
	// Durable keeps PostgreSQL's fsync on, for measurements.
	Durable bool
	// Root is the folder of the repository; empty means the working directory, or the first folder above with a
	// go.work.
	Root string
	// Bin is the folder of binaries to begin with, those of another version, say; empty means those of Root.
	Bin string
	// Settings are added to the environment of every process, as NAME=value.
	Settings []string
	// Clocks has the clocks of the processes go wrong when SetClock says so.
	Clocks bool
	// Progress hears what is being done; nil is silent.
	Progress io.Writer
}

// Suite is a running Latchkey.
type Suite struct {
	// Credentials of the suite. The API key may do everything without a limit. The URLs are those of the first
	// replicas.
	credentials.Credentials
	Secrets Secrets
	// Postgres and RabbitMQ are nil in the embedded suite.
	Postgres *servers.PostgreSQL
	RabbitMQ *servers.RabbitMQ
	// Processes in the order of their start: "auth", "auth-2", "license", ... or "latchkey".
	Processes []*Process
	// Dir holds the logs, credentials.json, and the embedded suite's data in latchkey-data.
	Dir string
	// Bin is the folder of the binaries built from Root.
	Bin string

	options Options
	group   *servers.Group
	links   []*link.Link // to the internal addresses of each service
}

// Start builds the binaries and starts everything; it returns when every process is ready. Stop ends it.
func Start(ctx context.Context, o Options) (*Suite, error) {
	o.Replicas = max(1, o.Replicas)
	o.Progress = cmp.Or(o.Progress, io.Discard)
	s := &Suite{options: o, Secrets: NewSecrets()}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Suite) start(ctx context.Context) (err error) {
	if s.group, err = servers.NewGroup("suite"); err != nil {
		return err
	}
	s.Dir = s.group.Dir
	s.say("Building the binaries (the first time this takes minutes)")
	if s.Bin, err = Build(ctx, s.options); err != nil {
		return err
	}
	if s.options.Embedded {
		err = s.startEmbedded(ctx)
	} else {
		err = s.startServices(ctx)
	}
	if err != nil {
		return err
	}
	if err := s.equip(ctx); err != nil {
		return err
	}
	return credentials.WriteJSON(filepath.Join(s.Dir, credentials.File), s.Credentials)
}

// Stop asks every process to end, ends the servers, and removes all data. It fails when a process did not end by
// itself.
func (s *Suite) Stop() error {
	errs := []error{s.StopProcesses()}
	s.closeLinks()
	if s.RabbitMQ != nil {
		errs = append(errs, s.RabbitMQ.Stop())
	}
	if s.Postgres != nil {
		errs = append(errs, s.Postgres.Stop())
	}
	if s.group != nil {
		errs = append(errs, s.group.Close())
	}
	return errors.Join(errs...)
}

// StopProcesses asks all processes to end at the same time, because any order must do: each goes on answering for the
// drain delay.
func (s *Suite) StopProcesses() error {
	stops := make([]func() error, len(s.Processes))
	for i, p := range s.Processes {
		stops[i] = p.Stop
	}
	return together(stops...)
}

// Process returns the named process. In the embedded suite every service is the same process.
func (s *Suite) Process(name string) *Process {
	for _, p := range s.Processes {
		if p.Name == name || p.URLs[name] != "" && s.options.Embedded {
			return p
		}
	}
	panic("suite: there is no process " + name)
}

// URLs are the public addresses of all replicas of a service.
func (s *Suite) URLs(service string) (urls []string) {
	for _, p := range s.Processes {
		if url := p.URLs[service]; url != "" {
			urls = append(urls, url)
		}
	}
	return urls
}

// ReadyURLs are the public addresses that a load balancer uses: those of the replicas that were ready since their
// start, or all where none was. One that drains is among them: a cluster learns late that it is not ready.
func (s *Suite) ReadyURLs(service string) (urls []string) {
	for _, p := range s.Processes {
		if url := p.URLs[service]; url != "" && !p.starting.Load() {
			urls = append(urls, url)
		}
	}
	if urls == nil {
		return s.URLs(service)
	}
	return urls
}

// Environ describes the suite to another program, in variables named LATCHKEY_SUITE_*.
func (s *Suite) Environ() []string {
	mode := "processes"
	if s.options.Embedded {
		mode = "embedded"
	}
	vars := map[string]string{
		"MODE": mode, "DIR": s.Dir, "CREDENTIALS": filepath.Join(s.Dir, credentials.File),
		"AUTH_URL": s.AuthURL, "LICENSE_URL": s.LicenseURL, "ANALYTICS_URL": s.AnalyticsURL, "ADMIN_URL": s.AdminURL,
		"ADMIN_SECRET": s.AdminSecret, "ADMIN_API_KEY": s.AdminAPIKey, "API_KEY": s.APIKey,
		"LICENSE_ID": s.LicenseID, "LICENSE_KEY": s.LicenseKey,
	}
	if !s.options.Embedded {
		vars["INTERNAL_PEERS"], vars["MASTER_KEY"] = s.Secrets.Peers, s.Secrets.Master
		vars["DATABASE_URL"] = s.Postgres.URL
		vars["AMQP_URL"], vars["AMQP_MANAGEMENT_URL"] = s.RabbitMQ.URL, s.RabbitMQ.ManagementURL
	}
	for _, service := range app.Services() {
		var pids, internal []string
		for _, p := range s.Processes {
			if p.URLs[service] != "" {
				pids, internal = append(pids, fmt.Sprint(p.PID())), append(internal, p.InternalURL)
			}
		}
		prefix := strings.ToUpper(service)
		if !s.options.Embedded {
			vars[prefix+"_INTERNAL_KEY"] = s.internalKey(service)
		}
		vars[prefix+"_URLS"] = strings.Join(s.URLs(service), ",")
		vars[prefix+"_PIDS"] = strings.Join(pids, ",")
		vars[prefix+"_INTERNAL_URLS"] = strings.Join(internal, ",")
	}
	var environ []string
	for name, value := range vars {
		environ = append(environ, "LATCHKEY_SUITE_"+name+"="+value)
	}
	slices.Sort(environ)
	return environ
}

func (s *Suite) say(format string, args ...any) {
	fmt.Fprintf(s.options.Progress, "==> "+format+"\n", args...)
}

// together runs the functions at the same time and joins their errors.
func together(functions ...func() error) error {
	errs := make([]error, len(functions))
	var all sync.WaitGroup
	for i, f := range functions {
		all.Go(func() { errs[i] = f() })
	}
	all.Wait()
	return errors.Join(errs...)
}

// startTimeout bounds the start of the processes: it takes seconds, on a busy computer minutes.
const startTimeout = 10 * time.Minute

// hostEnviron is what the processes see of our own environment; the settings of whoever runs the suite must not reach
// them.
func hostEnviron() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
}
