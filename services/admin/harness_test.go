package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/inproc"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/openapitest"
	"github.com/latchkey-dev/latchkey/pkg/testkit/rpctest"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1/analyticsv1connect"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/services/admin"
)

const (
	ownerKey  = "ak_configured-owner-key-of-the-tests-0123456789"
	masterKey = "bGF0Y2hrZXktdGVzdHMtbWFzdGVyLWtleS0zMmJ5dGU="
	licenseID = "0199d3c4-7a10-7c3e-9f65-0c1d4e5f6a7b"
)

// patience is how long a test waits for what must happen, on however busy a computer.
const patience = 20 * time.Second

var now = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// harness is a running admin service with real stores and a real bus, and peers that answer what a test tells them.
type harness struct {
	t         testing.TB
	service   *admin.Service
	handler   http.Handler
	engine    *gin.Engine
	auth      *peer
	license   *peer
	analytics *peer
	clock     *clock.Fake
	deps      app.Deps
	bus       bus.Bus
}

// eachEngine runs test on a harness over every engine.
func eachEngine(t *testing.T, test func(t *testing.T, s *harness)) {
	testkit.EachEngine(t, migrations(), func(t *testing.T, d *db.DB) { test(t, start(t, d, nil)) })
}

// onSQLite runs a harness on the quicker engine, for tests of what is the same on both.
func onSQLite(t testing.TB, edit func(*admin.Config)) *harness {
	return start(t, testkit.SQLite(t, migrations()...), edit)
}

func migrations() []db.Migrations {
	return append([]db.Migrations{inproc.Migrations}, admin.Migrations...)
}

func start(t testing.TB, d *db.DB, edit func(*admin.Config)) *harness {
	t.Helper()
	b, err := inproc.New(inproc.Config{DB: d, Queues: admin.Queues, Log: testkit.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, d, b, edit)
}

func startOn(t testing.TB, d *db.DB, b bus.Bus, edit func(*admin.Config)) *harness {
	t.Helper()
	s := &harness{
		t:         t,
		auth:      newPeer(),
		license:   newPeer(),
		analytics: newPeer(),
		clock:     clock.NewFake(now.Add(-time.Hour)),
		bus:       b,
	}
	s.deps = app.Deps{
		Log: testkit.Log(t), DB: d, Bus: b, Clock: s.clock, Metrics: obs.NewMetrics("admin"),
		HTTP: httpx.InProcess{
			"auth":    s.auth.owner("auth"),
			"license": s.licenseDouble(),
			"analytics": s.analytics.connect(func(o ...connect.HandlerOption) (string, http.Handler) {
				return analyticsv1connect.NewAnalyticsServiceHandler(
					analyticsv1connect.UnimplementedAnalyticsServiceHandler{}, o...)
			}, "analytics", analyticsv1.File_latchkey_analytics_v1_analytics_proto),
		},
	}
	cfg := config()
	if edit != nil {
		edit(&cfg)
	}
	var err error
	if s.service, err = admin.New(cfg, s.deps); err != nil {
		t.Fatal(err)
	}
	s.engine = s.service.Handler().(*gin.Engine)
	s.handler = openapitest.Wrap(t, openapi.Admin, s.engine)
	s.run()
	return s
}

func config() admin.Config {
	cfg := admin.Config{
		Base: app.Base{
			Env: app.Development, Addr: ":5004", InternalAddr: ":5104",
			AuthURL: "http://auth", LicenseURL: "http://license", AnalyticsURL: "http://analytics",
		},
		AdminAPIKey: ownerKey,
		MasterKeys:  app.MasterKeys{MasterKey: masterKey},
	}
	rpctest.Introduce(&cfg.Base, admin.Name)
	return cfg
}

// licenseDouble answers what admin forwards and what it asks.
func (s *harness) licenseDouble() http.Handler {
	e := s.license.owner("license")
	httpx.Mount(e, "/"+licensev1connect.LicenseServiceName+"/",
		s.license.connect(func(o ...connect.HandlerOption) (string, http.Handler) {
			return licensev1connect.NewLicenseServiceHandler(licensev1connect.UnimplementedLicenseServiceHandler{},
				o...)
		}, "license", licensev1.File_latchkey_license_v1_license_proto))
	return e
}

// in is the harness for a subtest, which then fails by itself.
func (s *harness) in(t testing.TB) *harness {
	sub := *s
	sub.t = t
	return &sub
}

// run runs the background work until the test ends, and waits for the owner key.
func (s *harness) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.service.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("run: %v", err)
		}
	})
	testkit.Eventually(s.t, patience, func() error {
		s.clock.Advance(2 * time.Second) // health is looked at once a second at most
		if r := s.service.Ready(ctx); !r.Ready {
			return errNotYet(r.Dependencies["service"])
		}
		return nil
	})
	s.clock.Set(now)
}

type errNotYet string

func (e errNotYet) Error() string { return "not yet: " + string(e) }

// peer is a service that answers what a test tells it and remembers what it was asked.
type peer struct {
	mu      sync.Mutex
	answers map[string]func(any) (connect.AnyResponse, error)
	replies map[string]httpx.Handler
	asked   []any
	timeout string // of the last method called, in milliseconds
}

func newPeer() *peer {
	return &peer{answers: map[string]func(any) (connect.AnyResponse, error){}, replies: map[string]httpx.Handler{}}
}

