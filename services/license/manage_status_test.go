package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// alter makes a change of a license by POST and returns the license that was answered, which is the one that is kept.
func (w *world) alter(id, action, body string, headers ...string) map[string]any {
	w.t.Helper()
	got := w.manage(http.MethodPost, "/"+id+"/"+action, body, headers...)
	w.must(got, http.StatusOK)
	if diff := cmp.Diff(got.body, w.get(id)); diff != "" ||
		got.header.Get("ETag") != fmt.Sprintf(`"%v"`, got.body["version"]) {
		w.t.Errorf("%s (-answered +kept):\n%s", action, diff)
	}
	return got.body
}

func (w *world) at(d time.Duration) string {
	return w.clock.Now().UTC().Add(d).Format(time.RFC3339Nano)
}

func TestSuspendAndReinstate(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(2, 30)
		w.activate(key, "pc")
		token := w.bearer(id, "pc")
		l := w.alter(id, "suspend", `{"reason":"unpaid","until":"`+w.at(time.Hour)+`"}`)
		if l["status"] != "suspended" || l["is_active"] != true || l["suspension_reason"] != "unpaid" ||
			l["suspended_until"] != w.at(time.Hour) {
			t.Errorf("%v", l)
		}
		for _, call := range []string{"validate", "activate"} {
			refused := w.post(call, device(key, "pc"))
			w.want(refused, http.StatusForbidden, "LICENSE_SUSPENDED")
			want := map[string]any{"license_id": id, "suspended_until": w.at(time.Hour)}
			if diff := cmp.Diff(want, refused.body["details"]); diff != "" {
				t.Errorf("%s: details (-want +got):\n%s", call, diff)
			}
		}
		w.want(w.call("POST", "/api/v1/license/heartbeat", `{}`, token...), http.StatusForbidden, "LICENSE_SUSPENDED")
		w.update(id, `{"is_active":true}`)
		w.want(w.post("validate", device(key, "pc")), http.StatusForbidden, "LICENSE_SUSPENDED")
		if l := w.alter(id, "reinstate", ``); l["status"] != "active" || l["suspended_at"] != nil ||
			l["suspension_reason"] != nil {
			t.Errorf("%v", l)
		}
		w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
		w.want(w.call("POST", "/api/v1/license/heartbeat", `{}`, token...), http.StatusOK, "") // it was only paused
		w.alter(id, "suspend", `{"reason":"x","until":"`+w.at(time.Hour)+`"}`)
		w.clock.Advance(time.Hour)
		w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
		if l := w.get(id); l["status"] != "active" || l["suspended_at"] != nil {
			t.Errorf("after the end of the suspension: %v", l)
		}
		for _, action := range []string{"license.suspend", "license.reinstate"} {
			w.audited(action)
		}
	})
}

