package license_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLicenseSpringOfflineOperations: a file for one operation does not do for the other, not even one whose unsigned
// members were changed.
func TestLicenseSpringOfflineOperations(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.create(1, 0)
		for _, wrapped := range []bool{false, true} {
			leave := s.offline(key, "air", `,"request":"deactivation"`, wrapped)
			s.refused(s.carry("activate_offline", leave), 400, "validation_error")
			other := s.offline(key, "air", `,"request":"transfer"`, wrapped)
			s.refused(s.carry("activate_offline", other), 400, "validation_error")
			w.inUse(id, 0)
		}
		file := s.offline(key, "air", "", false)
		s.object(s.carry("activate_offline", file))
		s.refused(s.carry("deactivate_offline", file), 400, "validation_error")
		named := s.offline(key, "air", `,"request":"activation"`, true)
		s.refused(s.carry("deactivate_offline", named), 400, "validation_error")
		changed := s.offline(key, "air", `,"request":"deactivation","request_id":"new"`, false)
		s.refused(s.carry("deactivate_offline", changed), 400, "idempotency_key_reused")
		w.inUse(id, 1)
	})
}

// TestLicenseSpringOfflineRace: a deactivation without a request_id that is sent many times at once counts once.
func TestLicenseSpringOfflineRace(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		w.unlimitedCalls()
		s := w.licenseSpring("")
		id, key := w.with(`"license_type":"consumption","counters":[{"name":"consumptions","limit":99}]`)
		s.object(s.carry("activate_offline", s.offline(key, "air", "", true)))
		leave := s.offline(key, "air", `,"request":"deactivation","consumptions":7`, false)
		answers := make([]*httptest.ResponseRecorder, 40)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = s.carry("deactivate_offline", leave) })
		}
		all.Wait()
		for _, rec := range answers {
			s.word(rec, "license_deactivated")
		}
		w.wantUsed(id, "consumptions", 7)
		w.inUse(id, 0)
	})
}

// TestLicenseSpringOfflineReplay: who may not use the license any more does not get the file again.
func TestLicenseSpringOfflineReplay(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.create(1, 0)
		for _, more := range []string{"", `,"request_id":"r1"`} {
			file := s.offline(key, "air", more, true)
			first := s.carry("activate_offline", file)
			s.object(first)
			w.alter(id, "suspend", `{"reason":"x"}`)
			s.refused(s.carry("activate_offline", file), 400, "license_not_enabled")
			w.alter(id, "reinstate", "")
			if again := s.carry("activate_offline", file); again.Body.String() != first.Body.String() {
				t.Errorf("the same request got %d %s", again.Code, again.Body)
			}
		}
	})
}

func TestLicenseSpringOfflineLimits(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.with(`"floating":{"slots":2,"activation":"none"},"max_devices":5`)
		s.refused(s.carry("activate_offline", s.offline(key, "air", "", false)), 400, "license_type_not_allowed")
		w.inUse(id, 0)
		id, key = w.with(`"counters":[{"name":"consumptions","limit":9,"allow_negative":true}]`)
		s.object(s.post("activate_license", key, "air", ""))
		s.object(s.post("add_consumption", key, "air", `,"consumptions":8`))
		for _, more := range []string{`,"consumptions":-5`, `,"product_features":[{"code":"a","consumptions":-5}]`} {
			back := s.offline(key, "air", `,"request":"deactivation"`+more, false)
			s.refused(s.carry("deactivate_offline", back), http.StatusBadRequest, "validation_error")
		}
		w.wantUsed(id, "consumptions", 8)
		w.inUse(id, 1)
	})
}

