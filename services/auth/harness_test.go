package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/inproc"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/openapitest"
	"github.com/latchkey-dev/latchkey/pkg/testkit/rpctest"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/auth/internal/store"
)

const (
	adminSecret = "Zq3vT8mK1xR6pL0wN4cB9yF2hJ7dS5gA"
	licenseID   = "01985d1c-7a3e-7c52-9d4b-0d2f6c1e8a10"
	device      = "device-123"
)

// patience is how long a test waits for what must happen, on however busy a computer. The clocks stand still, so what
// is remembered does not end by itself.
const patience = 20 * time.Second

// license answers what auth asks its peer service: nil is a device in good standing.
type license struct {
	licensev1connect.UnimplementedLicenseServiceHandler
	mu    sync.Mutex
	check func(licenseID, hardwareID string) error
	// version is the license's; activated is the version with which its devices took their seats.
	version, activated int32
	// credentials is the number of the device's user, nil for none.
	credentials *int64
	// asked is the last question.
	asked *licensev1.CheckDeviceRequest
}

func (l *license) lastAsked() *licensev1.CheckDeviceRequest {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

func (l *license) set(check func(licenseID, hardwareID string) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.check = check
}

// reseat has all devices leave their seats and take them again.
func (l *license) reseat() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.version += 2
	l.activated = l.version
}

// proved says with which credentials the user of the devices would prove to be it, nil where nobody signs in.
func (l *license) proved(credentials *int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.credentials = credentials
}

func (l *license) CheckDevice(
	_ context.Context, req *connect.Request[licensev1.CheckDeviceRequest],
) (*connect.Response[licensev1.CheckDeviceResponse], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = req.Msg
	if l.check != nil {
		if err := l.check(req.Msg.LicenseId, req.Msg.HardwareId); err != nil {
			return nil, err
		}
	}
	if req.Msg.LicenseVersion != nil && *req.Msg.LicenseVersion < l.activated {
		return nil, token.Refused("revoked")
	}
	return connect.NewResponse(&licensev1.CheckDeviceResponse{
		LicenseVersion: l.version, UserCredentials: l.credentials,
	}), nil
}

// harness is an auth service with everything around it.
type harness struct {
	*testing.T
	clock   *clock.Fake
	db      *db.DB
	service *auth.Service
	handler http.Handler
	license *license
	// auth is asked as the license service asks it; admin is what Ada asks there.
	auth  authv1connect.AuthServiceClient
	admin http.Handler
	store *store.Store
	seen  *witness
	// What a replica is made of.
	bus   bus.Bus
	cfg   auth.Config
	peers httpx.InProcess
}

// witness keeps all events that the bus carried.
type witness struct {
	mu     sync.Mutex
	events []event.Event
}

// in is the same harness for a subtest.
func (w *harness) in(t *testing.T) *harness {
	sub := *w
	sub.T = t
	return &sub
}

// eachEngine runs test in its own harness on every engine.
func eachEngine(t *testing.T, test func(w *harness), change ...func(*auth.Config)) {
	t.Helper()
	testkit.EachEngine(t, append(slices.Clone(auth.Migrations), inproc.Migrations), func(t *testing.T, d *db.DB) {
		test(newHarness(t, d, change...))
	})
}

// onSQLite is for what does not depend on the engine.
func onSQLite(t *testing.T, change ...func(*auth.Config)) *harness {
	t.Helper()
	return newHarness(t, testkit.SQLite(t, append(slices.Clone(auth.Migrations), inproc.Migrations)...), change...)
}

