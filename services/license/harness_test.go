package license_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/inproc"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/openapitest"
	"github.com/latchkey-dev/latchkey/pkg/testkit/rpctest"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	adminv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/admin/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/admin/v1/adminv1connect"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/services/license"
)

// patience is how long a test waits for what must happen, on however busy a computer.
const patience = 20 * time.Second

// authDouble answers as the auth service would.
type authDouble struct {
	authv1connect.UnimplementedAuthServiceHandler
	kid    string
	key    ed25519.PrivateKey // that signs, the only one published
	apiKey string
	// product is the one to which apiKey is bound.
	product string
	limit   *authv1.RateLimit

	keyRevoked atomic.Bool
	endedKeys  sync.Map // by their hashes

	mu   sync.Mutex
	away bool
	// revoked are families and tokens, asked the tokens that were asked about.
	revoked map[string]bool
	asked   []string
	// tokenID and familyID are those of the next access token.
	tokenID, familyID string
	// whileSigning, when not nil, runs before an offline token is handed out.
	whileSigning func()
}

func (a *authDouble) outage() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away {
		return apierr.ErrUnavailable
	}
	return nil
}

func (a *authDouble) LookUpAPIKey(
	_ context.Context, req *connect.Request[authv1.LookUpAPIKeyRequest],
) (*connect.Response[authv1.LookUpAPIKeyResponse], error) {
	if err := a.outage(); err != nil {
		return nil, err
	}
	if _, ended := a.endedKeys.Load(string(req.Msg.GetSha256())); ended {
		return connect.NewResponse(&authv1.LookUpAPIKeyResponse{ApiKeyId: "ended", Ended: true}), nil
	}
	known := secret.Hash(a.apiKey)
	if !bytes.Equal(req.Msg.GetSha256(), known[:]) || a.keyRevoked.Load() {
		return nil, apierr.New(apierr.Unauthenticated, errcode.InvalidAPIKey, "no such key")
	}
	return connect.NewResponse(&authv1.LookUpAPIKeyResponse{
		ApiKeyId:         "key",
		AllowedEndpoints: []string{"/api/v1/license/*"},
		RateLimit:        a.limit,
		Product:          a.product,
	}), nil
}

// endedKey makes an API key one that was good once.
func (a *authDouble) endedKey(key string) string {
	hash := secret.Hash(key)
	a.endedKeys.Store(string(hash[:]), true)
	return key
}

func (a *authDouble) CheckAccessToken(
	_ context.Context, req *connect.Request[authv1.CheckAccessTokenRequest],
) (*connect.Response[authv1.CheckAccessTokenResponse], error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, req.Msg.GetTokenId())
	return connect.NewResponse(&authv1.CheckAccessTokenResponse{
		Revoked: a.revoked[req.Msg.GetFamilyId()], Void: a.revoked[req.Msg.GetTokenId()],
	}), nil
}

func (a *authDouble) SignOfflineToken(
	_ context.Context, req *connect.Request[authv1.SignOfflineTokenRequest],
) (*connect.Response[authv1.SignOfflineTokenResponse], error) {
	if err := a.outage(); err != nil {
		return nil, err
	}
	if a.whileSigning != nil {
		a.whileSigning()
	}
	until := claims.Ends{}
	for code, at := range req.Msg.GetFeaturesUntil() {
		until[code] = jwt.NewNumericDate(at.AsTime())
	}
	signed, err := token.Sign(a.key, a.kid, claims.Offline{
		RegisteredClaims: registered(claims.AudienceOffline, req.Msg.GetLicenseId(),
			req.Msg.GetIssuedAt().AsTime().Add(-claims.SlowClock), req.Msg.GetExpiresAt().AsTime()),
		HardwareID: req.Msg.GetHardwareId(), Features: req.Msg.GetFeatures(), FeaturesUntil: until,
		LicenseVersion: int(req.Msg.GetLicenseVersion()),
	})
	return connect.NewResponse(&authv1.SignOfflineTokenResponse{Token: signed}), err
}