// request is what arrived of a request that admin forwarded.
type request struct {
	method, uri, body string
	header            http.Header
	by                *rpc.Actor
	// left is the time that admin had left for it.
	left time.Duration
}

// reply tells a peer how to answer what admin forwards, by method and path such as "GET /api/v1/admin/licenses".
func (s *peer) reply(route string, answer httpx.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[route] = answer
}

// with is an answer, as the owner of a license would give it: JSON or a file.
func with(status int, body string) httpx.Handler {
	kind := "application/json; charset=utf-8"
	if !strings.HasPrefix(body, "{") {
		kind = rpc.FileType
	}
	return func(c *gin.Context) error {
		c.Header("ETag", `"3"`)
		c.Data(status, kind, []byte(body))
		return nil
	}
}

// owner is the internal port of a peer that admin forwards to.
func (s *peer) owner(audience string) *gin.Engine {
	e := httpx.NewEngine(httpx.Options{Service: audience, MaxBody: 10 << 20, Timeout: time.Minute})
	e.Any("/api/v1/admin/*rest", rpc.RequireActor(audience, rpctest.Peers(), "admin"), httpx.Wrap(s.manage))
	return e
}

func (s *peer) manage(c *gin.Context) error {
	body, err := httpx.Body(c)
	if err != nil {
		return err
	}
	deadline, _ := c.Request.Context().Deadline()
	r := request{c.Request.Method, c.Request.RequestURI, string(body), c.Request.Header, rpc.ActorOf(c),
		time.Until(deadline)}
	s.mu.Lock()
	s.asked = append(s.asked, r)
	answer := s.replies[c.Request.Method+" "+c.Request.URL.Path]
	s.mu.Unlock()
	if answer == nil {
		return apierr.ErrInternal
	}
	return answer(c)
}

// on tells a peer how to answer a method.
func on[Req, Res any](s *peer, procedure string, answer func(*Req) (*Res, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[procedure] = func(req any) (connect.AnyResponse, error) {
		res, err := answer(req.(*Req))
		if err != nil {
			return nil, err
		}
		return connect.NewResponse(res), nil
	}
}

// calls is what the peer was asked since the last time.
func (s *peer) calls() []any {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func (s *peer) connect(
	mount func(...connect.HandlerOption) (string, http.Handler), audience string, file protoreflect.FileDescriptor,
) http.Handler {
	intercept := connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			s.mu.Lock()
			s.asked = append(s.asked, req.Any())
			s.timeout = req.Header().Get("Connect-Timeout-Ms")
			answer := s.answers[req.Spec().Procedure]
			s.mu.Unlock()
			if answer == nil {
				return next(ctx, req) // unimplemented
			}
			return answer(req.Any())
		}
	})
	mux := http.NewServeMux()
	mux.Handle(mount(append(rpctest.Serve(audience, file), connect.WithInterceptors(intercept))...))
	return mux
}

// call sends a request with a key; body may be a string, or anything that is JSON. edit may be nil.
func (s *harness) call(key, method, path string, body any, edit func(*http.Request)) *answer {
	s.t.Helper()
	return s.through(s.handler, key, method, path, body, edit)
}

func (s *harness) through(h http.Handler, key, method, path string, body any, edit func(*http.Request)) *answer {
	s.t.Helper()
	var raw []byte
	switch b := body.(type) {
	case nil:
	case string:
		raw = []byte(b)
	default:
		var err error
		if raw, err = json.Marshal(b); err != nil {
			s.t.Fatal(err)
		}
	}
	req := httptest.NewRequestWithContext(s.t.Context(), method, path, bytes.NewReader(raw))
	if len(raw) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("X-Admin-API-Key", key)
	}
	if edit != nil {
		edit(req)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return &answer{t: s.t, name: method + " " + path, status: rec.Code, header: rec.Header(), body: rec.Body.Bytes()}
}

type answer struct {
	t      testing.TB
	name   string
	status int
	header http.Header
	body   []byte
}

// want fails the test unless the answer has the status, and reads its body into dst unless that is nil.
func (a *answer) want(status int, dst any) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: %d, want %d\n%s", a.name, a.status, status, a.body)
	}
	if dst != nil {
		if err := json.Unmarshal(a.body, dst); err != nil {
			a.t.Fatalf("%s: %v\n%s", a.name, err, a.body)
		}
	}
	return a
}

// fails expects the documented error body with a code.
func (a *answer) fails(status int, code string) *answer {
	a.t.Helper()
	var e struct {
		Error     string          `json:"error"`
		ErrorCode string          `json:"error_code"`
		Details   json.RawMessage `json:"details"`
	}
	a.want(status, &e)
	if e.ErrorCode != code || e.Error == "" || !strings.HasPrefix(string(e.Details), "{") {
		a.t.Errorf("%s: %s, want %s\n%s", a.name, e.ErrorCode, code, a.body)
	}
	return a
}

// newKey makes an admin key through the API.
func (s *harness) newKey(name, role string) (id, key string) {
	s.t.Helper()
	var made struct {
		ID          string `json:"id"`
		AdminAPIKey string `json:"admin_api_key"`
	}
	s.call(ownerKey, "POST", "/api/v1/admin/keys", map[string]string{"name": name, "role": role}, nil).
		want(http.StatusCreated, &made)
	return made.ID, made.AdminAPIKey
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}