func TestRenewAndConvert(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(2, 30)
		first := w.alter(id, "renew", `{"days":10}`, "Idempotency-Key", "r")
		again := w.manage("POST", "/"+id+"/renew", `{"days":10}`, "Idempotency-Key", "r")
		if first["expires_at"] != w.at(40*24*time.Hour) || again.body["expires_at"] != first["expires_at"] ||
			again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%v, again %s", first, again.raw)
		}
		w.want(w.manage("POST", "/"+id+"/renew", `{"days":1}`, "If-Match", `"1"`), http.StatusPreconditionFailed,
			"VERSION_MISMATCH")
		w.want(w.manage("POST", "/"+id+"/renew", ``), http.StatusBadRequest, "VALIDATION_ERROR")
		w.want(w.manage("POST", "/"+id+"/convert", ``), http.StatusConflict, "LICENSE_NOT_TRIAL")
		endless, _ := w.create(1, 0)
		w.want(w.manage("POST", "/"+endless+"/renew", `{"days":1}`), http.StatusConflict, "LICENSE_PERPETUAL")
		waiting, _ := w.with(`"is_trial":true,"duration_days":14,"starts":"first_activation"`)
		got := w.manage("POST", "/"+waiting+"/renew", `{"days":1}`)
		w.want(got, http.StatusConflict, "LICENSE_PERPETUAL")
		if !strings.Contains(got.raw, "duration_days") || !strings.Contains(got.raw, "convert") {
			t.Errorf("a trial that waits for its start: %s", got.raw)
		}
		made := w.manage("POST", "", `{"customer_id":"acme","is_trial":true,"duration_days":14,`+
			`"starts":"first_activation"}`)
		trial, key := made.body["license_id"].(string), made.body["license_key"].(string)
		w.activate(key, "pc")
		if l := w.get(trial); l["expires_at"] != w.at(14*24*time.Hour) || l["started_at"] != w.at(0) ||
			l["license_type"] != "time-limited" {
			t.Errorf("after the first activation: %v", l)
		}
		w.clock.Advance(14 * 24 * time.Hour)
		refused := w.post("validate", device(key, "pc"))
		w.want(refused, http.StatusForbidden, "LICENSE_EXPIRED")
		if details := refused.body["details"].(map[string]any); details["is_trial"] != true ||
			details["expires_at"] != w.at(0) {
			t.Errorf("%v", details)
		}
		l := w.alter(trial, "convert", `{"license_type":"subscription","duration_days":30,"max_devices":3}`)
		if l["is_trial"] != false || l["expires_at"] != w.at(30*24*time.Hour) || l["license_type"] != "subscription" ||
			l["max_devices"] != 3.0 {
			t.Errorf("converted: %v", l)
		}
		w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
		for _, action := range []string{"license.renew", "license.convert"} {
			w.audited(action)
		}
		for _, told := range []string{"license.renewed", "license.started", "license.expired", "license.converted"} {
			w.eventually(told)
		}
	})
}

// TestATrialIsConvertedByAPolicy begins the time of the policy that was bought. No policy makes a trial of what was
// sold.
func TestATrialIsConvertedByAPolicy(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, policy := range []string{
			`{"code":"trial","is_trial":true,"duration_days":14,"max_devices":1}`,
			`{"code":"year","duration_months":12,"max_devices":3}`,
		} {
			w.want(w.ask(w.admin, http.MethodPost, "/api/v1/admin/policies", policy), http.StatusCreated, "")
		}
		trial := func() string {
			made := w.manage("POST", "", `{"customer_id":"acme","policy":"trial"}`)
			return made.body["license_id"].(string)
		}
		refusesPolicy := func(got answer) {
			w.t.Helper()
			w.want(got, http.StatusBadRequest, "VALIDATION_ERROR")
			details, _ := got.body["details"].(map[string]any)
			if fields, _ := details["fields"].(map[string]any); fields["policy"] == nil {
				w.t.Errorf("not refused for its policy: %s", got.raw)
			}
		}
		bought, changed, kept := trial(), trial(), trial()
		w.clock.Advance(13 * 24 * time.Hour)
		refusesPolicy(w.manage("POST", "/"+bought+"/convert", `{"policy":"trial"}`))
		refusesPolicy(w.manage("POST", "/"+bought+"/convert", `{"policy":"yaer"}`))
		l := w.alter(bought, "convert", `{"policy":"year","max_devices":5}`)
		year := w.clock.Now().AddDate(1, 0, 0).Sub(w.clock.Now())
		if l["is_trial"] != false || l["policy"] != "year" || l["max_devices"] != 5.0 || l["expires_at"] != w.at(year) {
			t.Errorf("converted by its policy: %v", l)
		}
		l = w.alter(changed, "change-policy", `{"policy":"year"}`)
		if l["is_trial"] != false || l["max_devices"] != 3.0 || l["expires_at"] != w.at(year) ||
			w.logged(changed)[0] != "license.converted" {
			t.Errorf("converted by a change of its policy: %v", l)
		}
		w.alter(kept, "convert", `{"policy":null,"duration_months":1,"max_devices":2}`)
		refusesPolicy(w.manage("POST", "/"+kept+"/change-policy", `{"policy":"trial"}`))
		applied := w.ask(w.admin, http.MethodPost, "/api/v1/admin/policies/trial/apply", `{"dry_run":false}`)
		w.want(applied, http.StatusMultiStatus, "")
		results := applied.body["results"].([]any)
		row := results[0].(map[string]any)
		details, _ := row["details"].(map[string]any)
		fields, _ := details["fields"].(map[string]any)
		if len(results) != 1 || row["license_id"] != kept || row["ok"] != false || fields["policy"] == nil {
			t.Errorf("applied: %s", applied.raw)
		}
		if l := w.get(kept); l["is_trial"] != false || l["max_devices"] != 2.0 {
			t.Errorf("a license that was sold became a trial again: %v", l)
		}
	})
}

