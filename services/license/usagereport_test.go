package license_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/event"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
)

// offlineMachine is a machine without a network that has a license file and a key for its reports.
type offlineMachine struct {
	w                     *world
	licenseID, hardwareID string
	key                   ed25519.PrivateKey
}

// goOffline gets a license file for a machine, with the public key of a new pair.
func (w *world) goOffline(licenseID, licenseKey, hardwareID string) *offlineMachine {
	w.t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.must(w.post("license-file", fmt.Sprintf(`{"license_key":%q,"hardware_id":%q,"device_public_key":%q}`,
		licenseKey, hardwareID, base64.StdEncoding.EncodeToString(public))), http.StatusCreated)
	return &offlineMachine{w, licenseID, hardwareID, private}
}

func (m *offlineMachine) sign(change func(*file.UsageReport)) string {
	m.w.t.Helper()
	r := file.UsageReport{
		ReportID: "r-1", LicenseID: m.licenseID, HardwareID: m.hardwareID, Consumed: map[string]int64{"exports": 3},
		From: m.w.clock.Now().Add(-time.Hour), To: m.w.clock.Now(),
	}
	if change != nil {
		change(&r)
	}
	text, err := file.SignReport(m.key, r)
	if err != nil {
		m.w.t.Fatal(err)
	}
	return string(text)
}

// report carries a report to the server.
func (w *world) report(text string) answer {
	w.t.Helper()
	body, err := json.Marshal(map[string]string{"usage_report": text})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.post("usage-report", string(body))
}

// meteredOffline is a license with the counter exports of a limit, and a machine without a network on it.
func (w *world) meteredOffline(limit int) (id string, m *offlineMachine) {
	w.t.Helper()
	id, key := w.metered(fmt.Sprintf(`[{"name":"exports","limit":%d,"per_device":true}]`, limit))
	return id, w.goOffline(id, key, "far-away")
}

func TestUsageReports(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, m := w.meteredOffline(10)
		report := m.sign(nil)
		first := w.report(report)
		w.want(first, http.StatusOK, "")
		counted := first.body["counters"].(map[string]any)["exports"].(map[string]any)
		if counted["used"] != 3.0 || counted["device_used"] != 3.0 || len(first.body["over_limit"].([]any)) != 0 {
			w.t.Errorf("%s", first.raw)
		}
		w.clock.Advance(time.Hour)
		again := w.report(strings.TrimSuffix(report, "\n"))
		if diff := cmp.Diff(first.body, again.body); diff != "" {
			w.t.Errorf("again: %s", diff)
		}
		other := m.sign(func(r *file.UsageReport) { r.Consumed["exports"] = 4 })
		w.want(w.report(other), http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")
		w.wantUsed(id, "exports", 3)

		// Out of order, and beyond the limit: it has happened.
		over := w.report(m.sign(func(r *file.UsageReport) {
			r.ReportID, r.Consumed["exports"] = "r-0", 20
			r.From, r.To = r.From.Add(-48*time.Hour), r.To.Add(-48*time.Hour)
		}))
		w.want(over, http.StatusOK, "")
		if diff := cmp.Diff([]any{"exports"}, over.body["over_limit"]); diff != "" {
			w.t.Error(diff)
		}
		w.wantUsed(id, "exports", 23)
		w.await(func(e event.Event) bool {
			return e.Type == "license.counter.threshold" && strings.Contains(string(e.Data), `"overage":true`)
		})
		w.await(func(e event.Event) bool {
			return e.Type == "license.consumed" && strings.Contains(string(e.Data), "far-away")
		})
	})
}

// TestReportsOfALicenseThatHasEnded: what was consumed is counted, also where nothing more may be.
func TestReportsOfALicenseThatHasEnded(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, m := w.meteredOffline(10)
		w.want(w.manage(http.MethodPost, "/"+id+"/devices/deactivate", `{"hardware_id":"far-away"}`), http.StatusOK, "")
		w.want(w.manage(http.MethodDelete, "/"+id, ""), http.StatusOK, "")
		w.want(w.report(m.sign(nil)), http.StatusOK, "")
		w.wantUsed(id, "exports", 3)
	})
}

