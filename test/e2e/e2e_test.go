//go:build unix

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/test/servers"
	"github.com/latchkey-dev/latchkey/test/suite"
)

// shared are the two suites that all tests use, started by whoever needs them first. A test that breaks something mends
// it.
var shared struct {
	mu     sync.Mutex
	suites map[bool]*suite.Suite
	errs   map[bool]error
}

func TestMain(m *testing.M) {
	shared.suites, shared.errs = map[bool]*suite.Suite{}, map[bool]error{}
	code := m.Run()
	for _, s := range shared.suites {
		if err := s.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: a suite did not end well:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// start returns the shared suite of a mode.
func start(t *testing.T, embedded bool) *harness {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	s, err := shared.suites[embedded], shared.errs[embedded]
	if s == nil && err == nil {
		replicas := 2
		if embedded {
			replicas = 1
		}
		// Not the test's context: the suite outlives it.
		s, err = suite.Start(context.Background(), suite.Options{
			Embedded: embedded, Replicas: replicas,
			Settings: []string{"LATCHKEY_ADDRESS_LIMITS=false", "LATCHKEY_TOKEN_RATE_LIMIT=0",
				"LATCHKEY_TRUSTED_PROXIES=127.0.0.1"},
		})
		if err == nil {
			shared.suites[embedded] = s
		}
		shared.errs[embedded] = err
	}
	if errors.Is(err, servers.ErrNotInstalled) {
		testkit.NotCovered(t, "the four services on PostgreSQL and RabbitMQ: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &harness{T: t, Suite: s, embedded: embedded}
}

// each runs a test on both suites.
func each(t *testing.T, test func(w *harness)) {
	t.Run("embedded", func(t *testing.T) { test(start(t, true)) })
	t.Run("processes", func(t *testing.T) { test(start(t, false)) })
}

// harness is a running suite and the test that drives it.
type harness struct {
	*testing.T
	*suite.Suite
	embedded bool
}

// answer is what a service said.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	raw    []byte
}

func (a answer) code() string { code, _ := a.body["error_code"].(string); return code }

func (a answer) text(member string) string { s, _ := a.body[member].(string); return s }

var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// try makes a call; err is a failure to get an answer at all.
func try(method, url, body string, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i+1] == "" {
			req.Header.Del(headers[i])
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.raw, err = io.ReadAll(resp.Body); err != nil {
		return answer{}, err
	}
	d := json.NewDecoder(bytes.NewReader(a.raw))
	_ = d.Decode(&a.body) // answers that are no object have no members
	return a, nil
}

// call makes a call that must be answered.
func (w *harness) call(method, url, body string, headers ...string) answer {
	w.Helper()
	a, err := try(method, url, body, headers...)
	if err != nil {
		w.Fatalf("%s %s: %v", method, url, err)
	}
	return a
}

func (w *harness) want(a answer, status int, code string) answer {
	w.Helper()
	if a.status != status || code != "" && a.code() != code {
		w.Fatalf("got %d %s, want %d %s", a.status, a.raw, status, code)
	}
	return a
}

func (w *harness) admin(method, path, body string, headers ...string) answer {
	w.Helper()
	return w.call(method, w.AdminURL+"/api/v1/admin"+path, body,
		append([]string{"X-Admin-API-Key", w.AdminAPIKey}, headers...)...)
}

func (w *harness) license(endpoint, body string) answer {
	w.Helper()
	return w.call(http.MethodPost, w.LicenseURL+"/api/v1/license/"+endpoint, body, "X-API-Key", w.APIKey)
}

func (w *harness) analytics(method, path string) answer {
	w.Helper()
	return w.call(method, w.AnalyticsURL+"/api/v1/analytics"+path, "", "X-API-Key", w.APIKey)
}

func (w *harness) create(body string) (id, key string) {
	w.Helper()
	a := w.want(w.admin(http.MethodPost, "/licenses", body), http.StatusCreated, "")
	return a.text("license_id"), a.text("license_key")
}

func device(key, hardwareID string) string {
	return fmt.Sprintf(`{"license_key":%q,"hardware_id":%q}`, key, hardwareID)
}

// patience is for what takes seconds: much longer, because the computer may be busy.
const patience = 3 * time.Minute

// eventually waits until cond is met.
func (w *harness) eventually(cond func() error) {
	w.Helper()
	testkit.Eventually(w.T, patience, cond)
}

// usage waits until analytics has counted so many of one kind for a license; yesterday's too, in case it has just
// turned midnight.
func (w *harness) usage(licenseID, member string, want int) {
	w.Helper()
	w.eventually(func() error {
		a, err := try(http.MethodGet, w.AdminURL+"/api/v1/admin/licenses/"+licenseID+"/usage?days=2", "",
			"X-Admin-API-Key", w.AdminAPIKey)
		if err != nil || a.status != http.StatusOK {
			return fmt.Errorf("usage: %d %s %v", a.status, a.raw, err)
		}
		totals, _ := a.body["totals"].(map[string]any)
		if got, _ := totals[member].(float64); int(got) != want {
			return fmt.Errorf("%s: %v, want %d", member, totals[member], want)
		}
		return nil
	})
}

// devices counts the active devices of a license as admin shows them, and what the license's counter says.
func (w *harness) devices(licenseID string) (active, counter int) {
	w.Helper()
	const perPage = 1000
	for page := 1; ; page++ {
		path := fmt.Sprintf("/licenses/%s/devices?page=%d&per_page=%d", licenseID, page, perPage)
		list := w.want(w.admin(http.MethodGet, path, ""), http.StatusOK, "").body["devices"].([]any)
		for _, d := range list {
			if d.(map[string]any)["is_active"] == true {
				active++
			}
		}
		if len(list) < perPage {
			break
		}
	}
	l := w.want(w.admin(http.MethodGet, "/licenses/"+licenseID, ""), http.StatusOK, "")
	return active, int(l.body["current_devices"].(float64))
}
