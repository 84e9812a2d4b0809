package analytics_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/amqp"
	"github.com/latchkey-dev/latchkey/pkg/bus/inproc"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/rpctest"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1/analyticsv1connect"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
	"github.com/latchkey-dev/latchkey/services/analytics"
)

// patience is how long a test waits for what must happen, on however busy a computer.
const patience = 20 * time.Second

// auth knows one API key as long as it is not revoked.
type auth struct {
	authv1connect.UnimplementedAuthServiceHandler
	key     string
	revoked atomic.Bool
	ended   sync.Map // hashes of keys that were good once
}

// endedKey makes an API key one that was good once.
func (a *auth) endedKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	a.ended.Store(string(sum[:]), true)
	return key
}

// LookUpAPIKey implements authv1connect.AuthServiceHandler.
func (a *auth) LookUpAPIKey(
	_ context.Context, req *connect.Request[authv1.LookUpAPIKeyRequest],
) (*connect.Response[authv1.LookUpAPIKeyResponse], error) {
	if _, ended := a.ended.Load(string(req.Msg.Sha256)); ended {
		return connect.NewResponse(&authv1.LookUpAPIKeyResponse{ApiKeyId: "ended", Ended: true}), nil
	}
	if sum := sha256.Sum256([]byte(a.key)); a.revoked.Load() || string(sum[:]) != string(req.Msg.Sha256) {
		return nil, apikey.ErrInvalid
	}
	return connect.NewResponse(&authv1.LookUpAPIKeyResponse{
		ApiKeyId:         "k",
		AllowedEndpoints: []string{"/api/v1/analytics/*"},
	}), nil
}

// harness is where services run: a database, a way to the bus, and auth.
type harness struct {
	t     *testing.T
	db    *db.DB
	dial  func() bus.Bus
	auth  *auth
	peers httpx.InProcess
	clock clock.Clock
	// pub is the bus as the license service has it.
	pub bus.Bus
}

func eachHarness(t *testing.T, test func(t *testing.T, w *harness)) {
	t.Run("embedded", func(t *testing.T) {
		test(t, newHarnessOnSQLite(t))
	})
	t.Run("servers", func(t *testing.T) {
		d := testkit.Open(t, db.Config{URL: testkit.Postgres(t), Schema: "analytics"}, analytics.Migrations...)
		url := testkit.AMQP(t)
		test(t, newHarness(t, d, func() bus.Bus {
			b, err := amqp.Dial(amqp.Config{URL: url, Name: "analytics", Queues: analytics.Queues, Log: testkit.Log(t)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close() })
			if err := b.Await(t.Context()); err != nil {
				t.Fatal(err)
			}
			return b
		}))
	})
}

func newHarness(t *testing.T, d *db.DB, dial func() bus.Bus) *harness {
	w := &harness{
		t:     t,
		db:    d,
		dial:  dial,
		clock: clock.System{},
		auth:  &auth{key: secret.New(apikey.Prefix)},
		pub:   dial(),
	}
	mux := http.NewServeMux()
	mux.Handle(authv1connect.NewAuthServiceHandler(w.auth,
		rpctest.Serve("auth", authv1.File_latchkey_auth_v1_auth_proto)...))
	w.peers = httpx.InProcess{"auth": mux}
	return w
}

// start runs a service until stop is called.
func (w *harness) start(edits ...func(*analytics.Config)) (s *analytics.Service, stop func()) {
	w.t.Helper()
	cfg := analytics.DefaultConfig()
	cfg.Env, cfg.AuthURL = app.Development, "http://auth"
	rpctest.Introduce(&cfg.Base, analytics.Name)
	for _, edit := range edits {
		edit(&cfg)
	}
	s, err := analytics.New(cfg, app.Deps{
		Log:     testkit.Log(w.t),
		DB:      w.db,
		Bus:     w.dial(),
		HTTP:    w.peers,
		Clock:   w.clock,
		Metrics: obs.NewMetrics(analytics.Name),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("run: %v", err)
		}
	}
	w.t.Cleanup(stop)
	return s, stop
}

func (w *harness) publish(events ...event.Event) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := w.pub.Publish(ctx, events); err != nil {
		w.t.Fatalf("publish: %v", err)
	}
}

func newEvent(eventType string, at time.Time, members map[string]any) event.Event {
	data, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return event.Event{ID: uuid.NewString(), Type: eventType, Source: "latchkey/license", Time: at.UTC(), Data: data}
}

