//go:build unix

package e2e

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/test/suite"
)

// canary stands wherever a client may put a credential.
const canary = "hush-4711-hush"

// TestNoCredentialIsLogged: whatever a request holds, and wherever, the log tells only its method, its route and what
// became of it.
func TestNoCredentialIsLogged(t *testing.T) {
	t.Parallel()
	w := own(t, suite.Options{
		Embedded: true,
		Settings: []string{"LATCHKEY_LOG_LEVEL=debug", "LATCHKEY_ADDRESS_LIMITS=false"},
	})
	id, key := w.create(`{"customer_id":"logs"}`)
	w.want(w.license("activate", device(key, "pc")), 201, "")
	access, refresh := w.pair(id, "pc")
	for _, service := range []string{w.AuthURL, w.LicenseURL, w.AnalyticsURL, w.AdminURL} {
		w.everywhere(service, canary)
		w.everywhere(service, key)
		w.unreadable(service, canary)
	}
	const last = "/the-last-one-of-this-test"
	w.want(w.call("GET", w.AdminURL+last, "", "X-Request-ID", "the-last-request"), 404, "")
	var log string
	w.eventually(func() error {
		raw, err := os.ReadFile(w.Process("latchkey").Log())
		if log = string(raw); err == nil && !strings.Contains(log, "the-last-request") {
			err = fmt.Errorf("the log ends before the last request: %d bytes", len(raw))
		}
		return err
	})
	if n := strings.Count(log, "msg=request"); n < 200 {
		t.Errorf("the log has %d requests", n)
	}
	for name, secret := range map[string]string{
		"the canary": canary, "the canary in base64": base64.StdEncoding.EncodeToString([]byte("x:" + canary)),
		"the license key":  key,
		"the access token": access, "the refresh token": refresh, "the API key": w.APIKey,
		"the admin key": w.AdminAPIKey, "the admin secret": w.AdminSecret,
	} {
		if at := strings.Index(log, secret); at >= 0 {
			start := strings.LastIndexByte(log[:at], '\n') + 1
			line, _, _ := strings.Cut(log[start:], "\n")
			t.Errorf("%s is in the log: %s", name, line)
		}
	}
}

// everywhere sends secret in every place of requests that the service can read.
func (w *harness) everywhere(service, secret string) {
	w.Helper()
	escaped := url.QueryEscape(secret)
	paths := []string{
		"/?license_key=" + escaped, "/healthz?token=" + escaped, "/readyz?" + escaped, "/" + escaped,
		"/api/v1/" + escaped + "/x", "/docs/" + escaped,
		"/api/v1/license/validate?license_key=" + escaped, "/api/v1/license/validate/" + escaped,
		"/api/v1/auth/api-keys/" + escaped,
		"/api/v1/auth/verify?token=" + escaped, "/api/v1/admin/licenses?license_key=" + escaped,
		"/api/v1/admin/licenses?" + escaped + "=1",
		"/api/v1/admin/licenses/" + escaped, "/api/v1/admin/keys/" + escaped,
		"/api/v1/analytics/license/" + escaped + "/report?" + escaped,
		"/api/v1/license/heartbeat", "/api/v1/license/validate-offline", "/api/v1/auth/refresh", "/api/v1/auth/token",
		"/api/v1/admin/licenses", "/%68ush?a=%ZZ" + escaped,
	}
	bodies := []string{
		fmt.Sprintf(`{"license_key":%q,"hardware_id":"x"}`, secret),
		fmt.Sprintf(`{"token":%q,"refresh_token":%q}`, secret, secret),
		fmt.Sprintf(`{%q:1,"license_key":[%q],"hardware_id":{"a":%q}}`, secret, secret, secret), secret,
		`{"a":"` + secret,
	}
	credentials := [][]string{
		{"X-API-Key", secret}, {"X-Admin-Secret", secret}, {"X-Admin-API-Key", secret},
		{"Authorization", "Bearer " + secret},
		{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+secret))},
		{"Cookie", "session=" + secret}, {"Idempotency-Key", secret},
		{"If-Match", secret}, {"Content-Type", "text/" + secret}, {"X-Request-ID", secret + "/"},
		{"User-Agent", secret}, {"Referer", "http://x/?k=" + secret},
		{"X-API-Key", w.APIKey, "X-Admin-API-Key", w.AdminAPIKey, "X-Admin-Secret", w.AdminSecret},
	}
	for i, path := range paths {
		for j := range credentials { // each path meets each credential, with a method and a body in turn
			method, body := []string{"POST", "GET", "PATCH", "DELETE", "PUT"}[(i+j)%5], bodies[(i+j)%len(bodies)]
			if _, err := try(method, service+path, body, credentials[j]...); err != nil &&
				!strings.Contains(err.Error(), "invalid URL escape") {
				w.Fatal(err)
			}
		}
	}
}

// unreadable sends what no server can read as a request.
func (w *harness) unreadable(service, secret string) {
	w.Helper()
	for _, request := range []string{
		"GET /?license_key=" + secret + " HTTP/9.9\r\n\r\n", secret + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n" + secret + "\r\n\r\n",
		"GET /" + secret + " HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + secret + "\r\n\r\n",
		"GET /%zz" + secret + " HTTP/1.1\r\nHost: a\r\n\r\n",
		secret + " / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"GET http://x:" + secret + "@a/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + secret + "\r\nConnection: close\r\nX-Forwarded-For: " + secret + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat(secret, 2000) + "\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(service, "http://"))
		if err != nil {
			w.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(conn, request); err != nil {
			w.Error(err)
		}
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
}
