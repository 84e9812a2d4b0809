//go:build unix

package suite

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/testkit/link"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
	"github.com/latchkey-dev/latchkey/test/servers"
)

// Secrets of a suite, strong enough for production settings. A test that rotates one changes it here, too, so that
// Environ tells it.
type Secrets struct {
	Admin, Master string
	Identities    map[string]rpc.Identity // by service
	Peers         string                  // the setting LATCHKEY_INTERNAL_PEERS

	adminKey string // at the start
}

// NewSecrets makes all of them.
func NewSecrets() Secrets {
	master := make([]byte, 32)
	rand.Read(master)
	s := Secrets{
		Admin: rand.Text() + rand.Text(), adminKey: rand.Text() + rand.Text(),
		Master:     base64.StdEncoding.EncodeToString(master),
		Identities: map[string]rpc.Identity{},
	}
	var entries []string
	for _, service := range app.Services() {
		s.Identities[service] = rpc.NewIdentity(service)
		entries = append(entries, s.Identities[service].PeerEntry())
	}
	s.Peers = strings.Join(entries, ",")
	return s
}

// portAttempts bounds the starts with new ports, when another process was quicker to take one.
const portAttempts = 3

func (s *Suite) startServices(ctx context.Context) error {
	s.say("Starting a private PostgreSQL and RabbitMQ")
	err := together(
		func() (err error) {
			s.Postgres, err = servers.StartPostgreSQL(ctx, servers.Options{Durable: s.options.Durable})
			return err
		},
		func() (err error) { s.RabbitMQ, err = servers.StartRabbitMQ(ctx); return err },
	)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		if err := s.planServices(); err != nil {
			return err
		}
		if attempt == 1 {
			if err := s.migrate(ctx); err != nil {
				return err
			}
			s.say("Starting the services: %s", strings.Join(s.names(), ", "))
		}
		if err = s.startProcesses(ctx); err == nil {
			return s.settle(ctx)
		}
		if attempt == portAttempts || !errors.Is(err, servers.ErrPortTaken) {
			return err
		}
	}
}

// settle makes the broker ready to be killed. Binaries of another version may have other queues.
func (s *Suite) settle(ctx context.Context) error {
	if s.options.Bin != "" {
		return nil
	}
	for _, q := range bus.AllQueues() {
		if err := errors.Join(s.RabbitMQ.Settled(ctx, q.Name), s.RabbitMQ.Settled(ctx, q.Name+".dead")); err != nil {
			return err
		}
	}
	return nil
}

func (s *Suite) names() (names []string) {
	for _, p := range s.Processes {
		names = append(names, p.Name)
	}
	return names
}

// planServices gives every process its ports and settings.
func (s *Suite) planServices() error {
	ports, err := servers.FreePorts(2 * s.options.Replicas * len(app.Services()))
	if err != nil {
		return err
	}
	s.Processes = nil
	internals := map[string][]string{} // addresses of all replicas by service
	for _, service := range app.Services() {
		for n := range s.options.Replicas {
			public, internal := servers.Address(ports[0]), servers.Address(ports[1])
			ports = ports[2:]
			p := &Process{
				Name:        service,
				URLs:        map[string]string{service: "http://" + public},
				InternalURL: "http://" + internal,
				clocks:      s.options.Clocks,
				group:       s.group,
			}
			if n > 0 {
				p.Name = fmt.Sprintf("%s-%d", service, n+1)
			}
			internals[service] = append(internals[service], internal)
			p.argv = []string{filepath.Join(cmp.Or(s.options.Bin, s.Bin), service), "serve"}
			p.environ = []string{"LATCHKEY_ADDR=" + public, "LATCHKEY_INTERNAL_ADDR=" + internal}
			s.Processes = append(s.Processes, p)
		}
	}
	peers, err := s.balance(internals)
	if err != nil {
		return err
	}
	for _, p := range s.Processes {
		p.environ = append(append(p.environ, s.settings(p.Service(), peers)...), s.options.Settings...)
	}
	s.Credentials = credentials.Credentials{
		AdminSecret: s.Secrets.Admin, AdminAPIKey: s.Secrets.adminKey,
		AuthURL: s.URLs("auth")[0], LicenseURL: s.URLs("license")[0], AnalyticsURL: s.URLs("analytics")[0],
		AdminURL: s.URLs("admin")[0],
	}
	return nil
}

// balance opens an address for each service behind which its replicas take turns, as a cluster has them.
func (s *Suite) balance(internals map[string][]string) (peers map[string]string, err error) {
	s.closeLinks()
	peers = map[string]string{}
	for service, addresses := range internals {
		l, err := link.Open(addresses...)
		if err != nil {
			return nil, err
		}
		s.links = append(s.links, l)
		peers[service] = "http://" + l.Addr
		for _, p := range s.Processes {
			if p.Service() == service {
				p.front = l
			}
		}
	}
	return peers, nil
}