// TestLicenseSpringOfflineReturns: a device can always give its seat back, and what it consumed is counted.
func TestLicenseSpringOfflineReturns(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.with(`"max_devices":3,"counters":[{"name":"consumptions","limit":10}],` +
			`"entitlements":[{"code":"export","counter":"consumptions"}]`)
		leave := func(hardwareID, more string) {
			t.Helper()
			s.word(s.carry("deactivate_offline",
				s.offline(key, hardwareID, `,"request":"deactivation","consumptions":8`+more, true)),
				"license_deactivated")
		}
		for _, pc := range []string{"a", "b", "c"} {
			s.object(s.carry("activate_offline", s.offline(key, pc, "", true)))
		}
		leave("a", "")
		leave("b", `,"product_features":[{"code":"export","consumptions":1},{"code":"gone","consumptions":1},`+
			`{"feature":"export","consumptions":2}]`)
		w.wantUsed(id, "consumptions", 19)
		w.alter(id, "suspend", `{"reason":"x"}`)
		leave("c", `,"variables":{"a":"1"}`)
		w.wantUsed(id, "consumptions", 27)
		w.inUse(id, 0)
		never := s.offline(key, "d", `,"request":"deactivation","consumptions":8`, true)
		s.refused(s.carry("deactivate_offline", never), 400, "device_not_found")
		w.wantUsed(id, "consumptions", 27)
	})
}

// TestLicenseSpringOfflineTellsNoKeys: without a product, a request for the license of a product that the integration
// is not for is answered as one for a license that there is not.
func TestLicenseSpringOfflineTellsNoKeys(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.products(http.MethodPost, "", `{"code":"other"}`), http.StatusCreated, "")
		s := w.licenseSpring(`,"products":["default"]`)
		const activation, deactivation = "activation", "deactivation"
		ask := func(path, key, request string) *httptest.ResponseRecorder {
			date := "Wed Jan 1 2025 00:00:00 GMT+0000"
			signature := s.hmac("licenseSpring\ndate: " + date + "\n" + key + "\npc\n" + s.apiKey)
			text := fmt.Sprintf(
				`{"license_key":%q,"hardware_id":"pc","date":%q,"api_key":%q,"request":%q,"signature":%q}`,
				key, date, s.apiKey, request, signature)
			return s.carry(path, base64.StdEncoding.EncodeToString([]byte(text)))
		}
		_, own := w.with(`"product":"default"`)
		s.object(ask("activate_offline", own, activation))
		_, key := w.with(`"product":"other"`)
		for path, request := range map[string]string{
			"activate_offline": activation, "refresh_offline": activation,
			"deactivate_offline":      deactivation,
			"activate_bundle_offline": activation, "deactivate_bundle_offline": deactivation,
		} {
			unknown, others := ask(path, "LIC-000000000000", request), ask(path, key, request)
			s.refused(others, 400, "license_not_found")
			if unknown.Body.String() != others.Body.String() {
				t.Errorf("%s: an unknown key %s, that of another product %s", path, unknown.Body, others.Body)
			}
		}
	})
}

// TestOwnOperationsCannotBeNamed: what the server counted by itself is not undone by who guesses how it is called.
func TestOwnOperationsCannotBeNamed(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.with(`"counters":[{"name":"consumptions","limit":500}]`)
		s.object(s.carry("activate_offline", s.offline(key, "pc", "", false)))
		leave := s.offline(key, "pc", `,"request":"deactivation","consumptions":400`, true)
		s.word(s.carry("deactivate_offline", leave), "license_deactivated")
		s.object(s.post("activate_license", key, "pc", ""))
		signed, _, _ := strings.Cut(strings.TrimPrefix(decode(leave), `{"request": `), `, "signature": `)
		name := fmt.Sprintf("signed %x", sha256.Sum256([]byte(signed)))
		for _, guess := range []string{
			"offline " + name + " ", " offline " + name + " ", "\u2003offline " + name + " ",
		} {
			body, _ := json.Marshal(guess)
			w.want(w.post("consume/undo", with(key, `"operation_id":`+string(body))), http.StatusNotFound,
				"OPERATION_NOT_FOUND")
		}
		w.wantUsed(id, "consumptions", 400)
		// Nor does a request take the name of one that has no id.
		s.refused(s.carry("activate_offline", s.offline(key, "pc", fmt.Sprintf(`,"request_id":%q`, name), true)), 400,
			"authorization_missing_params")
	})
}