func (a *authDouble) ListPublicKeys(
	context.Context, *connect.Request[authv1.ListPublicKeysRequest],
) (*connect.Response[authv1.ListPublicKeysResponse], error) {
	if err := a.outage(); err != nil {
		return nil, err
	}
	jwks := token.EncodeJWKS(map[string]ed25519.PublicKey{a.kid: a.key.Public().(ed25519.PublicKey)})
	return connect.NewResponse(&authv1.ListPublicKeysResponse{JwksJson: jwks}), nil
}

func (a *authDouble) revoke(familyID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoked[familyID] = true
}

func registered(audience, subject string, from, to time.Time) jwt.RegisteredClaims {
	return jwt.RegisteredClaims{
		Issuer: claims.Issuer, Audience: jwt.ClaimStrings{audience}, Subject: subject, ID: "t-1",
		IssuedAt: jwt.NewNumericDate(from), ExpiresAt: jwt.NewNumericDate(to),
	}
}

// world is a running license service with everything around it.
type world struct {
	t    testing.TB
	auth *authDouble
	// admins knows the admin keys that this service is shown.
	admins adminsDouble
	clock  *clock.Fake
	db     *db.DB
	bus    *noticedBus
	// sisters are the internal ports, this service's own among them.
	sisters httpx.InProcess
	config  license.Config
	// log is nil for that of the test.
	log *slog.Logger
	// public checks every answer against the OpenAPI document.
	public http.Handler
	// engine and internal are the two ports.
	engine, internal *gin.Engine
	// admin answers what ada asks at admin, and checks every answer against admin's OpenAPI document.
	admin http.Handler
	// asAuth calls as the service that asks about devices.
	asAuth licensev1connect.LicenseServiceClient
	// published holds the events that reached the bus.
	mu        sync.Mutex
	published []event.Event
}

// noticedBus tells when a service has begun to watch: until then it forgets everything once, by itself.
type noticedBus struct {
	bus.Bus
	watched chan struct{}
}

func (b *noticedBus) Watch(ctx context.Context, w bus.Watch) error {
	var once sync.Once
	onGap := w.OnGap
	w.OnGap = func() {
		onGap()
		once.Do(func() { b.watched <- struct{}{} })
	}
	return b.Bus.Watch(ctx, w)
}

// eachEngine is testkit.EachEngine with both engines at once: a test that makes one call at a time leaves a processor
// idle.
func eachEngine(t *testing.T, test func(t *testing.T, d *db.DB)) {
	t.Helper()
	testkit.EachEngine(t, license.Migrations, func(t *testing.T, d *db.DB) {
		t.Parallel()
		test(t, d)
	})
}

func eachWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	eachEngine(t, func(t *testing.T, d *db.DB) { test(newWorld(t, d)) })
}

// eachWorldInTurn is eachWorld with one engine after the other, for calls that race: on both at once more of them would
// be turned away for their number.
func eachWorldInTurn(t *testing.T, test func(w *world)) {
	t.Helper()
	testkit.EachEngine(t, license.Migrations, func(t *testing.T, d *db.DB) { test(newWorld(t, d)) })
}

var everything = bus.Queue{Name: "test", Types: []string{"#"}, BatchWait: time.Millisecond}

func newWorld(t testing.TB, d *db.DB, edits ...func(*license.Config)) *world {
	w := newStillWorld(t, d, edits...)
	events, err := inproc.New(inproc.Config{
		DB:     testkit.SQLite(t, inproc.Migrations),
		Queues: []bus.Queue{everything},
		Log:    testkit.Log(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = events.Close() })
	w.bus = &noticedBus{Bus: events, watched: make(chan struct{}, 1)}
	w.background(func(ctx context.Context) error { return events.Consume(ctx, everything, w.note) })
	w.serve()
	return w
}

// eachStillWorld is eachWorld where no job of the service runs, which would write something now and then.
func eachStillWorld(t *testing.T, test func(w *world)) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		w := newStillWorld(t, d)
		w.build()
		test(w)
	})
}

