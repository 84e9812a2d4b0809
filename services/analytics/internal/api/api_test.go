package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/openapitest"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

func TestDocument(t *testing.T) {
	k := newHarness(t, testkit.SQLite(t, migrations...))
	openapitest.Check(t, openapi.Analytics, k.engine.Routes())
}

// TestShapes pins every member of the five answers, by path and type, to testdata.
func TestShapes(t *testing.T) {
	each(t, func(t *testing.T, k *harness) {
		id := busy(k)
		other := k.create(2, 1, body{"expires_at": now.AddDate(0, 0, 10), "customer_id": "globex"})
		k.add(eventsv1.TypeLicenseActivated, now.AddDate(0, 0, -50),
			body{"license_id": other, "hardware_id": "a", "version": 2, "current_devices": 2, "max_devices": 1})
		for name, a := range map[string]answer{
			"patterns":   k.call("GET", "/licenses/"+id+"/patterns?days=30", ""),
			"detect":     k.call("POST", "/licenses/"+id+"/anomalies/detect", ""),
			"risk-score": k.call("GET", "/licenses/"+id+"/risk-score", ""),
			"report":     k.call("GET", "/reports/usage?days=30&limit=2", ""),
			"dashboard":  k.call("GET", "/dashboard", ""),
			"anomalies":  k.call("GET", "/anomalies?limit=1", ""),
		} {
			if a.status != http.StatusOK {
				t.Fatalf("%s: %d %s", name, a.status, a.text)
			}
			golden(t, name, shape("", a.body))
		}
	})
}

// busy is a license with everything that an answer can show: thirty days of two devices, and a churn of others.
func busy(k *harness) string {
	id := k.create(1, 2, nil)
	version := 1
	for day := -29; day <= 0; day++ {
		start := usage.DayOf(now).AddDate(0, 0, day)
		for hour := 7; hour < 10; hour++ {
			k.add(eventsv1.TypeLicenseValidated, start.Add(time.Duration(hour)*time.Hour),
				body{"license_id": id, "hardware_id": "steady", "app_version": "1.4", "ip": "192.0.2.7",
					"country": "DE"})
		}
		k.add(eventsv1.TypeLicenseHeartbeat, start.Add(9*time.Hour),
			body{"license_id": id, "hardware_id": "steady", "ip": "192.0.2.7", "country": "DE"})
		k.add(eventsv1.TypeLicenseValidationFailed, start.Add(9*time.Hour),
			body{"license_id": id, "hardware_id": "x", "error_code": "DEVICE_NOT_ACTIVATED"})
	}
	for day := -4; day <= 0; day++ {
		for i := range 4 {
			at, hw := usage.DayOf(now).AddDate(0, 0, day).
				Add(time.Duration(i*2)*time.Hour), fmt.Sprintf("temp-%d-%d", day, i)
			version += 2
			k.add(eventsv1.TypeLicenseActivated, at, body{"license_id": id, "hardware_id": hw, "device_name": hw,
				"ip": fmt.Sprintf("198.51.%d.%d", 100+i, 10-day), "version": version, "current_devices": 2,
				"max_devices": 2})
			k.add(eventsv1.TypeLicenseValidated, at.Add(time.Minute),
				body{"license_id": id, "hardware_id": hw, "ip": fmt.Sprintf("198.51.%d.%d", 100+i, 10-day)})
			k.add(eventsv1.TypeDeviceDeactivated, at.Add(time.Hour),
				body{"license_id": id, "hardware_id": hw, "by": "client", "version": version + 1, "current_devices": 1,
					"max_devices": 2})
		}
	}
	return id
}

// shape lists the paths and types of a JSON value; of a list it takes the first entry.
func shape(path string, v any) []string {
	switch v := v.(type) {
	case map[string]any:
		lines := []string{path + " object"}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			lines = append(lines, shape(path+"."+name, v[name])...)
		}
		return lines
	case []any:
		if len(v) == 0 {
			return []string{path + " list"}
		}
		return append([]string{path + " list"}, shape(path+"[]", v[0])...)
	case string:
		return []string{path + " text"}
	case float64:
		return []string{path + " number"}
	case bool:
		return []string{path + " bool"}
	}
	return []string{path + " null"}
}

// golden compares with testdata; LATCHKEY_TEST_UPDATE=1 writes it instead.
func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	got, file := strings.Join(lines, "\n")+"\n", filepath.Join("testdata", name+".shape")
	if os.Getenv("LATCHKEY_TEST_UPDATE") == "1" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: the shape changed (-want +got):\n%s", name, diff)
	}
}

