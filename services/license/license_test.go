package license_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/app"
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
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/services/license"
)

const internalSecret = secret.Secret("an internal secret that is long enough")

// authDouble answers as the auth service would.
type authDouble struct {
	authv1connect.UnimplementedAuthServiceHandler
	key    ed25519.PrivateKey
	apiKey string
	limit  *authv1.RateLimit

	mu      sync.Mutex
	away    bool
	revoked map[string]bool
}

func (a *authDouble) outage() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away {
		return apierr.ErrUnavailable
	}
	return nil
}

func (a *authDouble) LookUpAPIKey(_ context.Context, req *connect.Request[authv1.LookUpAPIKeyRequest]) (*connect.Response[authv1.LookUpAPIKeyResponse], error) {
	if err := a.outage(); err != nil {
		return nil, err
	}
	known := secret.Hash(a.apiKey)
	if !bytes.Equal(req.Msg.GetSha256(), known[:]) {
		return nil, apierr.New(apierr.Unauthenticated, errcode.InvalidAPIKey, "no such key")
	}
	return connect.NewResponse(&authv1.LookUpAPIKeyResponse{ApiKeyId: "key", AllowedEndpoints: []string{"/api/v1/license/*"}, RateLimit: a.limit}), nil
}

func (a *authDouble) CheckTokenFamily(_ context.Context, req *connect.Request[authv1.CheckTokenFamilyRequest]) (*connect.Response[authv1.CheckTokenFamilyResponse], error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return connect.NewResponse(&authv1.CheckTokenFamilyResponse{Revoked: a.revoked[req.Msg.GetFamilyId()]}), nil
}

func (a *authDouble) SignOfflineToken(_ context.Context, req *connect.Request[authv1.SignOfflineTokenRequest]) (*connect.Response[authv1.SignOfflineTokenResponse], error) {
	if err := a.outage(); err != nil {
		return nil, err
	}
	signed, err := token.Sign(a.key, "k1", claims.Offline{
		RegisteredClaims: registered(claims.AudienceOffline, req.Msg.GetLicenseId(), req.Msg.GetIssuedAt().AsTime(), req.Msg.GetExpiresAt().AsTime()),
		HardwareID:       req.Msg.GetHardwareId(), Features: req.Msg.GetFeatures(),
	})
	return connect.NewResponse(&authv1.SignOfflineTokenResponse{Token: signed}), err
}

func (a *authDouble) ListPublicKeys(context.Context, *connect.Request[authv1.ListPublicKeysRequest]) (*connect.Response[authv1.ListPublicKeysResponse], error) {
	jwks := token.EncodeJWKS(map[string]ed25519.PublicKey{"k1": a.key.Public().(ed25519.PublicKey)})
	return connect.NewResponse(&authv1.ListPublicKeysResponse{JwksJson: jwks}), nil
}

func registered(audience, subject string, from, to time.Time) jwt.RegisteredClaims {
	return jwt.RegisteredClaims{
		Issuer: claims.Issuer, Audience: jwt.ClaimStrings{audience}, Subject: subject, ID: "t-1",
		IssuedAt: jwt.NewNumericDate(from), ExpiresAt: jwt.NewNumericDate(to),
	}
}

// world is a running license service with everything around it.
type world struct {
	t     *testing.T
	auth  *authDouble
	clock *clock.Fake
	// public checks every answer against the OpenAPI document.
	public http.Handler
	engine *gin.Engine
	admin  licensev1connect.LicenseServiceClient
	// published holds the types of the events that reached the bus.
	mu        sync.Mutex
	published []event.Event
}

func eachWorld(t *testing.T, test func(w *world)) {
	testkit.EachEngine(t, license.Migrations, func(t *testing.T, d *db.DB) { test(newWorld(t, d)) })
}

