package httpx

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/proto/openapi"
)

func TestMeta(t *testing.T) {
	r := newRig(t, nil)
	state := Readiness{Ready: true, Dependencies: map[string]string{"database": "ok", "broker": "ok"}}
	Meta(r.Engine, MetaOptions{
		Service: "test", OpenAPI: openapi.License, Metrics: obs.NewMetrics("test").Handler(),
		Ready: func(context.Context) Readiness { return state },
	})
	if w := r.do(t, "GET", "/healthz", ""); w.Code != 200 || w.Body.String() != `{"status":"ok"}` {
		t.Errorf("/healthz: %d %s", w.Code, w.Body)
	}
	for _, tt := range []struct {
		ready  bool
		broker string
		status int
		want   string
	}{
		{true, "ok", 200, "ready"}, {true, "degraded: no connection", 200, "degraded"},
		{false, "ok", 503, "unavailable"},
	} {
		state = Readiness{Ready: tt.ready, Dependencies: map[string]string{"broker": tt.broker}}
		w := r.do(t, "GET", "/readyz", "")
		want := `{"dependencies":{"broker":"` + tt.broker + `"},"status":"` + tt.want + `"}`
		if w.Code != tt.status || w.Body.String() != want {
			t.Errorf("/readyz: %d %s, want %d %s", w.Code, w.Body, tt.status, want)
		}
	}
	state = Readiness{Ready: true, Maintenance: true}
	const maintained = `{"dependencies":{},"maintenance":true,"status":"ready"}`
	if w := r.do(t, "GET", "/readyz", ""); w.Code != 200 || w.Body.String() != maintained {
		t.Errorf("/readyz: %d %s, want 200 %s", w.Code, w.Body, maintained)
	}
	var version map[string]string
	if err := json.Unmarshal(r.do(t, "GET", "/version", "").Body.Bytes(), &version); err != nil ||
		version["service"] != "test" || version["go"] == "" || version["version"] == "" || version["commit"] == "" ||
		version["date"] == "" {
		t.Errorf("/version: %v %v", version, err)
	}
	if w := r.do(t, "GET", "/metrics", ""); w.Code != 200 || !strings.Contains(w.Body.String(), "go_goroutines") {
		t.Errorf("/metrics: %d", w.Code)
	}
	wantError(t, r.do(t, "POST", "/healthz", ""), 405, "METHOD_NOT_ALLOWED")
}

func TestMetaLeavesOut(t *testing.T) {
	r := newRig(t, nil)
	Meta(r.Engine, MetaOptions{Service: "test"})
	for _, path := range []string{"/metrics", "/openapi.json", "/docs"} {
		wantError(t, r.do(t, "GET", path, ""), 404, "NOT_FOUND")
	}
	if w := r.do(t, "GET", "/readyz", ""); w.Code != 200 || w.Body.String() != `{"dependencies":{},"status":"ready"}` {
		t.Errorf("/readyz: %d %s", w.Code, w.Body)
	}
}

func TestOpenAPIIsTheDocument(t *testing.T) {
	r := newRig(t, nil)
	const document = "openapi: 3.1.0\ninfo: {title: A, version: \"1.0\"}\nx:\n  z: &same [1, 2.50, true, null, " +
		"\"true\", 2026-01-31]\n  a: *same\n  text: |\n    two\n    lines\n"
	Meta(r.Engine, MetaOptions{Service: "test", OpenAPI: []byte(document)})
	var got any
	if err := json.Unmarshal(r.do(t, "GET", "/openapi.json", "").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	list := []any{1.0, 2.5, true, nil, "true", "2026-01-31"}
	want := map[string]any{
		"openapi": "3.1.0",
		"info":    map[string]any{"title": "A", "version": "1.0"},
		"x":       map[string]any{"z": list, "a": list, "text": "two\nlines\n"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for name, document := range map[string][]byte{
		"auth":      openapi.Auth,
		"license":   openapi.License,
		"analytics": openapi.Analytics,
		"admin":     openapi.Admin,
	} {
		r := newRig(t, nil)
		Meta(r.Engine, MetaOptions{Service: name, OpenAPI: document})
		if w := r.do(t, "GET", "/openapi.json", ""); w.Code != 200 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

func TestDocs(t *testing.T) {
	r := newRig(t, nil)
	Meta(r.Engine, MetaOptions{Service: "<test>", OpenAPI: openapi.Auth})
	page := r.do(t, "GET", "/docs", "")
	policy := page.Header().Get("Content-Security-Policy")
	if page.Code != 200 || strings.Contains(page.Body.String(), "<test>") ||
		!strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "script-src 'self';") {
		t.Errorf("/docs: %d %s %s", page.Code, policy, page.Body)
	}
	if strings.Contains(page.Body.String(), "://") {
		t.Error("the page needs another server")
	}
	for _, part := range strings.Split(page.Body.String(), `"`) {
		if !strings.HasPrefix(part, "/docs/") {
			continue
		}
		w := r.do(t, "GET", part, "", "Accept-Encoding", "gzip, br")
		if w.Code != 200 || w.Header().Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", part, w.Code, w.Header())
		}
	}
	plain := r.do(t, "GET", "/docs/swagger-ui-bundle.js", "")
	if plain.Code != http.StatusOK || plain.Header().Get("Content-Encoding") != "" ||
		!strings.Contains(plain.Body.String(), "SwaggerUIBundle") {
		t.Errorf("without gzip: %d %v", plain.Code, plain.Header())
	}
	for _, path := range []string{"/docs/nothing", "/docs/../docs.go", "/docs/swagger-ui.css.gz/x", "/docs/."} {
		wantError(t, r.do(t, "GET", path, ""), 404, "NOT_FOUND")
	}
}

// Anyone who takes the page's files uncompressed costs one decompression for all.
func TestDocsAreUnzippedOnce(t *testing.T) {
	r := newRig(t, nil)
	Meta(r.Engine, MetaOptions{Service: "test", OpenAPI: []byte("openapi: 3.1.0")})
	first := r.do(t, "GET", "/docs/swagger-ui-bundle.js", "")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 5
	for range times {
		w := httptest.NewRecorder()
		w.Body = nil
		r.ServeHTTP(w, httptest.NewRequest("GET", "/docs/swagger-ui-bundle.js", nil))
	}
	runtime.ReadMemStats(&after)
	if size := uint64(first.Body.Len()); first.Code != http.StatusOK || size < 500_000 ||
		after.TotalAlloc-before.TotalAlloc > times*size/2 {
		t.Errorf("%d bytes of work for %d answers of %d bytes", after.TotalAlloc-before.TotalAlloc, times, size)
	}
}

func TestDocsCanBeSwitchedOff(t *testing.T) {
	r := newRig(t, nil)
	Meta(r.Engine, MetaOptions{Service: "test", OpenAPI: []byte("openapi: 3.1.0"), NoDocs: true})
	for _, path := range []string{"/docs", "/docs/", "/docs/swagger-ui.css"} {
		wantError(t, r.do(t, "GET", path, ""), 404, "NOT_FOUND")
	}
	if w := r.do(t, "GET", "/openapi.json", ""); w.Code != http.StatusOK {
		t.Errorf("the document: got %d", w.Code)
	}
}
