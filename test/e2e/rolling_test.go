//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// roundRobin is a client in front of all ready replicas, which tries the next one when a connection is refused, and
// hides no other failure: Go's own client would repeat what a cut connection loses.
type roundRobin struct {
	*harness
	client *http.Client
	turn   atomic.Int64
	// What the calls carry. A test may replace it while they go on.
	asClient, asOwner, asVendor credential
	// again has calls that were answered 500 or 503 made once more.
	again bool
	// outage has calls answered with errOutage.
	outage bool
}

// errOutage is an answer that clients get while a server that the services need is away: 503, with a Retry-After.
var errOutage = errors.New("refused for now")

// credential is a header with a secret.
type credential struct{ now atomic.Pointer[[2]string] }

func (c *credential) use(name, value string) { c.now.Store(&[2]string{name, value}) }

func (c *credential) header() []string {
	now := *c.now.Load()
	return now[:]
}

// behindGateway is the client of a suite whose processes restart. Like our own clients it lets go of connections that
// were quiet, before a draining server does.
func (w *harness) behindGateway() *roundRobin {
	r := &roundRobin{harness: w, client: &http.Client{Timeout: client.Timeout, Transport: unreplayable{
		&http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 300 * time.Millisecond}}}}
	r.asClient.use("X-API-Key", w.APIKey)
	r.asOwner.use("X-Admin-API-Key", w.AdminAPIKey)
	r.asVendor.use("X-Admin-Secret", w.AdminSecret)
	return r
}

// ask makes a call of a service, of the next replica where the connection is refused: the "no call fails" of these
// tests is said of calls that were accepted.
func (r *roundRobin) ask(service, method, path, body string, headers ...string) (answer, error) {
	for deadline := time.Now().Add(patience); ; {
		urls := r.ReadyURLs(service)
		a, err := tryBy(r.client, method, urls[int(r.turn.Add(1))%len(urls)]+path, body, headers...)
		failed := r.again && err == nil &&
			(a.status == http.StatusInternalServerError || a.status == http.StatusServiceUnavailable)
		if !failed && !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(deadline) {
			return a, err
		}
		pause(5 * time.Millisecond)
	}
}

// expect makes a call of a service that must have a status.
func (r *roundRobin) expect(status int, service, method, path, body string, headers ...string) (answer, error) {
	a, err := r.ask(service, method, path, body, headers...)
	if err == nil && r.outage && a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "" {
		return a, errOutage
	}
	if err == nil && a.status != status {
		err = fmt.Errorf("%d %s", a.status, a.raw)
	}
	if err != nil {
		err = fmt.Errorf("%s %s of %s: %w", method, path, service, err)
	}
	return a, err
}

// journeys are what the users of a suite do all day, each with the status that it must have.
func (r *roundRobin) journeys(id, key string) []func(device string) error {
	expect := func(status int, service, method, path, body string, headers ...string) error {
		_, err := r.expect(status, service, method, path, body, headers...)
		return err
	}
	token := func(pc string) string { return fmt.Sprintf(`{"license_id":%q,"hardware_id":%q}`, id, pc) }
	return []func(string) error{
		func(pc string) error {
			return expect(http.StatusCreated, "license", http.MethodPost, "/api/v1/license/activate", device(key, pc),
				r.asClient.header()...)
		},
		func(pc string) error {
			return expect(http.StatusOK, "license", http.MethodPost, "/api/v1/license/validate", device(key, pc),
				r.asClient.header()...)
		},
		func(pc string) error {
			return expect(http.StatusOK, "auth", http.MethodPost, "/api/v1/auth/token", token(pc),
				r.asClient.header()...)
		},
		func(string) error {
			return expect(http.StatusOK, "admin", http.MethodGet, "/api/v1/admin/licenses/"+id, "",
				r.asOwner.header()...)
		},
		func(string) error {
			return expect(http.StatusCreated, "admin", http.MethodPost, "/api/v1/admin/licenses",
				`{"customer_id":"rolling"}`, r.asOwner.header()...)
		},
		func(string) error {
			return expect(http.StatusOK, "analytics", http.MethodGet, "/api/v1/analytics/dashboard", "",
				r.asClient.header()...)
		},
	}
}

// load has workers go through the journeys, each with devices of its own, until stop; every failure is the test's.
func (r *roundRobin) load(workers int, journeys []func(device string) error) (stop func() int64) {
	var answered atomic.Int64
	var all sync.WaitGroup
	done := make(chan struct{})
	for worker := range workers {
		all.Go(func() {
			for round := 0; ; round++ {
				for _, journey := range journeys {
					select {
					case <-done:
						return
					default:
					}
					switch err := journey(fmt.Sprintf("pc-%d-%d", worker, round)); {
					case errors.Is(err, errOutage):
					case err != nil:
						r.Error(err)
					default:
						answered.Add(1)
					}
				}
			}
		})
	}
	stop = sync.OnceValue(func() int64 { close(done); all.Wait(); return answered.Load() })
	r.Cleanup(func() { stop() })
	return stop
}

// TestRollingRestart restarts everything under load, one process after the other in random order, two times: no call
// fails. The previous version beside the new one: upgrade_test.go.
func TestRollingRestart(t *testing.T) {
	eachAlone(t, func(w *harness) {
		r := w.behindGateway()
		id, key := w.create(`{"customer_id":"rolling","max_devices":1000000}`)
		stop := r.load(4, append(r.journeys(id, key), r.everything()...))
		seed := rand.Uint64()
		w.Logf("order of seed %d", seed)
		dice := rand.New(rand.NewPCG(seed, 0))
		for range 2 {
			for _, i := range dice.Perm(len(w.Processes)) {
				w.restart(w.Processes[i].Name)
			}
		}
		if n := stop(); n == 0 {
			w.Error("there was no load")
		} else {
			w.Logf("%d calls and chains of calls answered", n)
		}
	})
}

// TestServersRestartUnderLoad ends the broker and the database as SIGTERM and as kill -9 do, under load: whatever
// cannot be done meanwhile is refused with 503 and a Retry-After, and what was acknowledged is not lost.
func TestServersRestartUnderLoad(t *testing.T) {
	w := start(t, processes)
	r := w.behindGateway()
	r.outage = true
	id, key := w.create(`{"customer_id":"servers restart","max_devices":1000000}`)
	answered, acknowledged := r.load(3, r.everything()), w.activations(key, 2)
	w.mend(w.RabbitMQ.Restart)
	w.mend(w.Postgres.Restart)
	n := 0
	for _, away := range []struct {
		end   func() error
		begin func(context.Context) error
	}{
		{w.RabbitMQ.ShutDown, w.RabbitMQ.Restart},
		{func() error { w.Postgres.Kill(); return nil }, w.Postgres.Restart},
	} {
		n += 20
		w.until(id, n)
		if err := errors.Join(away.end(), away.begin(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	w.until(id, n+20)
	if answered() == 0 {
		t.Error("there was no load")
	}
	w.ledger(id, acknowledged())
	w.works()
}

// unreplayable keeps a transport from repeating requests on its own.
type unreplayable struct{ http.RoundTripper }

func (u unreplayable) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.Body == nil || r.Body == http.NoBody { // a body of a length that nobody knows is sent once
		r.Body = io.NopCloser(strings.NewReader(""))
	}
	r.GetBody = nil
	return u.RoundTripper.RoundTrip(r)
}