func newWorld(t *testing.T, d *db.DB) *world {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, clock: clock.NewFake(time.Now()),
		auth: &authDouble{key: key, apiKey: secret.New("sk_"), limit: &authv1.RateLimit{PerMinute: 60, PerHour: 1000, Per: "key"}, revoked: map[string]bool{}},
	}
	internal := map[string]http.Handler{"auth": handlerOf(authv1connect.NewAuthServiceHandler(w.auth, rpc.Serve("auth", []secret.Secret{internalSecret})...))}
	letters := testkit.SQLite(t, inproc.Migrations)
	events, err := inproc.New(inproc.Config{DB: letters, Queues: []bus.Queue{{Name: "test", Types: []string{"#"}, BatchWait: time.Millisecond}}, Log: testkit.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	cfg := license.DefaultConfig()
	cfg.Env, cfg.AuthURL, cfg.InternalSecret = app.Development, "http://auth", internalSecret
	cfg.MasterKey = secret.Secret(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)))
	s, err := license.New(cfg, app.Deps{
		Log: testkit.Log(t), DB: d, Bus: events, HTTP: httpx.InProcess(internal), Clock: w.clock, Metrics: obs.NewMetrics("license"),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.engine = s.Handler().(*gin.Engine)
	w.public = openapitest.Wrap(t, openapi.License, s.Handler())
	internal["license"] = s.InternalHandler()
	w.admin = licensev1connect.NewLicenseServiceClient(rpc.HTTPClient(httpx.InProcess(internal)), "http://license",
		rpc.NewClientOptions(rpc.Identity{Service: "admin", Secret: internalSecret}, "license")...)
	w.run(s, events)
	return w
}

func handlerOf(_ string, h http.Handler) http.Handler { return h }

func (w *world) run(s *license.Service, events bus.Bus) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			w.t.Errorf("run: %v", err)
		}
	})
	running.Go(func() {
		_ = events.Consume(ctx, bus.Queue{Name: "test", Types: []string{"#"}}, func(_ context.Context, batch []event.Event) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.published = append(w.published, batch...)
			return nil
		})
	})
	w.t.Cleanup(func() {
		stop()
		running.Wait()
		_ = events.Close()
	})
}

type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (w *world) call(method, path, body string, headers ...string) answer {
	w.t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.public.ServeHTTP(rec, req)
	out := answer{status: rec.Code, header: rec.Header()}
	if err := json.Unmarshal(rec.Body.Bytes(), &out.body); err != nil {
		w.t.Fatalf("%s %s answered %d with no JSON object: %q", method, path, rec.Code, rec.Body)
	}
	return out
}

func (w *world) post(endpoint, body string, headers ...string) answer {
	w.t.Helper()
	return w.call(http.MethodPost, "/api/v1/license/"+endpoint, body, append([]string{"X-API-Key", w.auth.apiKey}, headers...)...)
}

func (w *world) want(got answer, status int, code string) {
	w.t.Helper()
	if got.status != status || code != "" && got.body["error_code"] != code {
		w.t.Errorf("got %d %v, want %d %s", got.status, got.body, status, code)
	}
}

// create makes a license through the internal API; expires 0 is perpetual.
func (w *world) create(seats int32, expiresInDays int32) (id, key string) {
	w.t.Helper()
	n := &licensev1.NewLicense{CustomerId: "acme", MaxDevices: &seats, Features: []string{"export"}}
	if expiresInDays > 0 {
		n.ExpiresInDays = &expiresInDays
	}
	resp, err := w.admin.CreateLicense(w.t.Context(), connect.NewRequest(&licensev1.CreateLicenseRequest{License: n}))
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.Msg.GetLicense().GetLicenseId(), resp.Msg.GetLicenseKey()
}

func device(key, hardwareID string) string {
	b, _ := json.Marshal(map[string]string{"license_key": key, "hardware_id": hardwareID})
	return string(b)
}

// bearer is an access token of a device.
func (w *world) bearer(licenseID, hardwareID string) []string {
	w.t.Helper()
	now := w.clock.Now()
	raw, err := token.Sign(w.auth.key, "k1", claims.Access{
		RegisteredClaims: registered(claims.AudienceAccess, licenseID, now, now.Add(time.Hour)), HardwareID: hardwareID, FamilyID: "family-1",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return []string{"Authorization", "Bearer " + raw}
}

// eventually waits for an event of this type.
func (w *world) eventually(eventType string) event.Event {
	w.t.Helper()
	var found event.Event
	testkit.Eventually(w.t, 10*time.Second, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, e := range w.published {
			if e.Type == eventType {
				found = e
				return nil
			}
		}
		return apierr.New(apierr.NotFound, eventType, "not published yet")
	})
	return found
}
