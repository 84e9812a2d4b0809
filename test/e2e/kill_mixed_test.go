//go:build unix

package e2e

import (
	"crypto/rand"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestKillEverythingUnderAMixedLoad kills every process of auth, admin and license in turn while people manage, devices
// are activated and refresh their tokens, and API keys come and go. Each call is repeated under its Idempotency-Key
// until it is answered: what was acknowledged is there once, with one audit entry and one event.
func TestKillEverythingUnderAMixedLoad(t *testing.T) {
	w := start(t, processes)
	m := &mixedLoad{roundRobin: w.behindGateway(), customer: "mixed " + rand.Text()}
	r := w.repeat(4, m.round)
	n := int64(0)
	for _, service := range []string{"auth", "admin", "license"} {
		for _, p := range w.replicas(service) {
			n += 8
			w.eventually(func() error {
				if got := r.acknowledged.Load(); got < n {
					return fmt.Errorf("%d rounds, waiting for %d", got, n)
				}
				return nil
			})
			p.Kill9()
			w.restart(p.Name)
		}
	}
	t.Logf("%d rounds", r.stop())
	m.all()
	for _, e := range m.ledger {
		e.holds(m)
	}
	w.works()
}

// mixedLoad is what all kinds of users do, and the ledger of what was acknowledged to them.
type mixedLoad struct {
	*roundRobin
	customer string // of all licenses

	mu     sync.Mutex
	ledger []*acknowledged
}

// acknowledged is what one round of calls was told.
type acknowledged struct {
	n                     int64
	license, key          string
	refreshToken          string
	apiKey                string // its id
	current, old, revoked string // API keys: after the rotation, before it, and one that was revoked
	adminKey, adminSecret string
}

// insist makes a call again until it is answered with a status: others than 503, and 409 for a first attempt that still
// runs, are the test's failure.
func (m *mixedLoad) insist(statuses []int, service, method, path, body string, headers ...string) answer {
	headers = append(slices.Clone(headers), "Idempotency-Key", rand.Text())
	for deadline := time.Now().Add(patience); ; pause(20 * time.Millisecond) {
		a, err := m.ask(service, method, path, body, headers...)
		again := err != nil || a.status == http.StatusServiceUnavailable || a.code() == "IDEMPOTENCY_KEY_IN_USE"
		if !again && slices.Contains(statuses, a.status) {
			return a
		}
		if !again || time.Now().After(deadline) {
			m.Errorf("%s %s of %s: %d %s %v", method, path, service, a.status, a.raw, err)
			return a
		}
	}
}

func (m *mixedLoad) round(n int64) bool {
	e := &acknowledged{n: n}
	m.licenseOf(e)
	m.apiKeyOf(e)
	made := m.insist([]int{201}, "admin", "POST", "/api/v1/admin/keys",
		fmt.Sprintf(`{"name":"%s %d","role":"viewer"}`, m.customer, n), m.asOwner.header()...)
	e.adminKey, e.adminSecret = made.text("id"), made.text("admin_api_key")
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ledger = append(m.ledger, e)
	return true
}

// licenseOf is what comes with a license: its terms, its device, and the tokens of that.
func (m *mixedLoad) licenseOf(e *acknowledged) {
	owner, client := m.asOwner.header(), m.asClient.header()
	made := m.insist([]int{201}, "admin", "POST", "/api/v1/admin/licenses",
		fmt.Sprintf(`{"customer_id":%q,"max_devices":1}`, m.customer), owner...)
	e.license, e.key = made.text("license_id"), made.text("license_key")
	m.insist([]int{200}, "admin", "PATCH", "/api/v1/admin/licenses/"+e.license,
		fmt.Sprintf(`{"metadata":{"round":"%d"}}`, e.n), owner...)
	m.insist([]int{201}, "license", "POST", "/api/v1/license/activate", device(e.key, "pc"), client...)
	m.insist([]int{200}, "license", "POST", "/api/v1/license/validate", device(e.key, "pc"), client...)
	pair := m.insist([]int{200}, "auth", "POST", "/api/v1/auth/token",
		fmt.Sprintf(`{"license_id":%q,"hardware_id":"pc"}`, e.license), client...)
	pair = m.insist([]int{200}, "auth", "POST", "/api/v1/auth/refresh",
		fmt.Sprintf(`{"refresh_token":%q}`, pair.text("refresh_token")))
	e.refreshToken = pair.text("refresh_token")
}

// apiKeyOf makes API keys, and revokes one of them and the first secret of the other.
func (m *mixedLoad) apiKeyOf(e *acknowledged) {
	const path = "/api/v1/auth/api-key"
	vendor := m.asVendor.header()
	made := m.insist([]int{201}, "auth", "POST", path, `{"client_name":"mixed","allowed_endpoints":["*"]}`, vendor...)
	e.apiKey, e.old = made.text("id"), made.text("api_key")
	e.current = m.insist([]int{200}, "auth", "POST", path+"s/"+e.apiKey+"/rotate", `{"grace_seconds":0}`, vendor...).
		text("api_key")
	made = m.insist([]int{201}, "auth", "POST", path, `{"client_name":"gone","allowed_endpoints":["*"]}`, vendor...)
	e.revoked = made.text("api_key")
	m.insist([]int{200, 404}, "auth", "DELETE", path+"s/"+made.text("id"), "", vendor...) // 404: the answer was lost
}

// all demands that nothing was made but what was acknowledged, and that each change stands in the audit log once.
func (m *mixedLoad) all() {
	m.Helper()
	a := m.want(m.admin("GET", "/licenses?per_page=1&customer_id="+url.QueryEscape(m.customer), ""), 200, "")
	if a.body["total"] != float64(len(m.ledger)) {
		m.Errorf("%v licenses, %d acknowledged", a.body["total"], len(m.ledger))
	}
	keys := string(m.want(m.admin("GET", "/keys", ""), 200, "").raw)
	if got := strings.Count(keys, m.customer); got != len(m.ledger) {
		m.Errorf("%d admin keys, %d acknowledged", got, len(m.ledger))
	}
	for action, of := range map[string]func(*acknowledged) string{
		"license.create":   func(e *acknowledged) string { return e.license },
		"license.update":   func(e *acknowledged) string { return e.license },
		"api_key.create":   func(e *acknowledged) string { return e.apiKey },
		"api_key.rotate":   func(e *acknowledged) string { return e.apiKey },
		"admin_key.create": func(e *acknowledged) string { return e.adminKey },
	} {
		m.eventually(func() error {
			entries := m.audited(action)
			for _, e := range m.ledger {
				n := 0
				for _, entry := range entries {
					if strings.Contains(entry, of(e)) {
						n++
					}
				}
				if n != 1 {
					return fmt.Errorf("%d audit entries %s of round %d", n, action, e.n)
				}
			}
			return nil
		})
	}
}

// audited are the audit entries of an action.
func (m *mixedLoad) audited(action string) (entries []string) {
	m.Helper()
	for page, pages := 1, math.Inf(1); float64(page) <= pages; page++ {
		a := m.want(m.admin("GET", fmt.Sprintf("/audit?action=%s&per_page=100&page=%d", action, page), ""), 200, "")
		for _, entry := range a.body["entries"].([]any) {
			entries = append(entries, fmt.Sprint(entry))
		}
		pages, _ = a.body["total_pages"].(float64)
	}
	return entries
}

// holds demands that a round had its effects, each once.
func (e *acknowledged) holds(m *mixedLoad) {
	m.Helper()
	l := m.want(m.admin("GET", "/licenses/"+e.license, ""), 200, "")
	if fmt.Sprint(l.body["metadata"]) != fmt.Sprintf("map[round:%d]", e.n) || l.body["current_devices"] != 1.0 {
		m.Errorf("round %d: %s", e.n, l.raw)
	}
	events := string(m.want(m.admin("GET", "/licenses/"+e.license+"/events?hours=1", ""), 200, "").raw)
	for _, kind := range []string{"license.created", "license.updated", "license.activated"} {
		if n := strings.Count(events, `"`+kind+`"`); n != 1 {
			m.Errorf("round %d: %d events %s: %s", e.n, n, kind, events)
		}
	}
	m.want(m.license("activate", device(e.key, "another")), 403, "")
	pair := m.want(m.refresh(e.refreshToken), 200, "")
	m.want(m.call("POST", m.LicenseURL+"/api/v1/license/heartbeat", "{}", "Authorization",
		"Bearer "+pair.text("access_token")), 200, "")
	for key, status := range map[string]int{e.current: 200, e.old: 401, e.revoked: 401} {
		for _, service := range m.URLs("license") {
			m.want(m.call("POST", service+"/api/v1/license/validate", device(e.key, "pc"), "X-API-Key", key),
				status, "")
		}
	}
	for _, admin := range m.URLs("admin") {
		m.want(m.call("GET", admin+"/api/v1/admin/licenses/"+e.license, "", "X-Admin-API-Key", e.adminSecret), 200, "")
	}
	m.usage(e.license, "activations", 1)
}
