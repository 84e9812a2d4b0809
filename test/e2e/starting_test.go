//go:build unix

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/test/servers"
	"github.com/latchkey-dev/latchkey/test/suite"
)

// TestWaitingEnds: a service waits for its database and broker for a bounded time, and says what for, without
// passwords.
func TestWaitingEnds(t *testing.T) {
	w := start(t, processes)
	ports, err := servers.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	settings := with(w.settings("license"), "LATCHKEY_START_TIMEOUT", "1s", "LATCHKEY_ADDR", servers.Address(ports[1]),
		"LATCHKEY_INTERNAL_ADDR", servers.Address(ports[2]))
	nobody := servers.Address(ports[0])
	for url, says := range map[string]string{
		"postgres://me:" + dbPassword + "@" + nobody + "/x?sslmode=disable": "waiting for the database",
		"amqp://me:" + dbPassword + "@" + nobody + "/":                      "cannot reach the broker",
	} {
		setting := map[bool]string{
			true:  "LATCHKEY_AMQP_URL",
			false: "LATCHKEY_DATABASE_URL",
		}[strings.HasPrefix(url, "amqp")]
		out, code := w.run(with(settings, setting, url), "license", "serve")
		if code != 1 || !strings.Contains(out, nobody) || !strings.Contains(out, says) ||
			strings.Contains(out, dbPassword) {
			t.Errorf("%s leads nowhere: exit code %d\n%s", setting, code, out)
		}
	}
}

// works demands that the suite does what it is for, the whole way from an activation to usage figures.
func (w *harness) works() {
	w.Helper()
	id, key := w.create(`{"customer_id":"works"}`)
	w.want(w.license("activate", device(key, "pc")), http.StatusCreated, "")
	w.usage(id, "activations", 1)
}

// TestStartOrders: the services start in any order, each without those that come later.
func TestStartOrders(t *testing.T) {
	w := start(t, processes)
	for _, order := range [][]string{
		{"admin", "analytics", "license", "auth"}, {"analytics", "admin", "auth", "license"},
		{"license", "auth", "admin", "analytics"},
	} {
		w.stopAll()
		for _, service := range order {
			w.startAll(w.replicas(service)...)
		}
		w.works()
	}
}

// waits starts a stopped process, which has to wait for what the test took away, until its log says so.
func (w *harness) waits(service, what string) *suite.Process {
	w.Helper()
	p := w.Process(service)
	before, _ := os.ReadFile(p.Log()) // nothing is fine too
	if err := p.Start(); err != nil {
		w.Fatal(err)
	}
	w.eventually(func() error {
		log, err := os.ReadFile(p.Log())
		if err == nil && !bytes.Contains(log[len(before):], []byte(what)) {
			err = fmt.Errorf("%s does not say %q: %s", service, what, log[len(before):])
		}
		return err
	})
	return p
}

// mend repairs what a failed test would leave broken for the others.
func (w *harness) mend(restart func(context.Context) error) {
	w.Cleanup(func() {
		if !w.Failed() {
			return
		}
		if err := restart(context.Background()); err != nil {
			w.Error(err)
		}
	})
}

// TestStartedBeforeTheDatabase: the service waits and then serves; those that run say 503 at once, and go on
// afterwards.
func TestStartedBeforeTheDatabase(t *testing.T) {
	w := start(t, processes)
	if err := w.Process("license-2").Stop(); err != nil {
		t.Fatal(err)
	}
	id, key := w.create(`{"customer_id":"no database","max_devices":5}`)
	w.want(w.license("activate", device(key, "pc")), http.StatusCreated, "")
	w.usage(id, "activations", 1) // the invalidation by the activation has arrived
	for range 2 {
		w.want(w.license("validate", device(key, "pc")), http.StatusOK, "")
	}
	w.mend(w.Postgres.Restart)
	w.Postgres.Kill()
	p := w.waits("license-2", "waiting for the database")
	for _, a := range []answer{w.admin(http.MethodPost, "/licenses", `{"customer_id":"x"}`),
		w.admin(http.MethodGet, "/licenses/"+id, ""), w.license("activate", device(key, "other"))} {
		if w.want(a, http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE"); a.header.Get("Retry-After") == "" {
			t.Errorf("no Retry-After: %v", a.header)
		}
	}
	w.want(w.license("validate", device(key, "pc")), http.StatusOK, "") // from memory
	if err := w.Postgres.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() error {
		a, err := try(http.MethodPost, w.LicenseURL+"/api/v1/license/activate", device(key, "other"), "X-API-Key",
			w.APIKey)
		if err == nil && a.status != http.StatusCreated {
			err = fmt.Errorf("activate: %d %s", a.status, a.raw)
		}
		return err
	})
	w.works()
}

// TestStartedBeforeTheBroker: the service waits for the broker and then serves.
func TestStartedBeforeTheBroker(t *testing.T) {
	w := start(t, processes)
	for _, name := range []string{"license-2", "analytics"} {
		if err := w.Process(name).Stop(); err != nil {
			t.Fatal(err)
		}
	}
	w.mend(w.RabbitMQ.Restart)
	w.RabbitMQ.Kill()
	waiting := []*suite.Process{w.waits("license-2", "cannot reach the broker"),
		w.waits("analytics", "cannot reach the broker")}
	if err := w.RabbitMQ.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range waiting {
		if err := p.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.works()
}

// TestStopDuringRequests: behind a load balancer that heeds readiness, ending a process loses no request.
func TestStopDuringRequests(t *testing.T) {
	w := alone(t, processes)
	id, key := w.create(`{"customer_id":"stop","max_devices":100000}`)
	var acknowledged, byTheSecond atomic.Int64
	done := make(chan struct{})
	var all sync.WaitGroup
	second := w.balance(done, &all)
	for worker := range 6 {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				url := w.LicenseURL
				if second.Load() {
					url = w.URLs("license")[1]
					byTheSecond.Add(1)
				}
				a, err := try(http.MethodPost, url+"/api/v1/license/activate",
					device(key, fmt.Sprintf("pc-%d-%d", worker, i)), "X-API-Key", w.APIKey)
				if err != nil || a.status != http.StatusCreated {
					t.Errorf("a request failed: %d %s %v", a.status, a.raw, err)
					return
				}
				acknowledged.Add(1)
			}
		})
	}
	for range 3 {
		target := byTheSecond.Load() + 50
		w.eventually(func() error {
			if byTheSecond.Load() < target {
				return errors.New("waiting for requests to the second process")
			}
			return nil
		})
		w.restart("license-2") // SIGTERM, and it must end well
	}
	close(done)
	all.Wait()
	w.ledger(id, acknowledged.Load())
}

// balance watches the second process of license as a load balancer does; the result reports whether it takes requests.
func (w *harness) balance(done <-chan struct{}, all *sync.WaitGroup) *atomic.Bool {
	var ready atomic.Bool
	all.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			a, err := try(http.MethodGet, w.URLs("license")[1]+"/readyz", "")
			ready.Store(err == nil && a.status == http.StatusOK)
			pause(20 * time.Millisecond)
		}
	})
	return &ready
}
