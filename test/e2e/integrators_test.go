//go:build unix

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestIntegrators replays what integrators stumbled over, with the requests that they sent.
func TestIntegrators(t *testing.T) {
	each(t, func(w *harness) {
		for name, test := range map[string]func(w *harness){
			"an end given at creation counts":           endAtCreation,
			"a zero date is no perpetual license":       zeroDate,
			"known names mean something or are refused": knownNames,
			"null is absent":                            nullIsAbsent,
			"the limit of an API key can change":        changeAPIKey,
			"a shipped key limits each address":         shippedKey,
			"a refresh whose answer was lost":           lostRefresh,
			"keys as people paste them":                 pastedKeys,
			"an offline token and a slow clock":         slowClock,
			"a date is valid through its day":           dateAsEnd,
			"placeholders are no hardware ids":          placeholders,
			"a seat handed round is churn":              handedRound,
			"a renamed device":                          renamedDevice,
			"HEAD":                                      head,
			"transfer to a device with a seat":          transferToSeated,
			"a POST without a body":                     withoutBody,
			"a path of another service":                 otherService,
			"5.0 is a whole number":                     wholeNumbers,
			"a form's content type":                     formContentType,
			"a change whose answer was lost":            lostChange,
			"a large header":                            largeHeader,
		} {
			w.Run(name, func(t *testing.T) { test(&harness{T: t, Suite: w.Suite, embedded: w.embedded}) })
		}
	})
}

func endAtCreation(w *harness) {
	const end = "2099-01-31T00:00:00Z"
	a := w.want(w.admin("POST", "/licenses", `{"customer_id":"c1","expires_at":"`+end+`"}`), 201, "")
	if a.text("expires_at") != end {
		w.Errorf("got %s", a.raw)
	}
	a = w.want(w.admin("POST", "/licenses/bulk-create", `{"licenses":[{"customer_id":"c1","expires_at":"`+end+`"}]}`),
		201, "")
	if !strings.Contains(string(a.raw), end) {
		w.Errorf("bulk row: %s", a.raw)
	}
	w.want(w.admin("POST", "/licenses", `{"customer_id":"c1","expires_at":"`+end+`","expires_in_days":3}`), 400,
		"VALIDATION_ERROR")
	a = w.want(w.admin("POST", "/licenses", `{"customer_id":"c1","expires_at":null,"expires_in_days":null}`), 201, "")
	if end, given := a.body["expires_at"]; !given || end != nil {
		w.Errorf("without an end: %s", a.raw)
	}
}

func zeroDate(w *harness) {
	id, key := w.create(`{"customer_id":"c2","expires_in_days":30}`)
	for _, zero := range []string{"0001-01-01T00:00:00Z", "0001-01-01", "0001-01-01T01:00:00+01:00",
		"1970-01-01T00:00:00Z"} {
		w.want(w.admin("PATCH", "/licenses/"+id, `{"expires_at":"`+zero+`"}`), 400, "VALIDATION_ERROR")
		w.want(w.admin("POST", "/licenses", `{"customer_id":"c2","expires_at":"`+zero+`"}`), 400, "VALIDATION_ERROR")
	}
	w.want(w.admin("PATCH", "/licenses/"+id, `{"expires_at":"2020-01-01T00:00:00Z"}`), 200, "")
	w.want(w.license("validate", device(key, "pc-1")), 403, "LICENSE_EXPIRED")
	a := w.want(w.admin("PATCH", "/licenses/"+id, `{"expires_at":null}`), 200, "")
	if a.body["expires_at"] != nil {
		w.Errorf("null: %s", a.raw)
	}
}