func client(s *analytics.Service) analyticsv1connect.AnalyticsServiceClient {
	return analyticsv1connect.NewAnalyticsServiceClient(
		rpc.HTTPClient(httpx.InProcess{"analytics": s.InternalHandler()}), "http://analytics",
		rpctest.Client("admin", "analytics")...)
}

func validations(ctx context.Context, s *analytics.Service, license string) (float64, error) {
	res, err := client(s).
		LicenseStatistics(ctx, connect.NewRequest(&analyticsv1.LicenseStatisticsRequest{LicenseId: license}))
	if err != nil {
		return 0, err
	}
	return res.Msg.ValidationsTotal, nil
}

func (w *harness) call(s *analytics.Service, path string) int {
	req := httptest.NewRequest("GET", "/api/v1/analytics"+path, nil)
	req.Header.Set(apikey.Header, w.auth.key)
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, req)
	return rec.Code
}

// TestService follows events from the bus to the peerss, the API and back to the bus.
func TestService(t *testing.T) {
	eachHarness(t, func(t *testing.T, w *harness) {
		seen := w.watch("anomaly.detected")
		s, _ := w.start()
		license, now := uuid.NewString(), time.Now()
		if _, err := validations(t.Context(), s, license); !errors.Is(err,
			apierr.New(apierr.NotFound, "LICENSE_NOT_FOUND", "")) {
			t.Errorf("unknown license: %v", err)
		}
		poison := newEvent("license.validated", now, map[string]any{"license_id": license, "hardware_id": 7})
		events := []event.Event{newEvent("license.created", now,
			map[string]any{"license_id": license, "customer_id": "acme", "max_devices": 2, "is_active": true,
				"version": 1, "license": map[string]any{}}), poison}
		for i := range 40 {
			events = append(events,
				newEvent("license.validated", now,
					map[string]any{"license_id": license, "hardware_id": fmt.Sprint("d", i%2), "ip": "192.0.2.1"}),
				newEvent("license.validation.failed", now.Add(time.Duration(i-50)*time.Minute),
					map[string]any{"ip": "203.0.113.9",
						"error_code": "LICENSE_NOT_FOUND", "license_key_hash": fmt.Sprintf("%064x", i)}))
		}
		w.publish(events...)
		testkit.Eventually(t, patience, func() error {
			n, err := validations(t.Context(), s, license)
			if err == nil && n != 40 {
				err = fmt.Errorf("%v validations of 40", n)
			}
			return err
		})
		w.checkRPC(s, license)
		rec := httptest.NewRecorder()
		s.InternalHandler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
		if !strings.Contains(rec.Body.String(), "latchkey_consumer_lag_seconds") {
			t.Error("the lag is not among the metrics")
		}
		if status := w.call(s, "/licenses/"+license+"/patterns"); status != http.StatusOK {
			t.Errorf("patterns: %d", status)
		}
		select {
		case e := <-seen:
			if e.Subject != "ip:203.0.113.9" {
				t.Errorf("announced: %+v", e)
			}
		case <-time.After(patience):
			t.Error("the anomaly was not announced")
		}
		letters := w.pub.DeadLetters("analytics.events")
		testkit.Eventually(t, patience, func() error {
			found, err := letters.List(t.Context(), 10)
			if err == nil && (len(found) != 1 || found[0].Event.ID != poison.ID) {
				err = fmt.Errorf("dead letters: %+v", found)
			}
			return err
		})
	})
}

// watch starts to listen for events of a type.
func (w *harness) watch(eventType string) <-chan event.Event {
	seen, ready := make(chan event.Event, 10), make(chan struct{}, 10)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	w.t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		_ = w.pub.Watch(ctx, bus.Watch{Types: []string{eventType}, OnEvent: func(e event.Event) {
			seen <- e
		}, OnGap: func() { ready <- struct{}{} }})
	}()
	<-ready
	return seen
}

