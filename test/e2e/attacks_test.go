//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/test/suite"
)

// TestAttacks replays the attacks that once succeeded, as far as they show from outside.
func TestAttacks(t *testing.T) {
	each(t, func(w *harness) {
		for name, test := range map[string]func(w *harness){
			"bad characters under long names":      longNames,
			"a text that hid a client":             hidingText,
			"tokens of a device that was put out":  stolenDevice,
			"tokens of a license that was revived": revivedLicense,
			"a customer with thousands of devices": manyDevices,
			"a member twice in session_data":       doubledMember,
			"masking of short keys":                shortKeys,
			"If-Match empty or twice":              doubledIfMatch,
			"one Idempotency-Key on two devices":   sharedIdempotencyKey,
			"credential headers given twice":       doubledCredentials,
		} {
			w.Run(name, func(t *testing.T) { test(&harness{T: t, Suite: w.Suite, embedded: w.embedded}) })
		}
	})
}

func longNames(w *harness) {
	name := strings.Repeat("A", 200_000)
	for shape, body := range map[string]string{
		"control characters": `{"` + name + `":"` + strings.Repeat("\x01", 200_000) + `"}`,
		"invalid UTF-8":      `{"` + name + `":"` + strings.Repeat("\xff", 200_000) + `"}`,
		"lone surrogates":    `{"` + name + `":"` + strings.Repeat(`\ud800`, 60_000) + `"}`,
		"many long names": strings.Repeat(`{"`+name[:10_000]+`":`, 30) + `"` + strings.Repeat("\x01", 100_000) +
			`"` + strings.Repeat("}", 30),
	} {
		for _, url := range []string{w.AuthURL + "/api/v1/auth/refresh",
			w.LicenseURL + "/api/v1/license/validate-offline"} {
			if a := w.call("POST", url, body); a.status != 400 && a.status != 413 || a.code() == "" {
				w.Errorf("%s at %s: %d %.200s", shape, url, a.status, a.raw)
			}
		}
		if a := w.license("validate", body); a.status != 400 && a.status != 413 {
			w.Errorf("%s at validate: %d %.200s", shape, a.status, a.raw)
		}
	}
}

// hidingText: what the API lets in is counted, whatever it says.
func hidingText(w *harness) {
	id, key := w.create(`{"customer_id":"h1","max_devices":9}`)
	texts := []string{`\\u0000`, `x\\u0000`, `\\\\u0000`, `\"\\u0000\"`, `\ufeff`, `\u2028`, `{\"a\":1}`,
		`\ud83d\ude00`}
	for i, text := range texts {
		pc := fmt.Sprintf("pc-%d", i)
		w.want(w.license("activate", fmt.Sprintf(`{"license_key":%q,"hardware_id":%q,"device_name":"%s"}`,
			key, pc, text)), 201, "")
		w.want(w.license("validate", fmt.Sprintf(`{"license_key":%q,"hardware_id":%q,"app_version":"%s",`+
			`"session_id":"%[3]s"}`, key, pc, text)), 200, "")
	}
	w.usage(id, "activations", len(texts))
	w.usage(id, "validations", len(texts))
}

// threeTokens takes every kind of token for a device that has a seat.
func (w *harness) threeTokens(licenseID, hardwareID string) (access, refresh, offline string) {
	w.Helper()
	access, refresh = w.pair(licenseID, hardwareID)
	a := w.call("POST", w.LicenseURL+"/api/v1/license/offline-token", `{}`, "Authorization", "Bearer "+access)
	return access, refresh, w.want(a, 201, "").text("token")
}

// refuseAll demands that within a second none of the tokens is good for anything, at any process.
func (w *harness) refuseAll(access, refresh, offline string) {
	w.Helper()
	bearer := []string{"Authorization", "Bearer " + access}
	refused := func(statuses []int, url, body string, headers ...string) {
		w.Helper()
		w.eventually(func() error {
			a, err := try("POST", url, body, headers...)
			if err == nil && !slices.Contains(statuses, a.status) {
				err = fmt.Errorf("%s: %d %s", url, a.status, a.raw)
			}
			return err
		})
	}
	for _, url := range w.URLs("auth") {
		refused([]int{401}, url+"/api/v1/auth/verify", "", bearer...)
	}
	for _, url := range w.URLs("license") {
		refused([]int{401, 403}, url+"/api/v1/license/heartbeat", `{}`, bearer...)
		refused([]int{401, 403}, url+"/api/v1/license/offline-token", `{}`, bearer...)
		refused([]int{401}, url+"/api/v1/license/validate-offline", fmt.Sprintf(`{"token":%q}`, offline))
	}
	w.want(w.refresh(refresh), 401, "INVALID_TOKEN")
}

