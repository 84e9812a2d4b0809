//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/test/suite"
)

// activations activates devices one after the other on n workers until stopped, and counts what was acknowledged.
func (w *harness) activations(key string, workers int) (stop func() int64) {
	return w.repeat(workers, func(n int64) bool { return w.activated(key, fmt.Sprintf("device-%d", n)) }).stop
}

// repeated are calls that go on until stopped. Each is made again until it is answered, as an SDK does: giving up would
// leave open whether it counted.
type repeated struct {
	acknowledged atomic.Int64
	stop         func() int64
}

// repeat makes numbered calls one after the other on each worker; call is false when it has to be made again.
func (w *harness) repeat(workers int, call func(n int64) bool) *repeated {
	r := &repeated{}
	var next atomic.Int64
	done := make(chan struct{})
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if w.insists(call, next.Add(1)) {
					r.acknowledged.Add(1)
				}
			}
		})
	}
	r.stop = sync.OnceValue(func() int64 { close(done); all.Wait(); return r.acknowledged.Load() })
	w.Cleanup(func() { r.stop() }) // when the test ends early
	return r
}

func (w *harness) insists(call func(n int64) bool, n int64) bool {
	for deadline := time.Now().Add(patience); !call(n); pause(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Errorf("call %d is not answered", n)
			return false
		}
	}
	return true
}

// activated is also true for 409, which tells that a call counted whose answer was lost.
func (w *harness) activated(key, hardware string) bool {
	a, err := try(http.MethodPost, w.LicenseURL+"/api/v1/license/activate", device(key, hardware), "X-API-Key",
		w.APIKey)
	return err == nil && (a.status == http.StatusCreated || a.status == http.StatusConflict)
}

// pause paces a client that is refused; no test relies on how long it is.
func pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