func (w *harness) checkRPC(s *analytics.Service, license string) {
	t := w.t
	t.Helper()
	res, err := client(s).
		LicenseUsage(t.Context(), connect.NewRequest(&analyticsv1.LicenseUsageRequest{LicenseId: license, Days: 7}))
	if err != nil {
		t.Fatal(err)
	}
	if days := res.Msg.Daily; len(days) != 7 || res.Msg.Totals.Validations != 40 || res.Msg.Totals.UniqueDevices != 2 {
		t.Errorf("usage: %v", res.Msg)
	}
	for _, days := range []int32{0, 367, -1} {
		_, err := client(s).LicenseUsage(t.Context(),
			connect.NewRequest(&analyticsv1.LicenseUsageRequest{LicenseId: license, Days: days}))
		if apierr.From(err).Code != "VALIDATION_ERROR" {
			t.Errorf("usage of %d days: %v", days, err)
		}
	}
	all, err := client(s).Statistics(t.Context(), connect.NewRequest(&analyticsv1.StatisticsRequest{}))
	if err != nil || all.Msg.Validations_24H != 40 || all.Msg.FailedValidations_24H != 40 ||
		all.Msg.AnomaliesOpen != 1 || all.Msg.Anomalies_24H != 1 {
		t.Errorf("statistics: %v, %v", all, err)
	}
}

// TestRevokedKey demands that the event of a revocation end the key: the clock stands still, so the cache's time is
// never over.
func TestRevokedKey(t *testing.T) {
	eachHarness(t, func(t *testing.T, w *harness) {
		w.clock = clock.NewFake(time.Now())
		s, _ := w.start()
		testkit.Eventually(t, patience, func() error {
			if status := w.call(s, "/dashboard"); status != http.StatusOK {
				return fmt.Errorf("dashboard: %d", status)
			}
			return nil
		})
		w.auth.revoked.Store(true)
		w.publish(newEvent("apikey.revoked", time.Now(), map[string]any{"api_key_id": "k"}))
		testkit.Eventually(t, patience, func() error {
			if status := w.call(s, "/dashboard"); status != http.StatusUnauthorized {
				return fmt.Errorf("dashboard: %d", status)
			}
			return nil
		})
	})
}

// TestStandby runs two processes, ends the one at work in the middle, and counts.
func TestStandby(t *testing.T) {
	eachHarness(t, func(t *testing.T, w *harness) {
		_, stop := w.start()
		second, _ := w.start()
		license := uuid.NewString()
		const total = 2000
		for n := 0; n < total; n += 100 {
			if n == total/2 {
				stop()
			}
			var events []event.Event
			for range 100 {
				events = append(events, newEvent("license.validated", time.Now(),
					map[string]any{"license_id": license, "hardware_id": "a"}))
			}
			w.publish(events...)
			w.publish(events[:10]...) // as a publisher does that does not know whether the first time succeeded
		}
		testkit.Eventually(t, patience, func() error {
			n, err := validations(t.Context(), second, license)
			if err == nil && n != total {
				err = fmt.Errorf("%v validations of %d", n, total)
			}
			return err
		})
	})
}

// TestInternalPort demands a service token: no public credential opens it.
func TestInternalPort(t *testing.T) {
	w := newHarnessOnSQLite(t)
	s, _ := w.start()
	foreign := analyticsv1connect.NewAnalyticsServiceClient(
		rpc.HTTPClient(httpx.InProcess{"analytics": s.InternalHandler()}), "http://analytics",
		rpc.NewClientOptions(rpc.NewIdentity("admin"), "analytics")...)
	if _, err := foreign.Statistics(t.Context(), connect.NewRequest(&analyticsv1.StatisticsRequest{})); err == nil {
		t.Error("a token signed with another key was accepted")
	}
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, httptest.NewRequest("POST", analyticsv1connect.AnalyticsServiceStatisticsProcedure, nil))
	if rec.Code != http.StatusNotFound {
		t.Errorf("the public port answers internal calls: %d", rec.Code)
	}
}

func TestWhoMayAskWhat(t *testing.T) {
	s, _ := newHarnessOnSQLite(t).start()
	rpctest.CheckCallers(t, s.InternalHandler(), analytics.Name, analyticsv1.File_latchkey_analytics_v1_analytics_proto,
		map[string][]string{
			"LicenseStatistics": {"admin"}, "LicenseUsage": {"admin"}, "Statistics": {"admin"},
		})
}

func newHarnessOnSQLite(t *testing.T) *harness {
	d := testkit.SQLite(t, append([]db.Migrations{inproc.Migrations}, analytics.Migrations...)...)
	b, err := inproc.New(inproc.Config{DB: d, Queues: analytics.Queues, Log: testkit.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	return newHarness(t, d, func() bus.Bus { return b })
}