func knownNames(w *harness) {
	customer := fmt.Sprintf("c3-%d", time.Now().UnixNano())
	id, key := w.create(`{"customer_id":"` + customer + `","expires_in_days":30}`)
	w.want(w.license("activate", device(key, customer+"-pc")), 201, "")
	a := w.want(w.admin("PATCH", "/licenses/"+id, `{"expires_in_days":365}`), 200, "")
	if end, err := time.Parse(time.RFC3339, a.text("expires_at")); err != nil || time.Until(end) < 360*24*time.Hour {
		w.Errorf("expires_in_days in PATCH: %s", a.raw)
	}
	for query, total := range map[string]float64{
		"customer_id=" + customer: 1, "hardware_id=" + customer + "-pc": 1, "status=active&customer_id=" + customer: 1,
		"status=expired&customer_id=" + customer: 0, "hardware_id=" + customer + "-none": 0,
		"license_key=" + key: 1, "license_key=LIC-NOSUCHKEY000": 0,
	} {
		if a := w.want(w.admin("GET", "/licenses?"+query, ""), 200, ""); a.body["total"] != total {
			w.Errorf("%s: %v licenses, want %v", query, a.body["total"], total)
		}
	}
	found := w.want(w.admin("POST", "/licenses/search", `{"license_key":"`+key+`"}`), 200, "")
	if !strings.Contains(string(found.raw), id) || strings.Contains(string(found.raw), key) {
		w.Errorf("search by key: %s", found.raw)
	}
	for query, hint := range map[string]string{
		"limit=5":       "",
		"customerid=x":  "customer_id",
		"stauts=active": "status",
		"status=broken": "status",
	} {
		if a := w.want(w.admin("GET", "/licenses?"+query, ""), 400,
			"VALIDATION_ERROR"); !strings.Contains(string(a.raw), hint) {
			w.Errorf("%s: %s", query, a.raw)
		}
	}
	for member, hint := range map[string]string{
		`"is_active":false`: "is_active", `"max_activations":5`: "max_activations", `"max_device":5`: "max_devices",
		`"current_devices":1`: "current_devices", `"license_id":"x"`: "license_id", `"version":2`: "version",
	} {
		a := w.want(w.admin("POST", "/licenses", `{"customer_id":"c3",`+member+`}`), 400, "VALIDATION_ERROR")
		if !strings.Contains(string(a.raw), hint) {
			w.Errorf("%s: %s", member, a.raw)
		}
	}
}

func nullIsAbsent(w *harness) {
	_, key := w.create(`{"customer_id":"c4","product":null,"max_devices":null,"features":null,"metadata":null,` +
		`"is_test":null,"license_key":null}`)
	w.want(w.license("activate", `{"license_key":"`+key+
		`","hardware_id":"pc-1","device_name":null,"os_info":null,"app_version":null}`), 201, "")
	w.want(w.license("validate", `{"license_key":"`+key+
		`","hardware_id":"pc-1","app_version":null,"session_id":null,"client_time":null}`), 200, "")
	w.apiKey(`{"client_name":"nulls","allowed_endpoints":null,"rate_limit":null,"expires_at":null}`)
	id, _ := w.create(`{"customer_id":"c4"}`)
	w.want(w.admin("PATCH", "/licenses/"+id, `{"customer_id":null}`), 400, "VALIDATION_ERROR")
}

func dateAsEnd(w *harness) {
	id, key := w.create(`{"customer_id":"c10"}`)
	w.want(w.license("activate", device(key, "pc")), 201, "")
	today := time.Now().UTC().Format(time.DateOnly)
	a := w.want(w.admin("PATCH", "/licenses/"+id, `{"expires_at":"`+today+`"}`), 200, "")
	if a.text("expires_at") != today+"T23:59:59Z" {
		w.Errorf("got %s", a.raw)
	}
}

func placeholders(w *harness) {
	_, key := w.create(`{"customer_id":"c11","max_devices":9}`)
	for _, id := range []string{"None", "null", "undefined", "Default string", "To be filled by O.E.M.",
		"00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "unknown"} {
		w.want(w.license("activate", device(key, id)), 400, "HARDWARE_ID_NOT_UNIQUE")
	}
}