func stolenDevice(w *harness) {
	for name, leave := range map[string]func(id string) answer{
		"deactivated": func(id string) answer {
			return w.admin("POST", "/licenses/"+id+"/devices/deactivate", `{"hardware_id":"pc","reason":"stolen"}`)
		},
		"transferred there and back": func(id string) answer {
			w.want(w.admin("POST", "/licenses/"+id+"/transfer", `{"from_hardware_id":"pc","to_hardware_id":"other"}`),
				200, "")
			return w.admin("POST", "/licenses/"+id+"/transfer", `{"from_hardware_id":"other","to_hardware_id":"pc"}`)
		},
	} {
		id, key := w.create(`{"customer_id":"m2"}`)
		w.want(w.license("activate", device(key, "pc")), 201, "")
		access, refresh, offline := w.threeTokens(id, "pc")
		w.want(leave(id), 200, "")
		if name == "deactivated" {
			w.want(w.license("activate", device(key, "pc")), 201, "") // the customer comes back, the thief does not
		}
		w.refuseAll(access, refresh, offline)
		access, _, offline = w.threeTokens(id, "pc")
		w.want(w.call("POST", w.AuthURL+"/api/v1/auth/verify", "", "Authorization", "Bearer "+access), 200, "")
		w.want(w.call("POST", w.LicenseURL+"/api/v1/license/validate-offline", fmt.Sprintf(`{"token":%q}`, offline)),
			200, "")
	}
}

func revivedLicense(w *harness) {
	id, key := w.create(`{"customer_id":"m2"}`)
	w.want(w.license("activate", device(key, "pc")), 201, "")
	access, refresh, offline := w.threeTokens(id, "pc")
	w.want(w.admin("DELETE", "/licenses/"+id, ""), 200, "")
	w.want(w.admin("PATCH", "/licenses/"+id, `{"is_active":true}`), 200, "")
	w.refuseAll(access, refresh, offline)
	access, _ = w.pair(id, "pc")
	w.want(w.call("POST", w.AuthURL+"/api/v1/auth/verify", "", "Authorization", "Bearer "+access), 200, "")
}

func manyDevices(w *harness) {
	id, key := w.create(`{"customer_id":"m7"}`)
	wide := strings.Repeat("😀", 255)
	const cycles = 120
	for i := range cycles {
		pc := fmt.Sprintf("%d%s", i, wide[:len(wide)-16])
		body := fmt.Sprintf(`{"license_key":%q,"hardware_id":%q,"device_name":%[3]q,"os_info":{"name":%[3]q,`+
			`"version":%[3]q}}`, key, pc, wide)
		w.want(w.license("activate", body), 201, "")
		w.want(w.license("deactivate", device(key, pc)), 200, "")
	}
	a := w.want(w.admin("GET", "/licenses/"+id+"/devices", ""), 200, "")
	if list, _ := a.body["devices"].([]any); len(list) != 100 || a.body["total"] != float64(cycles) {
		w.Errorf("%d devices of %v", len(list), a.body["total"])
	}
	a = w.want(w.admin("GET", "/licenses/"+id+"/devices?page=2&per_page=100", ""), 200, "")
	if list, _ := a.body["devices"].([]any); len(list) != cycles-100 {
		w.Errorf("page 2 has %d devices", len(list))
	}
}

func doubledMember(w *harness) {
	id, key := w.create(`{"customer_id":"m11"}`)
	w.want(w.license("activate", device(key, "pc")), 201, "")
	access, _ := w.pair(id, "pc")
	for _, body := range []string{`{"session_data":{"a":1,"a":2}}`, `{"session_data":{"a":{"b":1,"b":2}}}`,
		`{"session_data":{"":1}}`, `{"session_data":{"a":1e308}}`, `{"session_data":{"a":null}}`,
		`{"session_data":null}`} {
		a := w.call("POST", w.LicenseURL+"/api/v1/license/heartbeat", body, "Authorization", "Bearer "+access)
		if a.status != 200 && a.status != 400 {
			w.Errorf("%s: %d %s", body, a.status, a.raw)
		}
	}
}

func shortKeys(w *harness) {
	for _, key := range []string{"lic-7788", "ABCD1234", "ABCDEFGH-12345678-XYZ"} {
		own := key + strings.ToUpper(fmt.Sprintf("%x", len(w.Dir)))
		a := w.admin("POST", "/licenses", fmt.Sprintf(`{"customer_id":"l1","license_key":%q}`, own))
		if a.status != 201 && a.code() != "LICENSE_KEY_EXISTS" {
			w.Fatalf("%d %s", a.status, a.raw)
		}
		if a.status != 201 {
			continue
		}
		shown := w.want(w.admin("GET", "/licenses/"+a.text("license_id"), ""), 200, "").text("license_key")
		clear := strings.TrimRight(shown, "*")
		if len(clear) > len(own)/3 || len(own) < 12 && clear != "" {
			w.Errorf("%s is shown as %s", own, shown)
		}
	}
}