// newStillWorld is a world whose service is yet to be built; it runs no jobs unless it is served.
func newStillWorld(t testing.TB, d *db.DB, edits ...func(*license.Config)) *world {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, db: d, clock: clock.NewFake(time.Now()), config: config(edits...),
		auth: &authDouble{
			kid:     "k1",
			key:     key,
			apiKey:  secret.New("sk_"),
			limit:   &authv1.RateLimit{PerMinute: 60, PerHour: 1000, Per: "key"},
			revoked: map[string]bool{},
			tokenID: "t-1",
		},
	}
	w.sisters = httpx.InProcess{
		"auth": handlerOf(authv1connect.NewAuthServiceHandler(w.auth,
			rpctest.Serve("auth", authv1.File_latchkey_auth_v1_auth_proto)...)),
		"admin": handlerOf(adminv1connect.NewAdminServiceHandler(&w.admins,
			rpctest.Serve("admin", adminv1.File_latchkey_admin_v1_admin_proto)...)),
	}
	return w
}

func config(edits ...func(*license.Config)) license.Config {
	cfg := license.DefaultConfig()
	cfg.Env, cfg.AuthURL, cfg.AdminURL = app.Development, "http://auth", "http://admin"
	rpctest.Introduce(&cfg.Base, "license")
	cfg.MasterKey = secret.Secret(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)))
	for _, edit := range edits {
		edit(&cfg)
	}
	return cfg
}

// deafBus shows no events, as when the broker is away.
type deafBus struct{ bus.Bus }

func (deafBus) Watch(ctx context.Context, w bus.Watch) error {
	w.OnGap()
	<-ctx.Done()
	return nil
}

// replica is another process of the service, on the same database and bus.
func (w *world) replica() *world { return w.replicaOn(w.bus.Bus) }

func (w *world) replicaOn(b bus.Bus) *world {
	noticed := &noticedBus{Bus: b, watched: make(chan struct{}, 1)}
	r := &world{
		t:       w.t,
		auth:    w.auth,
		clock:   w.clock,
		db:      w.db,
		bus:     noticed,
		sisters: maps.Clone(w.sisters),
		config:  w.config,
		log:     w.log,
	}
	r.serve()
	return r
}

// serve starts the service and waits until it learns of events.
func (w *world) serve() {
	w.t.Helper()
	s := w.build()
	w.background(s.Run)
	<-w.bus.watched
}

func (w *world) build() *license.Service {
	w.t.Helper()
	s, err := license.New(w.config, app.Deps{
		Log: cmp.Or(w.log, testkit.Log(w.t)), DB: w.db, Bus: w.bus, HTTP: w.sisters, Clock: w.clock,
		Metrics: obs.NewMetrics("license"),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.engine = s.Handler().(*gin.Engine)
	w.public = openapitest.Wrap(w.t, openapi.License, s.Handler())
	w.internal = s.InternalHandler().(*gin.Engine)
	w.sisters["license"] = w.internal
	w.admin = openapitest.Wrap(w.t, openapi.Admin, w.front(ada))
	w.asAuth = w.client(rpctest.Client("auth", "license")...)
	return s
}

// front asks the internal port in the name of by.
func (w *world) front(by *rpc.Actor) http.Handler {
	return rpctest.Front("license", w.internal, by)
}

// client calls the internal port.
func (w *world) client(options ...connect.ClientOption) licensev1connect.LicenseServiceClient {
	return licensev1connect.NewLicenseServiceClient(rpc.HTTPClient(w.sisters), "http://license", options...)
}

func handlerOf(_ string, h http.Handler) http.Handler { return h }

// background runs until the test ends.
func (w *world) background(run func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx); err != nil {
			w.t.Errorf("run: %v", err)
		}
	})
	w.t.Cleanup(func() {
		stop()
		running.Wait()
	})
}

func (w *world) note(_ context.Context, batch []event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published = append(w.published, batch...)
	for _, e := range batch {
		if e.Type != eventsv1.TypeAuditRecorded {
			continue
		}
		var entry struct{ Action string }
		if err := json.Unmarshal(e.Data, &entry); err != nil || !slices.Contains(audit.Actions, entry.Action) {
			w.t.Errorf("audit.Actions does not name %q (%v)", entry.Action, err)
		}
	}
	return nil
}