// handedRound: one seat that 60 networks pass on is churn; from one network it may be an installer under test.
func handedRound(w *harness) {
	rounds := func(network func(i int) string) (licenseID string) {
		id, key := w.create(`{"customer_id":"c12","max_devices":1}`)
		for i := range 60 {
			for _, endpoint := range []string{"activate", "validate", "deactivate"} {
				a := w.call("POST", w.LicenseURL+"/api/v1/license/"+endpoint, device(key, fmt.Sprintf("pc-%d", i)),
					"X-API-Key", w.APIKey, "X-Forwarded-For", network(i))
				if a.status >= 300 {
					w.Fatalf("%s %d: %d %s", endpoint, i, a.status, a.raw)
				}
			}
		}
		w.usage(id, "activations", 60)
		return id
	}
	many := rounds(func(i int) string { return fmt.Sprintf("203.%d.113.7", i) })
	one := rounds(func(int) string { return "198.51.100.9" })
	a := w.want(w.analytics("POST", "/licenses/"+many+"/anomalies/detect"), 200, "")
	if !strings.Contains(string(a.raw), "device_churn") {
		w.Errorf("60 devices of 60 networks on one seat: %s", a.raw)
	}
	a = w.want(w.analytics("POST", "/licenses/"+one+"/anomalies/detect"), 200, "")
	if strings.Contains(string(a.raw), "device_churn") {
		w.Errorf("clean deactivations from one network: %s", a.raw)
	}
}

func renamedDevice(w *harness) {
	id, key := w.create(`{"customer_id":"c13"}`)
	say := func(endpoint, name, version string) answer {
		return w.license(endpoint, fmt.Sprintf(`{"license_key":%q,"hardware_id":"pc","device_name":%q,`+
			`"os_info":{"name":"macOS","version":%q}}`,
			key, name, version))
	}
	shown := func(want ...string) {
		w.Helper()
		w.eventually(func() error {
			a := w.admin("GET", "/licenses/"+id+"/devices", "")
			for _, text := range want {
				if !strings.Contains(string(a.raw), text) {
					return fmt.Errorf("%s is not in %s", text, a.raw)
				}
			}
			return nil
		})
	}
	w.want(say("activate", "Old name", "14"), 201, "")
	w.want(say("validate", "New name", "15"), 200, "")
	shown(`"New name"`, `"15"`)
	w.want(w.license("deactivate", device(key, "pc")), 200, "")
	w.want(w.license("activate", device(key, "pc")), 201, "")
	shown(`"New name"`)
	w.want(say("activate", "Newest name", "16"), 409, "ALREADY_ACTIVATED")
	shown(`"Newest name"`, `"16"`)
}

func head(w *harness) {
	for _, path := range []string{"/healthz", "/readyz", "/version", "/openapi.json", "/docs"} {
		for _, url := range []string{w.AuthURL, w.LicenseURL, w.AnalyticsURL, w.AdminURL} {
			get, headed := w.call("GET", url+path, ""), w.call("HEAD", url+path, "")
			if headed.status != get.status || len(headed.raw) > 0 ||
				headed.header.Get("Content-Type") != get.header.Get("Content-Type") {
				w.Errorf("HEAD %s%s: %d %v, GET %d", url, path, headed.status, headed.header, get.status)
			}
		}
	}
	w.want(w.admin("HEAD", "/licenses", ""), 200, "")
	w.want(w.admin("GET", "/licenses/", ""), 200, "")
	w.want(w.license("validate/", device(w.LicenseKey, "x")), 200, "")
}

func transferToSeated(w *harness) {
	id, key := w.create(`{"customer_id":"p1","max_devices":2}`)
	w.want(w.license("activate", device(key, "a")), 201, "")
	w.want(w.license("activate", device(key, "b")), 201, "")
	a := w.want(w.admin("POST", "/licenses/"+id+"/transfer", `{"from_hardware_id":"a","to_hardware_id":"b"}`), 409,
		"ALREADY_ACTIVATED")
	if !strings.Contains(a.text("error"), "seat") || strings.Contains(a.text("error"), "nothing needs to be done") {
		w.Errorf("got %s", a.raw)
	}
}