func doubledIfMatch(w *harness) {
	id, _ := w.create(`{"customer_id":"l3"}`)
	for name, values := range map[string][]string{"empty": {""}, "twice": {"*", `"99"`}} {
		req, err := http.NewRequest("PATCH", w.AdminURL+"/api/v1/admin/licenses/"+id,
			strings.NewReader(`{"max_devices":3}`))
		if err != nil {
			w.Fatal(err)
		}
		req.Header.Set("X-Admin-API-Key", w.AdminAPIKey)
		req.Header["If-Match"] = values
		res, err := client.Do(req)
		if err != nil {
			w.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 400 {
			w.Errorf("%s: %d", name, res.StatusCode)
		}
	}
}

func sharedIdempotencyKey(w *harness) {
	_, key := w.create(`{"customer_id":"l4","max_devices":2}`)
	for _, pc := range []string{"a", "b"} {
		w.want(w.call("POST", w.LicenseURL+"/api/v1/license/activate", device(key, pc), "X-API-Key", w.APIKey,
			"Idempotency-Key", "install"), 201, "")
	}
}

func doubledCredentials(w *harness) {
	for _, door := range []struct{ method, url, header, value string }{
		{"POST", w.LicenseURL + "/api/v1/license/validate", "X-Api-Key", w.APIKey},
		{"GET", w.AnalyticsURL + "/api/v1/analytics/dashboard", "X-Api-Key", w.APIKey},
		{"GET", w.AdminURL + "/api/v1/admin/licenses", "X-Admin-Api-Key", w.AdminAPIKey},
		{"GET", w.AuthURL + "/api/v1/auth/api-keys", "X-Admin-Secret", w.AdminSecret},
	} {
		for _, second := range []string{door.value, "other", ""} {
			req, err := http.NewRequest(door.method, door.url, bytes.NewReader(nil))
			if err != nil {
				w.Fatal(err)
			}
			req.Header[door.header] = []string{door.value, second}
			res, err := client.Do(req)
			if err != nil {
				w.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 401 {
				w.Errorf("%s beside a second %q: %d", door.header, second, res.StatusCode)
			}
		}
	}
}

// TestGuessers: what an address may guess is the same for every credential and with every header. Honest
// callers beside the guesser go on, those too whom the process does not know yet.
func TestGuessers(t *testing.T) {
	t.Parallel()
	w := own(t, suite.Options{Embedded: true, Settings: []string{"LATCHKEY_ADDRESS_LIMITS=true"}})
	w.want(w.license("validate", device(w.LicenseKey, "x")), 200, "")
	w.admin("GET", "/licenses", "")
	_, unused := w.apiKey(`{"client_name":"unused","allowed_endpoints":["*"],"rate_limit":{"per_minute":0,` +
		`"per_hour":0}}`)
	admitted := func(method, url, header string) int {
		n := 0
		for i := range 200 {
			spoofed := []string{"X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "CF-Connecting-IP"}[i%5]
			a := w.call(method, url, `{}`, header, fmt.Sprintf("sk_%043d", i), spoofed, fmt.Sprintf("203.0.113.%d", i))
			if a.status == 401 {
				n++
			} else if a.status != 429 || a.header.Get("Retry-After") == "" {
				t.Fatalf("guess %d at %s: %d %s", i, url, a.status, a.raw)
			}
		}
		return n
	}
	for _, door := range []struct{ method, url, header string }{
		{"POST", w.LicenseURL + "/api/v1/license/validate", "X-API-Key"},
		{"GET", w.AdminURL + "/api/v1/admin/licenses", "X-Admin-API-Key"},
		{"GET", w.AuthURL + "/api/v1/auth/api-keys", "X-Admin-Secret"},
		{"POST", w.AuthURL + "/api/v1/auth/verify", "Authorization"},
		{"POST", w.LicenseURL + "/api/v1/license/heartbeat", "Authorization"},
	} {
		if n := admitted(door.method, door.url, door.header); n > 100 {
			t.Errorf("%s of %s: %d of 200 guesses were answered", door.header, door.url, n)
		}
	}
	w.want(w.call("POST", w.LicenseURL+"/api/v1/license/validate", device(w.LicenseKey, "x"), "X-API-Key", unused), 200,
		"")
	w.want(w.license("validate", device(w.LicenseKey, "x")), 200, "")
	w.want(w.admin("GET", "/licenses", ""), 200, "")
}