func TestEmpty(t *testing.T) {
	each(t, func(t *testing.T, k *harness) {
		k.get("/dashboard")
		k.get("/reports/usage")
		k.get("/anomalies")
		id := k.create(1, 1, nil)
		p := k.get("/licenses/" + id + "/patterns")
		if at(p, "activity", "validations") != 0.0 || at(p, "data_quality", "confidence") != "low" ||
			at(p, "trend", "direction") != "unknown" {
			t.Errorf("patterns of a license without use: %v", p)
		}
		if r := k.get("/licenses/" + id + "/risk-score"); r["risk_score"] != 0.0 || r["risk_level"] != "low" {
			t.Errorf("risk of a license without use: %v", r)
		}
		if d := k.call("POST", "/licenses/"+id+"/anomalies/detect", "{}"); d.status != 200 || d.body["new"] != 0.0 ||
			at(d.body, "checked", "events") != 0.0 {
			t.Errorf("detect on a license created before the window: %s", d.text)
		}
		for _, path := range []string{"/reports/usage", "/licenses/" + id + "/patterns"} {
			if days := at(k.get(path), "window", "days"); days != 30.0 {
				t.Errorf("%s without days tells of %v", path, days)
			}
		}
		if r := k.get("/reports/usage"); at(r, "unused", "0", "license_id") != id {
			t.Errorf("the report does not name the unused license: %v", r["unused"])
		}
	})
}

