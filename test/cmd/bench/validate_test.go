//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/rpctest"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
	"github.com/latchkey-dev/latchkey/services/license"
)

// BenchmarkHandler compares the handlers without any network: what validate costs beyond the bare one is all ours. For
// the ranked list of where it goes: go test -bench Handler/validate -cpuprofile cpu.out
func BenchmarkHandler(b *testing.B) {
	b.Run("bare", func(b *testing.B) { serve(b, baseline(), "") })
	b.Run("validate", func(b *testing.B) {
		key := secret.New("sk_")
		serve(b, warmLicense(b, key), key)
	})
}

const benchmarked = 10_000

func serve(b *testing.B, h http.Handler, apiKey string) {
	bodies := make([][]byte, benchmarked)
	for i := range bodies {
		bodies[i] = fmt.Appendf(nil, `{"license_key":%q,"hardware_id":%q}`,
			licenseKey(int64(i+1)), hardwareID(int64(i+1)))
	}
	w := &discarding{header: http.Header{}}
	ask := func(body []byte) {
		clear(w.header)
		h.ServeHTTP(w, newRequest(body, apiKey))
		if w.status != http.StatusOK || !bytes.Contains(w.body, []byte(`"valid":true`)) {
			b.Fatalf("answer %d %s", w.status, w.body)
		}
	}
	for _, body := range bodies {
		ask(body)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ask(bodies[i%len(bodies)])
	}
}

func newRequest(body []byte, apiKey string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, validatePath, bytes.NewReader(body))
	if err != nil {
		panic(err) // the path is a constant
	}
	r.RemoteAddr = "127.0.0.1:1234"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-API-Key", apiKey)
	return r
}

// discarding keeps the last answer only.
type discarding struct {
	header http.Header
	status int
	body   []byte
}

func (w *discarding) Header() http.Header    { return w.header }
func (w *discarding) WriteHeader(status int) { w.status = status }
func (w *discarding) Write(p []byte) (int, error) {
	w.body = append(w.body[:0], p...)
	return len(p), nil
}

// warmLicense is the license service over a real database, with a bus that takes everything and an auth that knows one
// key.
func warmLicense(b *testing.B, apiKey string) http.Handler {
	app.Tune() // as its program does
	masterKey := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	url := testkit.Postgres(b)
	data := testkit.Open(b, db.Config{URL: url, Schema: license.Name}, license.Migrations...)
	if err := fill(b.Context(), url, masterKey, benchmarked); err != nil {
		b.Fatal(err)
	}
	_, auth := authv1connect.NewAuthServiceHandler(oneKey{hash: secret.Hash(apiKey)},
		rpctest.Serve("auth", authv1.File_latchkey_auth_v1_auth_proto)...)
	cfg := license.DefaultConfig()
	cfg.Env, cfg.AuthURL, cfg.MasterKey = app.Production, "http://auth", secret.Secret(masterKey)
	rpctest.Introduce(&cfg.Base, license.Name)
	cfg.RateLimitShared = true
	s, err := license.New(cfg, app.Deps{
		Log: obs.NewLogger(obs.NewBuffer(io.Discard), "info", "json"), DB: data, Bus: takesAll{}, Clock: clock.System{},
		HTTP: httpx.InProcess{"auth": auth}, Metrics: obs.NewMetrics(license.Name),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return s.Handler()
}

// oneKey is an auth service with one API key, which has no limit.
type oneKey struct {
	authv1connect.UnimplementedAuthServiceHandler
	hash [32]byte
}

func (a oneKey) LookUpAPIKey(
	_ context.Context, r *connect.Request[authv1.LookUpAPIKeyRequest],
) (*connect.Response[authv1.LookUpAPIKeyResponse], error) {
	if !bytes.Equal(r.Msg.GetSha256(), a.hash[:]) {
		return nil, connect.NewError(connect.CodeUnauthenticated, nil)
	}
	return connect.NewResponse(&authv1.LookUpAPIKeyResponse{ApiKeyId: "key", AllowedEndpoints: []string{"*"}}), nil
}

// takesAll is a bus that is always up and delivers nothing.
type takesAll struct{}

func (takesAll) Publish(context.Context, []event.Event) error { return nil }

func (takesAll) Consume(ctx context.Context, _ bus.Queue, _ bus.Handler) error {
	<-ctx.Done()
	return nil
}

func (takesAll) Watch(ctx context.Context, w bus.Watch) error {
	tick := time.NewTicker(bus.TickEvery)
	defer tick.Stop()
	for {
		w.Link.Tick()
		for _, service := range w.Link.Sources() {
			w.Link.Sign(service)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (takesAll) Vouch(ctx context.Context, _ string, _ func(context.Context) bool) error {
	<-ctx.Done()
	return nil
}

func (takesAll) DeadLetters(string) bus.DeadLetters { return nil }

func (takesAll) State() bus.State { return bus.State{Connected: true} }

func (takesAll) Close() error { return nil }