func withoutBody(w *harness) {
	a := w.want(w.license("validate", ""), 400, "VALIDATION_ERROR")
	if !strings.Contains(string(a.raw), "empty") {
		w.Errorf("got %s", a.raw)
	}
}

func otherService(w *harness) {
	a := w.want(w.call("POST", w.AuthURL+"/api/v1/license/validate", device(w.LicenseKey, "x"), "X-API-Key", w.APIKey),
		404, "NOT_FOUND")
	if !strings.Contains(string(a.raw), "license") || !strings.Contains(string(a.raw), "5002") {
		w.Errorf("no hint which service it is: %s", a.raw)
	}
}

func wholeNumbers(w *harness) {
	a := w.want(w.admin("POST", "/licenses", `{"customer_id":"p4","max_devices":5.0}`), 201, "")
	if a.body["max_devices"] != 5.0 {
		w.Errorf("got %s", a.raw)
	}
	w.want(w.admin("POST", "/licenses", `{"customer_id":"p4","max_devices":5.5}`), 400, "VALIDATION_ERROR")
}

func formContentType(w *harness) {
	a := w.call("POST", w.LicenseURL+"/api/v1/license/validate", device(w.LicenseKey, "x"), "X-API-Key", w.APIKey,
		"Content-Type", "application/x-www-form-urlencoded")
	w.want(a, 415, "UNSUPPORTED_MEDIA_TYPE")
	if !strings.Contains(a.text("error"), "application/x-www-form-urlencoded") {
		w.Errorf("got %s", a.raw)
	}
	w.want(w.call("POST", w.LicenseURL+"/api/v1/license/validate", device(w.LicenseKey, "x"), "X-API-Key", w.APIKey,
		"Content-Type", ""), 200, "")
}

func lostChange(w *harness) {
	id, key := w.create(`{"customer_id":"p7","max_devices":2}`)
	w.want(w.license("activate", device(key, "a")), 201, "")
	for name, change := range map[string]func() answer{
		"transfer": func() answer {
			return w.admin("POST", "/licenses/"+id+"/transfer", `{"from_hardware_id":"a","to_hardware_id":"b"}`,
				"Idempotency-Key", "t-"+id)
		},
		"deactivate": func() answer {
			return w.admin("POST", "/licenses/"+id+"/devices/deactivate", `{"hardware_id":"c"}`, "Idempotency-Key",
				"d-"+id)
		},
	} {
		if name == "deactivate" {
			w.want(w.license("activate", device(key, "c")), 201, "")
		}
		first, again := w.want(change(), 200, ""), w.want(change(), 200, "")
		if string(first.raw) != string(again.raw) || again.header.Get("Idempotency-Replayed") != "true" {
			w.Errorf("%s: %s, then %s %v", name, first.raw, again.raw, again.header)
		}
	}
	w.want(w.license("activate", device(key, "own")), 201, "")
	leave := func() answer {
		return w.call("POST", w.LicenseURL+"/api/v1/license/deactivate", device(key, "own"), "X-API-Key", w.APIKey,
			"Idempotency-Key", "o-"+id)
	}
	first, again := w.want(leave(), 200, ""), w.want(leave(), 200, "")
	if string(first.raw) != string(again.raw) {
		w.Errorf("a client's own deactivation: %s, then %s", first.raw, again.raw)
	}
}

func largeHeader(w *harness) {
	req, err := http.NewRequest("GET", w.LicenseURL+"/healthz", nil)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("X-Large", strings.Repeat("x", 200<<10))
	res, err := client.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 431 || !strings.Contains(string(body), `"error_code"`) {
		w.Errorf("got %d %s", res.StatusCode, body)
	}
}