func newHarness(t *testing.T, d *db.DB, change ...func(*auth.Config)) *harness {
	t.Helper()
	w := &harness{
		T:       t,
		db:      d,
		clock:   clock.NewFake(time.Now().Truncate(time.Second)),
		license: &license{version: 2, activated: 2},
		seen:    &witness{},
	}
	b, err := inproc.New(inproc.Config{DB: d, Queues: auth.Queues, Log: testkit.Log(t)})
	w.must(err)
	cfg := auth.DefaultConfig()
	cfg.Env, cfg.LicenseURL = app.Development, "http://license"
	cfg.AdminSecret = adminSecret
	rpctest.Introduce(&cfg.Base, auth.Name)
	cfg.MasterKey = secret.Secret(base64.StdEncoding.EncodeToString(masterKey(1)))
	for _, c := range change {
		c(&cfg)
	}
	path, handler := licensev1connect.NewLicenseServiceHandler(w.license,
		rpctest.Serve("license", licensev1.File_latchkey_license_v1_license_proto)...)
	mux := http.NewServeMux()
	mux.Handle(path, handler)
	peers := httpx.InProcess{"license": mux}
	w.bus, w.cfg, w.peers = b, cfg, peers
	w.build()
	peers["auth"] = w.service.InternalHandler()
	w.auth = authv1connect.NewAuthServiceClient(rpc.HTTPClient(peers), "http://auth",
		rpctest.Client("license", "auth")...)
	ada := &rpc.Actor{Id: "k-1", Name: "Ada", Role: "owner", Ip: "192.0.2.7"}
	w.admin = openapitest.Wrap(t, openapi.Admin, rpctest.Front("auth", peers["auth"], ada))
	ring, err := keyring.New(auth.Name, masterKey(1))
	w.must(err)
	w.store = store.New(d, outbox.New(d, "latchkey/auth"), masterkey.New(d, ring))
	w.run(b)
	return w
}

// build makes the service of the harness.
func (w *harness) build() {
	w.Helper()
	var err error
	w.service, err = auth.New(w.cfg, app.Deps{
		Log: testkit.Log(w.T), DB: w.db, Bus: w.bus, HTTP: w.peers, Clock: w.clock, Metrics: obs.NewMetrics("auth"),
	})
	w.must(err)
	w.handler = openapitest.Wrap(w.T, openapi.Auth, w.service.Handler())
}

// replicaOn is the harness as another process of the service sees it, on the same database.
func (w *harness) replicaOn(b bus.Bus) *harness {
	w.Helper()
	r := *w
	r.bus, r.seen = b, &witness{}
	r.build()
	r.run(w.bus)
	return &r
}

// deafBus shows no events, as when the broker is away.
type deafBus struct {
	bus.Bus
	watched chan struct{} // closed when the service watches: until then it forgets everything once, by itself
}

func (b deafBus) Watch(ctx context.Context, w bus.Watch) error {
	w.OnGap()
	close(b.watched)
	<-ctx.Done()
	return nil
}

func masterKey(fill byte) []byte { return bytes.Repeat([]byte{fill, 0x5a, 3, 0x99}, 8) }

// run starts the service's background work and a witness of all events, and stops both at the end of the test.
func (w *harness) run(b bus.Bus) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	link := bus.NewLink()
	wg.Go(func() {
		_ = b.Watch(ctx, bus.Watch{Types: []string{"#"}, Link: link, OnGap: func() {}, OnEvent: func(e event.Event) {
			w.seen.mu.Lock()
			defer w.seen.mu.Unlock()
			w.seen.events = append(w.seen.events, e)
		}})
	})
	wg.Go(func() {
		if err := w.service.Run(ctx); err != nil {
			w.Errorf("run: %v", err)
		}
	})
	w.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	testkit.Eventually(w, patience, func() error {
		if !link.Alive() {
			return fmt.Errorf("the witness does not watch yet")
		}
		return nil
	})
}

func (w *harness) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// events are the events of a type that the bus has carried.
func (w *harness) events(eventType string) []event.Event {
	w.seen.mu.Lock()
	defer w.seen.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.seen.events), func(e event.Event) bool { return e.Type != eventType })
}

