package smoketest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// answers are what a suite in order says to each call.
var answers = map[string]string{
	"POST /api/v1/auth/api-key":        `{"id": "k1", "api_key": "the API key"}`,
	"POST /api/v1/admin/licenses":      `{"license_id": "l1", "license_key": "LIC-1"}`,
	"POST /api/v1/license/activate":    `{"activated": true}`,
	"POST /api/v1/license/validate":    `{"valid": true}`,
	"DELETE /api/v1/admin/licenses/l1": `{}`,
	"DELETE /api/v1/auth/api-keys/k1":  `{}`,
}

var credentials = map[string]string{
	"auth": "X-Admin-Secret the admin secret", "admin": "X-Admin-API-Key the admin key",
	"license": "X-API-Key the API key",
}

// run tries a suite that answers as in answers but for one call, which gets status and body, and returns the calls.
func run(t *testing.T, broken string, status int, body string) (calls []string, err error) {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		name := r.Method + " " + r.URL.Path
		calls = append(calls, name)
		header, value, _ := strings.Cut(credentials[strings.Split(r.URL.Path, "/")[3]], " ")
		if got := r.Header.Get(header); got != value {
			t.Errorf("%s comes with %q as %s", name, got, header)
		}
		if name == broken {
			if status == interrupted {
				interrupt()
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
			return
		}
		fmt.Fprint(w, answers[name])
	}))
	defer server.Close()
	suite := Suite{
		AuthURL: server.URL, LicenseURL: server.URL, AdminURL: server.URL,
		AdminSecret: "the admin secret", AdminAPIKey: "the admin key",
	}
	err = suite.Run(ctx)
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(calls), err
}

// interrupted, as a status, is a call during which somebody presses Ctrl-C.
const interrupted = 599

func TestRunEndsWhatItMadeWhenItIsInterrupted(t *testing.T) {
	calls, err := run(t, "POST /api/v1/license/activate", interrupted, "")
	if err == nil || !slices.Contains(calls, "DELETE /api/v1/admin/licenses/l1") ||
		!slices.Contains(calls, "DELETE /api/v1/auth/api-keys/k1") {
		t.Errorf("calls %q (%v)", calls, err)
	}
}

func TestRunValidatesALicenseAndLeavesNothing(t *testing.T) {
	calls, err := run(t, "", 0, "")
	want := []string{
		"POST /api/v1/auth/api-key", "POST /api/v1/admin/licenses", "POST /api/v1/license/activate",
		"POST /api/v1/license/validate", "DELETE /api/v1/admin/licenses/l1", "DELETE /api/v1/auth/api-keys/k1",
	}
	if err != nil || !slices.Equal(calls, want) {
		t.Errorf("calls %q (%v), want %q", calls, err, want)
	}
}

func TestRunTellsWhatFailedAndEndsWhatItMade(t *testing.T) {
	for broken := range answers {
		calls, err := run(t, broken, http.StatusServiceUnavailable, `{"error_code": "AWAY"}`)
		_, path, _ := strings.Cut(broken, " ")
		if err == nil || !strings.Contains(err.Error(), path+" answers 503") || !strings.Contains(err.Error(), "AWAY") {
			t.Errorf("%s fails, and the error is %v", broken, err)
		}
		for made, ended := range map[string]string{
			"POST /api/v1/auth/api-key":   "DELETE /api/v1/auth/api-keys/k1",
			"POST /api/v1/admin/licenses": "DELETE /api/v1/admin/licenses/l1",
		} {
			if was := made != broken && slices.Contains(calls, made); was != slices.Contains(calls, ended) {
				t.Errorf("%s fails: %s is made: %v, and not ended, or ended all the same", broken, made, was)
			}
		}
		if strings.Contains(err.Error(), "the admin") || strings.Contains(err.Error(), "the API key") {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}

func TestRunWantsTheLicenseValid(t *testing.T) {
	_, err := run(t, "POST /api/v1/license/validate", http.StatusOK, `{"valid": false}`)
	if err == nil || !strings.Contains(err.Error(), "not valid") {
		t.Errorf("error %v", err)
	}
}
