package analytics_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"

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

func newHarnessOnSQLite(t *testing.T) *harness {
	d := testkit.SQLite(t, append([]db.Migrations{inproc.Migrations}, analytics.Migrations...)...)
	b, err := inproc.New(inproc.Config{DB: d, Queues: analytics.Queues, Log: testkit.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	return newHarness(t, d, func() bus.Bus { return b })
}