func TestBadInput(t *testing.T) {
	k := newHarness(t, testkit.SQLite(t, migrations...))
	id := k.create(1, 1, nil)
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/licenses/" + id + "/patterns?days=0", "", 400, "VALIDATION_ERROR"},
		{"GET", "/licenses/" + id + "/patterns?days=367", "", 400, "VALIDATION_ERROR"},
		{"GET", "/licenses/" + id + "/patterns?days=1.5", "", 400, "VALIDATION_ERROR"},
		{"GET", "/licenses/" + id + "/patterns?days=99999999999999999999", "", 400, "VALIDATION_ERROR"},
		{"GET", "/licenses/" + id + "/patterns?days=1&days=2", "", 400, "VALIDATION_ERROR"},
		{"GET", "/licenses/" + licenseID(9) + "/patterns", "", 404, "LICENSE_NOT_FOUND"},
		{"GET", "/licenses/x/patterns", "", 404, "LICENSE_NOT_FOUND"},
		{"GET", "/licenses/%00/risk-score", "", 404, "LICENSE_NOT_FOUND"},
		{"GET", "/licenses/" + licenseID(9) + "/risk-score", "", 404, "LICENSE_NOT_FOUND"},
		{"POST", "/licenses/" + licenseID(9) + "/anomalies/detect", "", 404, "LICENSE_NOT_FOUND"},
		{"POST", "/licenses/" + id + "/anomalies/detect", "{", 400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", "{} {}", 400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", "[]", 400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", `{"from": 7}`, 400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", `{"from": "yesterday"}`, 400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", `{"from": "2026-03-02", "to": "2026-03-01"}`,
			400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", `{"from": "2020-03-02", "to": "2026-03-01"}`,
			400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", `{"from": "0001-01-01"}`, 400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", `{"to": "0001-01-01T00:00:00Z"}`, 400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", `{"from": "2999-01-01", "to": "2999-01-02"}`,
			400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", `{"sensitivity": 3}`, 400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", `{"sensitivity": -1e300}`, 400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", `{"sensitivity": "high"}`, 400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", `{"x": "\u0000"}`, 400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", "{\"x\": \"\xff\"}", 400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", `{"x": ` + deep + `}`, 400, "VALIDATION_ERROR"},
		{"POST", "/licenses/" + id + "/anomalies/detect", `{"x": "` + strings.Repeat("a", 2<<20) + `"}`, 413,
			"PAYLOAD_TOO_LARGE"},
		{"GET", "/licenses/" + id + "/anomalies/detect", "", 405, "METHOD_NOT_ALLOWED"},
		{"DELETE", "/dashboard", "", 405, "METHOD_NOT_ALLOWED"},
		{"GET", "/reports/usage?format=xml", "", 400, "VALIDATION_ERROR"},
		{"GET", "/reports/usage?limit=0", "", 400, "VALIDATION_ERROR"},
		{"GET", "/reports/usage?limit=1001", "", 400, "VALIDATION_ERROR"},
		{"GET", "/reports/usage?cursor=x", "", 400, "VALIDATION_ERROR"},
		{"GET", "/reports/usage?customer_id=%00", "", 400, "VALIDATION_ERROR"},
		{"GET", "/reports/usage?customer_id=%ff", "", 400, "VALIDATION_ERROR"},
		{"GET", "/reports/usage?customer_id=" + strings.Repeat("a", 256), "", 400, "VALIDATION_ERROR"},
		{"GET", "/anomalies?license_id=x", "", 400, "VALIDATION_ERROR"},
		{"GET", "/anomalies?status=x", "", 400, "VALIDATION_ERROR"},
		{"GET", "/anomalies?severity=x", "", 400, "VALIDATION_ERROR"},
		{"GET", "/anomalies?since=x", "", 400, "VALIDATION_ERROR"},
		{"GET", "/anomalies?cursor=x", "", 400, "VALIDATION_ERROR"},
		{"GET", "/anomalies?cursor=eHx5", "", 400, "VALIDATION_ERROR"},
		{"PATCH", "/anomalies/x", "{}", 404, "NOT_FOUND"},
		{"PATCH", "/anomalies/" + licenseID(9), "{}", 404, "NOT_FOUND"},
		{"PATCH", "/anomalies/" + licenseID(9), `{"status": "closed"}`, 400, "VALIDATION_ERROR"},
		{"PATCH", "/anomalies/" + licenseID(9), `{"status": null}`, 400, "VALIDATION_ERROR"},
		{"PATCH", "/anomalies/" + licenseID(9), `{"note": null}`, 400, "VALIDATION_ERROR"},
		{"PATCH", "/anomalies/" + licenseID(9), `{"note": 1}`, 400, "VALIDATION_ERROR"},
		{"PATCH", "/anomalies/" + licenseID(9), `{"note": "` + strings.Repeat("a", 2001) + `"}`, 400,
			"VALIDATION_ERROR"},
		{"GET", "/nothing", "", 404, "NOT_FOUND"},
	} {
		a := k.call(c.method, c.path, c.body)
		if a.status != c.status || a.body["error_code"] != c.code {
			t.Errorf("%s %.80s %.60s: %d %.200s, want %d %s",
				c.method, c.path, c.body, a.status, a.text, c.status, c.code)
		}
	}
}

func TestCredentials(t *testing.T) {
	k := newHarness(t, testkit.SQLite(t, migrations...))
	id := k.create(1, 1, nil)
	narrow := k.newKey(apikey.Key{ID: "narrow", Allowed: []string{"/api/v1/license/*"}})
	bound := k.newKey(apikey.Key{ID: "bound", Allowed: []string{"*"}, Product: "editor"})
	limited := k.newKey(apikey.Key{
		ID:      "limited",
		Allowed: []string{"/api/v1/analytics/*"},
		Limit:   ratelimit.Limit{PerMinute: 2, PerHour: 100},
	})
	for _, route := range k.engine.Routes() {
		path := strings.NewReplacer(":license_id", id, ":anomaly_id", id).
			Replace(strings.TrimPrefix(route.Path, "/api/v1/analytics"))
		if a := k.callAs("", route.Method, path, ""); a.status != 401 || a.body["error_code"] != "INVALID_API_KEY" {
			t.Errorf("%s %s without a key: %d %s", route.Method, path, a.status, a.text)
		}
		for _, other := range []string{narrow, bound} {
			if a := k.callAs(other, route.Method, path, ""); a.status != 403 ||
				a.body["error_code"] != "ENDPOINT_NOT_ALLOWED" {
				t.Errorf("%s %s with a key for others: %d %s", route.Method, path, a.status, a.text)
			}
		}
	}
	for i, want := range []int{200, 404, 429} {
		path := []string{"/dashboard", "/licenses/x/patterns", "/dashboard"}[i]
		a := k.callAs(limited, "GET", path, "")
		if a.status != want || a.header.Get("X-RateLimit-Limit") != "2" {
			t.Errorf("call %d of a key with two a minute: %d, headers %v", i+1, a.status, a.header)
		}
		if want == 429 && a.header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
}

func TestReport(t *testing.T) {
	each(t, func(t *testing.T, k *harness) {
		for n := 1; n <= 5; n++ {
			customer := "acme"
			if n == 5 {
				customer = "=1+1"
			}
			id := k.create(n, 2, body{"customer_id": customer})
			for range n {
				k.add(eventsv1.TypeLicenseValidated, now.Add(-time.Hour),
					body{"license_id": id, "hardware_id": "a", "app_version": fmt.Sprint(n % 2)})
			}
		}
		var seen []string
		path := "/reports/usage?customer_id=acme&limit=3"
		for cursor := ""; ; {
			r := k.get(path + cursor)
			for _, l := range r["by_license"].([]any) {
				seen = append(seen, at(l, "license_id").(string))
			}
			if totals := r["totals"].(map[string]any); totals["licenses"] != 4.0 || totals["validations"] != 10.0 ||
				totals["devices"] != 4.0 {
				t.Fatalf("totals of a customer: %v", totals)
			}
			next, more := r["next_cursor"].(string)
			if !more {
				break
			}
			cursor = "&cursor=" + next
		}
		if diff := cmp.Diff([]string{licenseID(1), licenseID(2), licenseID(3), licenseID(4)}, seen); diff != "" {
			t.Errorf("licenses over all pages (-want +got):\n%s", diff)
		}
		if v := k.get("/reports/usage")["by_version"]; at(v, "0", "version") != "1" || at(v, "0", "devices") != 3.0 {
			t.Errorf("by_version: %v", v)
		}
		lines := strings.Split(strings.TrimSpace(k.call("GET", "/reports/usage?format=csv", "").text), "\n")
		if len(lines) != 6 || !strings.HasPrefix(lines[0], "license_id,customer_id,validations,") ||
			!strings.HasPrefix(lines[2], licenseID(2)+",acme,2,0,1,2,1,") ||
			!strings.Contains(lines[5], ",'=1+1,5,") {
			t.Errorf("CSV:\n%s", strings.Join(lines, "\n"))
		}
	})
}

// TestSlots: patterns, reports and detections know the slots of leases that need no seat.
func TestSlots(t *testing.T) {
	each(t, func(t *testing.T, k *harness) {
		id := k.create(1, 1, body{"license": body{"terms": body{
			"floating": body{"slots": 5, "activation": "none"}}}})
		k.add(eventsv1.TypeLicenseValidated, now.Add(-time.Hour), body{"license_id": id, "hardware_id": "ws-1"})
		patterns := k.get("/licenses/" + id + "/patterns")
		if got := at(patterns, "devices", "slots"); got != 5.0 {
			t.Errorf("patterns show %v slots", got)
		}
		said := "1 devices seen, 0 of 1 seats taken now and 5 slots of leases beside them, " +
			"at most 1 devices within an hour."
		if got := patterns["summary"].([]any); !slices.Contains(got, any(said)) {
			t.Errorf("patterns say %q", got)
		}
		if got := at(k.get("/reports/usage"), "by_license", "0", "slots"); got != 5.0 {
			t.Errorf("the report shows %v slots", got)
		}
		lines := strings.Split(strings.TrimSpace(k.call("GET", "/reports/usage?format=csv", "").text), "\n")
		if !strings.HasSuffix(lines[0], ",slots") || !strings.HasSuffix(lines[1], ",5") {
			t.Errorf("CSV:\n%s", strings.Join(lines, "\n"))
		}
	})
}

func TestDashboardFigures(t *testing.T) {
	each(t, func(t *testing.T, k *harness) {
		id := k.create(1, 5, nil)
		k.consume() // by itself, so that it does not count as lag
		for i := range 10 {
			k.add(eventsv1.TypeLicenseValidated, now.Add(-time.Duration(i)*20*time.Second-time.Second),
				body{"license_id": id, "hardware_id": fmt.Sprint("d", i%2), "app_version": "3"})
		}
		k.add(eventsv1.TypeLicenseValidationFailed, now.Add(-30*time.Second),
			body{"license_id": "", "error_code": "LICENSE_NOT_FOUND", "license_key_hash": "ab", "ip": "192.0.2.1"})
		k.add(eventsv1.TypeLicenseValidated, now.Add(-23*time.Hour), body{"license_id": id, "hardware_id": "d0"})
		k.add(eventsv1.TypeLicenseValidated, now.Add(-25*time.Hour), body{"license_id": id, "hardware_id": "d0"})
		d := k.get("/dashboard")
		for want, path := range map[any][]string{
			2.0: {"live", "active_devices"}, 11.0: {"totals", "validations_24h"}, 1.0: {"totals", "failures_24h"},
			0.0909: {"live", "failure_rate"}, "1h": {"series", "step"}, "3": {"versions", "0", "version"},
		} {
			if got := at(d, path...); got != want {
				t.Errorf("%v: %v, want %v", path, got, want)
			}
		}
		if len(at(d, "series", "points").([]any)) != usage.SeriesHours {
			t.Errorf("the series has %d points", len(at(d, "series", "points").([]any)))
		}
		if lag, ok := at(d, "live", "consumer_lag_seconds").(float64); !ok || lag != (25*time.Hour).Seconds() {
			t.Errorf("consumer lag: %v", at(d, "live", "consumer_lag_seconds"))
		}
	})
}