func (s *Suite) closeLinks() {
	for _, l := range s.links {
		l.Close()
	}
	s.links = nil
}

// Service is the name without the number of the replica.
func (p *Process) Service() string {
	service, _, _ := strings.Cut(p.Name, "-")
	return service
}

// settings is the environment of a service: the same as in production, and only what it needs.
func (s *Suite) settings(service string, peers map[string]string) []string {
	settings := []string{
		"LATCHKEY_ENV=production",
		"LATCHKEY_DRAIN_DELAY=500ms",
		"LATCHKEY_START_TIMEOUT=5m", // on a busy computer a broker takes its time
		"LATCHKEY_DATABASE_URL=" + s.Postgres.URL,
		"LATCHKEY_AMQP_URL=" + s.RabbitMQ.URL,
		"LATCHKEY_INTERNAL_KEY=" + s.internalKey(service),
		"LATCHKEY_INTERNAL_PEERS=" + s.Secrets.Peers,
		"LATCHKEY_MASTER_KEY=" + s.Secrets.Master,
	}
	asks := map[string][]string{"auth": {"license"}, "license": {"auth"}, "analytics": {"auth"},
		"admin": {"auth", "license", "analytics"}}
	if slices.Contains(s.options.Settings, "LATCHKEY_EDGE=true") {
		asks["license"] = append(asks["license"], "admin") // older builds refuse a setting that they do not know
	}
	for _, peer := range asks[service] {
		settings = append(settings, "LATCHKEY_"+strings.ToUpper(peer)+"_URL="+peers[peer])
	}
	switch service {
	case "auth":
		settings = append(settings, "LATCHKEY_ADMIN_SECRET="+s.Secrets.Admin)
	case "admin":
		settings = append(settings, "LATCHKEY_ADMIN_API_KEY="+s.Secrets.adminKey)
	}
	return settings
}

func (s *Suite) internalKey(service string) string {
	return rpc.FormatKey(s.Secrets.Identities[service].Key)
}

// migrate runs the migrate command of each service at the same time.
func (s *Suite) migrate(ctx context.Context) error {
	s.say("Migrating the database")
	var runs []func() error
	for _, service := range app.Services() {
		p := s.Process(service)
		runs = append(runs, func() error {
			cmd := exec.CommandContext(ctx, p.argv[0], "migrate")
			cmd.Dir = s.Dir
			cmd.Env = append(hostEnviron(), p.environ...)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s migrate: %w\n%s", service, err, out)
			}
			return nil
		})
	}
	return together(runs...)
}

func (s *Suite) startEmbedded(ctx context.Context) error {
	s.say("Starting the embedded suite")
	for attempt := 1; ; attempt++ {
		err := s.planEmbedded()
		if err == nil {
			err = s.startProcesses(ctx)
		}
		if err == nil || attempt == portAttempts || !errors.Is(err, servers.ErrPortTaken) {
			return err
		}
	}
}

// planEmbedded gives the one process its four ports.
func (s *Suite) planEmbedded() error {
	ports, err := servers.FreePorts(len(app.Services()))
	if err != nil {
		return err
	}
	p := &Process{Name: "latchkey", URLs: map[string]string{}, clocks: s.options.Clocks, group: s.group}
	p.argv = []string{filepath.Join(s.Bin, "latchkey"), "--data-dir", s.dataDir()}
	for i, service := range app.Services() {
		address := servers.Address(ports[i])
		p.URLs[service] = "http://" + address
		p.environ = append(p.environ, "LATCHKEY_"+strings.ToUpper(service)+"_ADDR="+address)
	}
	p.environ = append(p.environ, s.options.Settings...)
	s.Processes = []*Process{p}
	return nil
}

func (s *Suite) dataDir() string { return filepath.Join(s.Dir, "latchkey-data") }

// startProcesses starts all at the same time, because any order must do, and ends them again when one fails.
func (s *Suite) startProcesses(ctx context.Context) error {
	if s.options.Clocks {
		if err := s.SetClocks(0); err != nil {
			return err
		}
	}
	runs := make([]func() error, len(s.Processes))
	for i, p := range s.Processes {
		if err := p.Start(); err != nil {
			return err
		}
		runs[i] = func() error { return p.Await(ctx) }
	}
	err := together(runs...)
	if err != nil {
		for _, p := range s.Processes {
			p.Kill9()
		}
	}
	return err
}