func (w *harness) restart(service string) {
	w.Helper()
	if err := w.Process(service).Restart(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// replicas are the processes of a service.
func (w *harness) replicas(service string) (processes []*suite.Process) {
	for _, p := range w.Processes {
		if p.URLs[service] != "" {
			processes = append(processes, p)
		}
	}
	return processes
}

// killAll kills every process of a service; back starts them again.
func (w *harness) killAll(service string) (back func()) {
	killed := w.replicas(service)
	for _, p := range killed {
		p.Kill9()
	}
	return sync.OnceFunc(func() {
		for _, p := range killed {
			w.restart(p.Name)
		}
	})
}

// until waits until some activations have been counted by the license itself.
func (w *harness) until(id string, n int) {
	w.Helper()
	w.eventually(func() error {
		a, err := try(http.MethodGet, w.AdminURL+"/api/v1/admin/licenses/"+id, "", "X-Admin-API-Key", w.AdminAPIKey)
		if got, _ := a.body["current_devices"].(float64); err == nil && int(got) < n {
			err = fmt.Errorf("%v devices, waiting for %d", got, n)
		}
		return err
	})
}

// ledger demands that every acknowledged activation is there, and reached analytics exactly once.
func (w *harness) ledger(id string, acknowledged int64) {
	w.Helper()
	active, counter := w.devices(id)
	if int64(active) != acknowledged || counter != active {
		w.Errorf("%d activations acknowledged, %d devices active, counter %d", acknowledged, active, counter)
	}
	w.usage(id, "activations", active)
}

func TestKillLicenseDuringActivations(t *testing.T) {
	each(t, func(w *harness) {
		id, key := w.create(`{"customer_id":"kill license","max_devices":100000}`)
		stop := w.activations(key, 4)
		for round := 1; round <= 3; round++ {
			w.until(id, 20*round)
			w.Process("license").Kill9()
			w.restart("license")
		}
		w.ledger(id, stop())
	})
}

func TestKillAnalyticsWhileConsuming(t *testing.T) {
	each(t, func(w *harness) {
		id, key := w.create(`{"customer_id":"kill analytics","max_devices":100000}`)
		stop := w.activations(key, 4)
		for round := 1; round <= 3; round++ {
			replicas := w.replicas("analytics") // one of them consumes
			p := replicas[round%len(replicas)]
			w.until(id, 20*round)
			p.Kill9()
			w.restart(p.Name)
		}
		w.ledger(id, stop())
	})
}

func TestKillBroker(t *testing.T) {
	w := start(t, processes)
	w.brokerAway("kill broker", func() error { w.RabbitMQ.Kill(); return nil }, func() error {
		return w.RabbitMQ.Restart(t.Context())
	})
}

// TestHalfOpenBroker: a broker that accepts connections and never answers is noticed by its missing heartbeats.
func TestHalfOpenBroker(t *testing.T) {
	w := start(t, processes)
	w.Cleanup(func() { _ = w.RabbitMQ.Thaw() }) // when the test ends early
	w.brokerAway("half-open broker", w.RabbitMQ.Freeze, w.RabbitMQ.Thaw)
}

// brokerAway demands that everything goes on while the broker is away and readiness tells of it, and that every event
// arrives once it is back.
func (w *harness) brokerAway(name string, away, back func() error) {
	w.Helper()
	id, key := w.create(fmt.Sprintf(`{"customer_id":%q,"max_devices":100000}`, name))
	stop := w.activations(key, 4)
	w.until(id, 20)
	if err := away(); err != nil {
		w.Fatal(err)
	}
	w.until(id, 60) // activations go on without a broker
	for _, call := range []answer{
		w.license("validate", device(key, "device-1")),
		w.admin(http.MethodGet, "/licenses/"+id, ""),
		w.admin(http.MethodGet, "/statistics", ""),
		w.analytics(http.MethodGet, "/dashboard"),
		w.call(http.MethodPost, w.AuthURL+"/api/v1/auth/token",
			fmt.Sprintf(`{"license_id":%q,"hardware_id":"device-1"}`, id), "X-API-Key", w.APIKey),
		w.call(http.MethodGet, w.LicenseURL+"/readyz", ""),
	} {
		w.want(call, http.StatusOK, "")
	}
	w.eventually(func() error {
		ready, err := try(http.MethodGet, w.LicenseURL+"/readyz", "")
		if err == nil && (ready.status != http.StatusOK || !strings.Contains(string(ready.raw), "degraded")) {
			err = fmt.Errorf("readyz hides that the broker is away: %d %s", ready.status, ready.raw)
		}
		return err
	})
	if err := back(); err != nil {
		w.Fatal(err)
	}
	w.ledger(id, stop())
	w.usage(id, "validations", 1)
}

func TestAnalyticsDownHurtsNobody(t *testing.T) {
	w := start(t, processes)
	id, key := w.create(`{"customer_id":"no analytics","max_devices":5}`)
	defer w.killAll("analytics")()
	w.want(w.license("activate", device(key, "pc")), http.StatusCreated, "")
	w.want(w.license("validate", device(key, "pc")), http.StatusOK, "")
	w.want(w.admin(http.MethodGet, "/licenses/"+id, ""), http.StatusOK, "")
	statistics := w.want(w.admin(http.MethodGet, "/statistics", ""), http.StatusOK, "")
	if statistics.body["validations"] != nil ||
		!strings.Contains(fmt.Sprint(statistics.body["degraded"]), "analytics") {
		t.Errorf("statistics do not say what is missing: %s", statistics.raw)
	}
	w.want(w.admin(http.MethodGet, "/licenses/"+id+"/usage", ""), http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE")
}

func TestAuthDownKnownKeysGoOn(t *testing.T) {
	w := start(t, processes)
	id, key := w.create(`{"customer_id":"no auth","max_devices":5}`)
	w.want(w.license("activate", device(key, "pc")), http.StatusCreated, "")
	pair := w.want(w.call(http.MethodPost, w.AuthURL+"/api/v1/auth/token",
		fmt.Sprintf(`{"license_id":%q,"hardware_id":"pc"}`, id), "X-API-Key", w.APIKey), http.StatusOK, "")
	access := []string{"Authorization", "Bearer " + pair.text("access_token")}
	w.want(w.call(http.MethodPost, w.LicenseURL+"/api/v1/license/heartbeat", "{}", access...), http.StatusOK, "")
	defer w.killAll("auth")()
	w.want(w.license("validate", device(key, "pc")), http.StatusOK, "")
	w.want(w.call(http.MethodPost, w.LicenseURL+"/api/v1/license/heartbeat", "{}", access...), http.StatusOK, "")
	w.want(w.call(http.MethodPost, w.LicenseURL+"/api/v1/license/offline-token", "{}", access...),
		http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE")
	unseen := w.call(http.MethodPost, w.LicenseURL+"/api/v1/license/validate", device(key, "pc"), "X-API-Key",
		"sk_garbage")
	w.want(unseen, http.StatusUnauthorized, "INVALID_API_KEY")
}

// TestBrokerBackStateFirst: what changed while the broker was away arrives before the telemetry of that time.
func TestBrokerBackStateFirst(t *testing.T) {
	w := start(t, processes)
	id, key := w.create(`{"customer_id":"state first","max_devices":1000}`)
	seen := w.subscribe("e2e.order", id, "license.activated", "license.validated")
	if err := w.RabbitMQ.ShutDown(); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		w.want(w.license("activate", device(key, fmt.Sprintf("device-%d", i))), http.StatusCreated, "")
		w.want(w.license("validate", device(key, fmt.Sprintf("device-%d", i))), http.StatusOK, "")
	}
	if err := w.RabbitMQ.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.usage(id, "activations", 30)
	w.usage(id, "validations", 30)
	types := seen(60)
	if first := slices.Index(types, "license.validated"); first < 30 {
		t.Errorf("telemetry overtook changes of state: %v", types)
	}
}

// subscribe binds a durable queue of our own, as any user of the bus may; the result waits for n messages about a
// license and returns their types. What other tests did may still be on its way.
func (w *harness) subscribe(queue, licenseID string, types ...string) (drain func(n int) []string) {
	w.Helper()
	channel := w.channel()
	if _, err := channel.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		w.Fatal(err)
	}
	for _, routingKey := range types {
		if err := channel.QueueBind(queue, routingKey, "latchkey.events", false, nil); err != nil {
			w.Fatal(err)
		}
	}
	return func(n int) (got []string) {
		channel := w.channel()
		w.eventually(func() error {
			for {
				m, ok, err := channel.Get(queue, true)
				if err != nil || !ok {
					if len(got) < n {
						return fmt.Errorf("%d of %d messages: %v", len(got), n, err)
					}
					return nil
				}
				if bytes.Contains(m.Body, []byte(licenseID)) {
					got = append(got, m.RoutingKey)
				}
			}
		})
		_, _ = channel.QueueDelete(queue, false, false, false)
		return got
	}
}

func (w *harness) channel() *amqp.Channel {
	w.Helper()
	connection, err := amqp.Dial(w.RabbitMQ.URL)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = connection.Close() })
	channel, err := connection.Channel()
	if err != nil {
		w.Fatal(err)
	}
	return channel
}