func TestUsageReportsThatAreRefused(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, m := w.meteredOffline(10)
		other := *w.goOffline(id, w.reveal(id), "another")
		keyless := offlineMachine{w, id, "pc", m.key}
		stranger := offlineMachine{w, id, "nobody", m.key}
		other.hardwareID = m.hardwareID
		change := func(edit func(*file.UsageReport)) string { return m.sign(edit) }
		for name, tt := range map[string]struct {
			text   string
			status int
			code   string
		}{
			"another device's key": {other.sign(nil), 401, "INVALID_SIGNATURE"},
			"a device without key": {keyless.sign(nil), 401, "INVALID_SIGNATURE"},
			"an unknown device":    {stranger.sign(nil), 401, "INVALID_SIGNATURE"},
			"another license": {change(func(r *file.UsageReport) { r.LicenseID = unknown }), 404,
				"LICENSE_NOT_FOUND"},
			"no id of a license": {change(func(r *file.UsageReport) { r.LicenseID = "x" }), 404, "LICENSE_NOT_FOUND"},
			"an unknown counter": {change(func(r *file.UsageReport) { r.Consumed["x"] = 1 }), 400, "COUNTER_NOT_FOUND"},
			"nothing consumed":   {change(func(r *file.UsageReport) { r.Consumed = nil }), 400, "VALIDATION_ERROR"},
			"less than nothing": {change(func(r *file.UsageReport) { r.Consumed["exports"] = -1 }), 400,
				"VALIDATION_ERROR"},
			"too much": {change(func(r *file.UsageReport) { r.Consumed["exports"] = 1 << 53 }), 400,
				"VALIDATION_ERROR"},
			"no report_id": {change(func(r *file.UsageReport) { r.ReportID = " " }), 400, "VALIDATION_ERROR"},
			"a long report_id": {change(func(r *file.UsageReport) { r.ReportID = strings.Repeat("x", 256) }), 400,
				"VALIDATION_ERROR"},
			"a zero byte": {change(func(r *file.UsageReport) { r.ReportID = "a\x00" }), 400, "VALIDATION_ERROR"},
			"no time":     {change(func(r *file.UsageReport) { r.To = time.Time{} }), 400, "VALIDATION_ERROR"},
			"backwards": {change(func(r *file.UsageReport) { r.From = r.To.Add(time.Second) }), 400,
				"VALIDATION_ERROR"},
			"from the future": {change(func(r *file.UsageReport) { r.To = r.To.Add(25 * time.Hour) }), 400,
				"VALIDATION_ERROR"},
			"too old": {change(func(r *file.UsageReport) {
				r.From, r.To = time.Unix(1, 0), r.To.Add(-401*24*time.Hour)
			}), 400, "VALIDATION_ERROR"},
			"too many counters": {change(func(r *file.UsageReport) {
				for i := range 100 {
					r.Consumed[fmt.Sprint(i)] = 0
				}
			}), 400, "VALIDATION_ERROR"},
			"empty":     {"", 400, "VALIDATION_ERROR"},
			"no report": {"hello", 400, "VALIDATION_ERROR"},
			"a license file": {w.post("license-file", device(w.reveal(id), "far-away")).body["license_file"].(string),
				400, "VALIDATION_ERROR"},
			"too long": {strings.Repeat("x", 65<<10), 400, "VALIDATION_ERROR"},
		} {
			if got := w.report(tt.text); got.status != tt.status || got.body["error_code"] != tt.code {
				w.t.Errorf("%s: %d %s", name, got.status, got.raw)
			}
		}
		for _, bad := range []string{"x", "AAAA", base64.StdEncoding.EncodeToString(make([]byte, 44))} {
			body := fmt.Sprintf(`{"license_key":%q,"hardware_id":"far-away","device_public_key":%q}`, w.reveal(id), bad)
			w.want(w.post("license-file", body), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		w.wantUsed(id, "exports", 0)
		w.want(w.report(m.sign(nil)), http.StatusOK, "") // the key is the same as before
	})
}

func (w *world) reveal(id string) string {
	w.t.Helper()
	return w.manage(http.MethodPost, "/"+id+"/reveal-key", "").body["license_key"].(string)
}

// TestAnAlteredReport: a changed byte anywhere is refused.
func TestAnAlteredReport(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = &authv1.RateLimit{}
		id, m := w.meteredOffline(10)
		text := strings.TrimSuffix(m.sign(nil), "\n")
		for i := range text {
			altered := []byte(text)
			altered[i] ^= 1
			if got := w.report(string(altered)); got.status != http.StatusBadRequest &&
				got.status != http.StatusUnauthorized &&
				got.status != http.StatusNotFound {
				w.t.Fatalf("byte %d: %d %s", i, got.status, got.raw)
			}
		}
		w.wantUsed(id, "exports", 0)
	})
}

func TestAReportCountsOnceUnderRaces(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		id, m := w.meteredOffline(10)
		var all sync.WaitGroup
		answers := make([]string, 40)
		for i := range answers {
			all.Go(func() {
				text := m.sign(func(r *file.UsageReport) { r.ReportID = fmt.Sprint("r-", i%4) })
				got := w.persist(func() answer { return w.report(text) })
				answers[i] = fmt.Sprint(i%4, " ", got.status, " ", got.raw)
			})
		}
		all.Wait()
		slices.Sort(answers)
		if distinct := slices.Compact(answers); len(distinct) != 4 {
			w.t.Errorf("%s", strings.Join(distinct, "\n"))
		}
		w.wantUsed(id, "exports", 12)
	})
}

// TestReportsOfOneDeviceAreBounded: no device fills the table, and reports are forgotten only when they are too old to
// come again.
func TestReportsOfOneDeviceAreBounded(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, m := w.meteredOffline(10)
		send := func(i int) answer {
			return w.report(m.sign(func(r *file.UsageReport) {
				r.ReportID, r.Consumed["exports"] = fmt.Sprint("r-", i), 1
			}))
		}
		const most, atOnce = 1000, 40
		for first := 0; first < most; first += atOnce {
			taken := w.together(atOnce, http.StatusOK, func(i int) answer { return send(first + i) })
			if taken != atOnce {
				w.t.Errorf("%d of %d reports were taken", taken, atOnce)
			}
		}
		w.want(send(most), http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
		w.want(send(0), http.StatusOK, "")
		w.wantUsed(id, "exports", most)
	})
}

// To an API key that is bound to a product a report of a license of another is one of no license.
func TestUsageReportByABoundAPIKey(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, m := w.meteredOffline(10)
		report := m.sign(nil)
		w.clock.Advance(time.Hour) // what was learned of the API key is not believed any more
		w.auth.product = "another"
		w.want(w.report(report), http.StatusNotFound, "LICENSE_NOT_FOUND")
		w.wantUsed(id, "exports", 0)
		w.clock.Advance(time.Hour)
		w.auth.product = "default"
		w.want(w.report(report), http.StatusOK, "")
		w.wantUsed(id, "exports", 3)
	})
}