// TestLicenseSpringRefresh: a device without a network learns what became of its license, and holds its seat for as
// long as the license lasts now.
func TestLicenseSpringRefresh(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.with(`"max_devices":1,"is_trial":true,"expires_in_days":10`)
		file := s.offline(key, "air", `,"request_id":"r1"`, true)
		s.refused(s.carry("refresh_offline", file), 400, "device_not_found")
		w.inUse(id, 0)
		before := s.object(s.carry("activate_offline", file))
		w.alter(id, "renew", `{"days":20}`)
		rec := s.carry("refresh_offline", file)
		after := s.object(rec)
		if after["validity_period"] == before["validity_period"] || after["device_id"] != before["device_id"] ||
			after["request_id"] != "r1" {
			t.Errorf("refreshed: %v", after)
		}
		covered, _, _ := strings.Cut(rec.Body.String(), `,"license_signature_v2":`)
		s.verify(covered+"}", after["license_signature_v2"].(string))
		lines := []string{"licenseSpring", "date: " + after["date"].(string), key, "air", s.apiKey}
		if want := s.hmac(strings.Join(lines, "\n")); after["offline_signature"] != want {
			t.Errorf("offline_signature %v, want %s", after["offline_signature"], want)
		}
		w.inUse(id, 1)
		w.clock.Advance(15 * 24 * time.Hour)
		s.refused(s.post("deactivate_license", key, "air", ""), 400, "offline_token_active")
		w.alter(id, "suspend", `{"reason":"x"}`)
		s.refused(s.carry("refresh_offline", file), 400, "license_not_enabled")
		w.alter(id, "reinstate", "")
		s.word(s.carry("deactivate_offline", s.offline(key, "air", `,"request":"deactivation"`, true)),
			"license_deactivated")
		s.refused(s.carry("refresh_offline", file), 400, "device_not_found")
		w.inUse(id, 0)
	})
}

// TestLicenseSpringOfflineHeld: what the main API, or a delegated key, gave for use without a network holds the seat,
// because the device still has it.
func TestLicenseSpringOfflineHeld(t *testing.T) {
	for name, tt := range map[string]struct {
		give func(w *world, id, key string) answer
		// forEver is what no time ends.
		forEver bool
	}{
		"offline token": {give: func(w *world, id, key string) answer {
			w.want(w.post("activate", device(key, "air")), http.StatusCreated, "")
			return w.post("offline-token", `{"duration_hours":24}`, w.bearer(id, "air")...)
		}},
		"license file": {give: func(w *world, id, _ string) answer {
			return w.manage(http.MethodPost, "/"+id+"/license-file", `{"hardware_ids":["air"],"valid_hours":24}`)
		}},
		"delegated key": {forEver: true, give: func(w *world, id, _ string) answer {
			master := w.master(w.organisation(1), "linux", `,"license_id":"`+id+`"`).body["master_key"].(string)
			return w.delegated(master, "air")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				s := w.licenseSpring("")
				id, key := w.with(`"max_devices":1,"counters":[{"name":"consumptions","limit":9},` +
					`{"name":"scans","limit":9}],"entitlements":[{"code":"scan","counter":"scans"}]`)
				w.want(tt.give(w, id, key), http.StatusCreated, "")
				s.object(s.carry("activate_offline", s.offline(key, "air", "", true)))
				leave := s.offline(key, "air", `,"request":"deactivation","consumptions":4,`+
					`"product_features":[{"code":"scan","consumptions":2}]`, true)
				counted := func(seats, consumptions, scans int) {
					t.Helper()
					w.inUse(id, seats)
					w.wantUsed(id, "consumptions", consumptions)
					w.wantUsed(id, "scans", scans)
				}
				s.refused(s.carry("deactivate_offline", leave), 400, "offline_token_active")
				counted(1, 0, 0) // it comes again, and counts then
				w.clock.Advance(25 * time.Hour)
				if tt.forEver {
					s.refused(s.carry("deactivate_offline", leave), 400, "offline_token_active")
					counted(1, 0, 0)
					return
				}
				s.word(s.carry("deactivate_offline", leave), "license_deactivated")
				counted(0, 4, 2)
				w.clock.Advance(26 * time.Hour)
				s.word(s.carry("deactivate_offline", leave), "license_deactivated")
				counted(0, 4, 2)
			})
		})
	}
}