type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

func (w *world) call(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.ask(w.public, method, path, body, headers...)
}

func (w *world) ask(h http.Handler, method, path, body string, headers ...string) answer {
	w.t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return w.asked(h, req)
}

func (w *world) asked(h http.Handler, req *http.Request) answer {
	w.t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	out := answer{status: rec.Code, header: rec.Header(), raw: rec.Body.String()}
	if err := json.Unmarshal(rec.Body.Bytes(), &out.body); err != nil {
		w.t.Fatalf("%s %s answered %d with no JSON object: %q", req.Method, req.URL.Path, rec.Code, rec.Body)
	}
	return out
}

func (w *world) post(endpoint, body string, headers ...string) answer {
	w.t.Helper()
	return w.call(http.MethodPost, "/api/v1/license/"+endpoint, body,
		append([]string{"X-API-Key", w.auth.apiKey}, headers...)...)
}

func (w *world) want(got answer, status int, code string) {
	w.t.Helper()
	if got.status != status || code != "" && got.body["error_code"] != code {
		w.t.Errorf("got %d %v, want %d %s", got.status, got.body, status, code)
	}
}

// must ends the test where a call that the rest needs is answered otherwise.
func (w *world) must(got answer, status int) {
	w.t.Helper()
	if got.status != status {
		w.t.Fatalf("got %d %s, want %d", got.status, got.raw, status)
	}
}

// create makes a license; expiresInDays 0 is perpetual.
func (w *world) create(seats, expiresInDays int) (id, key string) {
	w.t.Helper()
	end := "null"
	if expiresInDays > 0 {
		end = fmt.Sprint(expiresInDays)
	}
	made := w.manage(http.MethodPost, "", fmt.Sprintf(
		`{"customer_id":"acme","max_devices":%d,"features":["export"],"expires_in_days":%s}`, seats, end))
	w.must(made, http.StatusCreated)
	return made.body["license_id"].(string), made.body["license_key"].(string)
}

func device(key, hardwareID string) string {
	b, _ := json.Marshal(map[string]string{"license_key": key, "hardware_id": hardwareID})
	return string(b)
}

// bearer is an access token of a device. One without a seat gets a token all the same, from before it had one; for a
// license of users, it is one of a user who has signed in.
func (w *world) bearer(licenseID, hardwareID string) []string {
	w.t.Helper()
	now, version := w.clock.Now(), 0
	seat, err := w.asAuth.CheckDevice(w.t.Context(),
		connect.NewRequest(&licensev1.CheckDeviceRequest{LicenseId: licenseID, HardwareId: hardwareID}))
	switch {
	case err == nil:
		version = int(seat.Msg.GetLicenseVersion())
	case apierr.From(err).Code == errcode.InvalidCredentials:
		version = int(w.get(licenseID)["version"].(float64))
	}
	access := registered(claims.AudienceAccess, licenseID, now, now.Add(time.Hour))
	access.ID = w.auth.tokenID
	raw, err := token.Sign(w.auth.key, w.auth.kid, claims.Access{
		RegisteredClaims: access, HardwareID: hardwareID, FamilyID: cmp.Or(w.auth.familyID, "family-1"),
		LicenseVersion: version,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return []string{"Authorization", "Bearer " + raw}
}

// eventually waits for an event of this type.
func (w *world) eventually(eventType string) event.Event {
	w.t.Helper()
	return w.await(func(e event.Event) bool { return e.Type == eventType })
}

// await waits for the first event that matches.
func (w *world) await(matches func(event.Event) bool) (found event.Event) {
	w.t.Helper()
	testkit.Eventually(w.t, patience, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		i := slices.IndexFunc(w.published, matches)
		if i < 0 {
			return errors.New("the event is not published yet")
		}
		found = w.published[i]
		return nil
	})
	return found
}