func TestStatusInputs(t *testing.T) {
	w, id := untouched(t)
	for _, bad := range []struct{ action, body string }{
		{"suspend", ``}, {"suspend", `{}`}, {"suspend", `{"reason":""}`}, {"suspend", `{"reason":7}`},
		{"suspend", `{"reason":"x","until":"yesterday"}`},
		{"suspend", `{"reason":"x","until":"2001-01-01"}`},
		{"suspend", `{"reason":"x","until":"0001-01-01T00:00:00Z"}`}, {"suspend", `{"reason":"x","by":"me"}`},
		{"renew", `{"days":-1}`}, {"renew", `{"days":1.5}`}, {"renew", `{"months":1e9}`},
		{"renew", `{"until":"2001-01-01"}`}, {"renew", `{"day":1}`},
		// it has 30 days
		{"renew", `{"days":29,"from":"now"}`}, {"renew", `{"days":30,"from":"now"}`},
		{"renew", `{"days":1,"until":"2030-01-01"}`}, {"renew", `[]`}, {"renew", `{"from":"there","days":1}`},
		{"reinstate", `{"reason":"x"}`}, {"convert", `{"customer_id":"x"}`}, {"convert", `{"is_trial":true}`},
		{"convert", `{"max_devices":0}`},
	} {
		got := w.manage("POST", "/"+id+"/"+bad.action, bad.body)
		if got.status != http.StatusBadRequest || got.body["error_code"] != "VALIDATION_ERROR" {
			t.Errorf("%s %s: %d %s", bad.action, bad.body, got.status, got.raw)
		}
	}
	for _, action := range []string{"renew", "suspend", "reinstate", "convert"} {
		body := map[string]string{"renew": `{"days":1}`, "suspend": `{"reason":"x"}`}[action]
		w.want(w.manage("POST", "/"+unknown+"/"+action, body), http.StatusNotFound, "LICENSE_NOT_FOUND")
		w.want(w.manage("POST", "/no-uuid/"+action, body), http.StatusNotFound, "LICENSE_NOT_FOUND")
	}
}

// TestRenewalsKeepTheDayOfTheMonth: a shorter month cuts it, a longer one has it again, until somebody sets another
// end.
func TestRenewalsKeepTheDayOfTheMonth(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.with(`"expires_at":"2090-01-31T10:00:00Z"`)
		renewed := func(body, want string) {
			w.t.Helper()
			if got := w.alter(id, "renew", body)["expires_at"]; got != want+"T10:00:00Z" {
				w.t.Errorf("renewed by %s it ends %v, want %s", body, got, want)
			}
		}
		renewed(`{"months":1}`, "2090-02-28")
		renewed(`{"months":1}`, "2090-03-31")
		renewed(`{"months":1}`, "2090-04-30")
		renewed(`{"months":24}`, "2092-04-30")
		renewed(`{"months":1}`, "2092-05-31")
		renewed(`{"months":9}`, "2093-02-28")
		renewed(`{"days":1}`, "2093-03-01")
		renewed(`{"months":1}`, "2093-04-01")
		w.update(id, `{"expires_at":"2094-02-28T10:00:00Z"}`)
		renewed(`{"months":1}`, "2094-03-28")
		begun, _ := w.with(`"duration_months":1,"starts_at":"2090-01-31T10:00:00Z"`)
		id = begun
		renewed(`{}`, "2090-03-31")
	})
}
