package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/app"
)

// Pages of any origin may call a suite on its default, and none that is in production, unless the setting names them.
func TestCORSFollowsTheEnvironment(t *testing.T) {
	for _, tt := range []struct{ env, origins, want string }{
		{app.Development, "", "*"}, {app.Production, "", ""},
		{app.Development, "https://a.example", "https://a.example"},
		{app.Production, "https://a.example", "https://a.example"},
	} {
		setEnvironment(t, program)
		t.Setenv("LATCHKEY_ENV", tt.env)
		t.Setenv("LATCHKEY_CORS_ORIGINS", tt.origins)
		set, err := loadSettings([]string{"--data-dir", t.TempDir()}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		made := newSecrets()
		if err := set.complete(&made); err != nil {
			t.Fatal(err)
		}
		for _, clients := range []app.Clients{set.auth.Clients, set.license.Clients, set.analytics.Clients} {
			if got := strings.Join(clients.CORSOrigins, ","); got != tt.want {
				t.Errorf("%s, %q: %q", tt.env, tt.origins, got)
			}
		}
	}
}

// Pages may send every method that a service for applications has a route of.
func TestPagesMaySendEveryMethod(t *testing.T) {
	s := opened(t)
	for _, name := range []string{"auth", "license", "analytics"} {
		engine := s.public[name].(*gin.Engine)
		tried := map[string]bool{}
		for _, route := range engine.Routes() {
			if tried[route.Method] {
				continue
			}
			tried[route.Method] = true
			w, req := httptest.NewRecorder(), httptest.NewRequest(http.MethodOptions, "/", nil)
			req.Header.Set("Origin", "https://app.example.com")
			req.Header.Set("Access-Control-Request-Method", route.Method)
			if engine.ServeHTTP(w, req); w.Header().Get("Access-Control-Allow-Methods") != route.Method {
				t.Errorf("%s %s: a page may not send it: %v", name, route.Method, w.Header())
			}
		}
		if len(tried) < 2 {
			t.Errorf("%s has routes of %v", name, tried)
		}
	}
}

// TestServesTLS: with a certificate the whole suite speaks TLS.
func TestServesTLS(t *testing.T) {
	pair := httptest.NewTLSServer(http.NotFoundHandler())
	defer pair.Close()
	cert, key := writePair(t, pair.TLS.Certificates[0])
	t.Setenv("LATCHKEY_TLS_CERT_FILE", cert)
	t.Setenv("LATCHKEY_TLS_KEY_FILE", key)
	d := installation{t, t.TempDir()}
	c, _, stop := start(t, anyPort(d.dir))
	defer stop()
	if out, code := d.command("smoke-test"); code != 0 {
		t.Errorf("smoke-test: %d %s", code, out)
	}
	file := filepath.Join(t.TempDir(), "a.csv")
	if err := os.WriteFile(file, []byte("license_key,customer_id\nKEY-00001,a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out output
	imports := []string{"--data-dir", d.dir, "import", "--dry-run", file}
	if err := run(t.Context(), imports, &out, io.Discard); err != nil {
		t.Errorf("import: %v %s", err, out.String())
	}
	for _, url := range []string{c.AuthURL, c.LicenseURL, c.AnalyticsURL, c.AdminURL} {
		res, err := pair.Client().Get(url + "/healthz")
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK || !strings.HasPrefix(url, "https://") {
			t.Errorf("%s answers %d", url, res.StatusCode)
		}
		if res, err := http.Get("http" + strings.TrimPrefix(url, "https") + "/healthz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				t.Errorf("%s answers plain HTTP too", url)
			}
		}
	}
}

// writePair writes a certificate and its key as PEM files.
func writePair(t *testing.T, pair tls.Certificate) (cert, key string) {
	t.Helper()
	raw, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", pair.Certificate[0]), write("key.pem", "PRIVATE KEY", raw)
}