// awaitEvent waits for the n-th event of a type and reads it into m.
func (w *harness) awaitEvent(n int, m proto.Message) event.Event {
	w.Helper()
	var e event.Event
	testkit.Eventually(w, patience, func() error {
		got := w.events(event.TypeOf(m))
		if len(got) < n {
			return fmt.Errorf("%d events %s, want %d", len(got), event.TypeOf(m), n)
		}
		e = got[n-1]
		return nil
	})
	w.must(e.Into(m))
	return e
}

// answer is what a call got.
type answer struct {
	*harness
	status int
	header http.Header
	body   string
}

type headers map[string]string

func (w *harness) call(method, path string, h headers, body string) answer {
	w.Helper()
	return w.ask(w.handler, method, path, h, body)
}

// manage asks what Ada asks at admin; path goes on below /api/v1/admin/api-keys.
func (w *harness) manage(method, path string, h headers, body string) answer {
	w.Helper()
	return w.ask(w.admin, method, managed+path, h, body)
}

func (w *harness) ask(handler http.Handler, method, path string, h headers, body string) answer {
	w.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	for name, value := range h {
		req.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	return answer{w, rec.Code, rec.Header(), rec.Body.String()}
}

// is demands a status and, where it is given, an error code.
func (a answer) is(status int, code string) answer {
	a.Helper()
	var e struct {
		Code string `json:"error_code"`
	}
	if code != "" {
		_ = json.Unmarshal([]byte(a.body), &e)
	}
	if a.status != status || e.Code != code {
		a.Fatalf("got %d %s, want %d %s", a.status, a.body, status, code)
	}
	return a
}

func (a answer) reason() string {
	var e struct {
		Details struct {
			Reason string `json:"reason"`
		} `json:"details"`
	}
	a.into(&e)
	return e.Details.Reason
}

func (a answer) into(dst any) {
	a.Helper()
	if err := json.Unmarshal([]byte(a.body), dst); err != nil {
		a.Fatalf("%v in %s", err, a.body)
	}
}

var asAdmin = headers{"X-Admin-Secret": adminSecret}

type apiKey struct {
	ID               string   `json:"id"`
	APIKey           string   `json:"api_key"`
	ClientName       string   `json:"client_name"`
	Product          *string  `json:"product"`
	AllowedEndpoints []string `json:"allowed_endpoints"`
	RateLimit        struct {
		PerMinute int    `json:"per_minute"`
		PerHour   int    `json:"per_hour"`
		Per       string `json:"per"`
	} `json:"rate_limit"`
	CreatedAt    time.Time  `json:"created_at"`
	ExpiresAt    *time.Time `json:"expires_at"`
	OldExpiresAt *time.Time `json:"old_api_key_expires_at"`
}

func (w *harness) createKey(body string) apiKey {
	w.Helper()
	var k apiKey
	w.call("POST", "/api/v1/auth/api-key", asAdmin, body).is(201, "").into(&k)
	return k
}

// client is the header of a key without limits.
func (w *harness) client() headers {
	w.Helper()
	return headers{"X-API-Key": w.createKey(
		`{"client_name": "app", "rate_limit": {"per_minute": 0, "per_hour": 0}}`).APIKey}
}

type pair struct {
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	Type      string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"`
}

func tokenBody(licenseID, hardwareID string) string {
	return fmt.Sprintf(`{"license_id": %q, "hardware_id": %q}`, licenseID, hardwareID)
}

func (w *harness) issue(client headers) pair {
	w.Helper()
	var p pair
	w.call("POST", "/api/v1/auth/token", client, tokenBody(licenseID, device)).is(200, "").into(&p)
	return p
}

func (w *harness) refresh(token string) answer {
	w.Helper()
	return w.call("POST", "/api/v1/auth/refresh", nil, fmt.Sprintf(`{"refresh_token": %q}`, token))
}

func (w *harness) verify(token string) answer {
	w.Helper()
	return w.call("POST", "/api/v1/auth/verify", headers{"Authorization": "Bearer " + token}, "")
}
