package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// explain asks what a call would be answered.
func (w *world) explain(body string) answer {
	w.t.Helper()
	got := w.ask(w.admin, http.MethodPost, "/api/v1/admin/explain", body)
	w.must(got, http.StatusOK)
	return got
}

// failed is the first check of an explanation that fails.
func (a answer) failed() map[string]any {
	for _, c := range a.body["checks"].([]any) {
		if check := c.(map[string]any); check["passed"] == false {
			return check
		}
	}
	return nil
}

// TestExplainSaysWhatTheCallAnswers: over licenses in many states and devices with and without a seat, explain has the
// verdict, the code and the words of the call, and changes nothing.
func TestExplainSaysWhatTheCallAnswers(t *testing.T) {
	eachStillWorld(t, func(w *world) {
		w.unlimitedCalls()
		refusals := map[any]int{}
		more := map[string]string{"consume": `,"counter":"exports"`}
		type question struct{ operation, call string }
		for i := range 48 {
			id, key := w.someLicense(i)
			w.clock.Advance(time.Minute)
			before, events := w.get(id), len(w.logged(id))
			explained := map[question]answer{}
			for _, hardwareID := range []string{"pc", "other", "unknown", "00000000"} {
				for operation := range endpoints {
					asked := question{operation, as(key, hardwareID, more[operation])}
					explained[asked] = w.explain(as(key, hardwareID, more[operation]+`,"operation":"`+operation+`"`))
				}
			}
			if diff := cmp.Diff(before, w.get(id)); diff != "" || len(w.logged(id)) != events {
				t.Fatalf("explaining changed the license:\n%s", diff)
			}
			for asked, said := range explained {
				if asked.operation != "validate" && said.body["verdict"] == "allowed" {
					continue // the call would change the license for the next question
				}
				w.agrees(said, w.post(endpoints[asked.operation], asked.call))
				refusals[said.body["error_code"]]++
			}
		}
		for _, code := range []string{
			"LICENSE_INACTIVE", "LICENSE_SUSPENDED", "LICENSE_NOT_STARTED", "LICENSE_EXPIRED", "DEVICE_LIMIT_EXCEEDED",
			"ALREADY_ACTIVATED", "DEVICE_NOT_ACTIVATED", "HARDWARE_ID_NOT_UNIQUE", "CONSUMPTION_LIMIT_EXCEEDED",
			"LEASE_LIMIT_EXCEEDED", "OFFLINE_NOT_ALLOWED",
		} {
			if refusals[code] == 0 {
				t.Errorf("nothing was refused with %s: %v", code, refusals)
			}
		}
	})
}

// someLicense makes a license whose state the bits of i say, with a seat taken by pc where that is possible.
func (w *world) someLicense(i int) (id, key string) {
	w.t.Helper()
	id, key = w.with(fmt.Sprintf(
		`"max_devices":%d,"expires_in_days":30,"offline_activation":%v,"counters":[{"name":"exports","limit":%d}],`+
			`"floating":{"slots":1,"activation":%q}`,
		1+i%2, i%3 > 0, i%4, []string{"none", "required"}[i/24]))
	w.activate(key, "pc")
	if i%5 < 2 {
		w.must(w.checkOut(key, "pc", `"session_id":"another"`), http.StatusCreated)
	}
	ago := w.clock.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	switch i / 2 % 6 {
	case 1:
		w.update(id, `{"is_active":false}`)
	case 2:
		w.alter(id, "suspend", `{"reason":"unpaid"}`)
	case 3:
		w.update(id, `{"starts_at":"2090-01-01","expires_at":null}`)
	case 4:
		w.update(id, `{"expires_at":"`+ago+`"}`)
	case 5:
		w.update(id, `{"expires_at":"`+ago+`","grace_hours":5}`)
	}
	if i/12%2 == 1 {
		w.deactivate(id, "pc")
	}
	w.post("license-file", as(key, "None", "")) // makes the signing key, and tells of a status that has come
	return id, key
}

// agrees compares an explanation with the answer of the call.
func (w *world) agrees(explained, called answer) {
	w.t.Helper()
	if said := disagreement(explained, called); said != "" {
		w.t.Error(said)
	}
}

// ofAnotherLicense tells a check that says more than the call: that there is a license, which the call does not open.
func ofAnotherLicense(failed map[string]any) bool {
	return failed["check"] == "product_matches" || failed["check"] == "known" && failed["observed"] != nil
}

// disagreement tells what is wrong with an explanation beside the answer of the call, empty for nothing.
func disagreement(explained, called answer) string {
	code, reason := called.body["error_code"], called.body["error"]
	if explained.body["error_code"] != code {
		return fmt.Sprintf("explained as %v, answered %s", explained.body["error_code"], called.raw)
	}
	if explained.status != http.StatusOK { // what is no call is no question, whatever the license
		if explained.status != called.status || explained.body["error"] != reason {
			return fmt.Sprintf("explained with %s, answered %s", explained.raw, called.raw)
		}
		return ""
	}
	failed := explained.failed()
	switch {
	case code == nil:
		if explained.body["verdict"] != "allowed" || failed != nil {
			return fmt.Sprintf("allowed, explained as %s", explained.raw)
		}
	case failed == nil || explained.body["verdict"] != "refused" || failed["remedy"] == nil:
		return fmt.Sprintf("refused with %v, explained as %s", code, explained.raw)
	case failed["reason"] != reason && !ofAnotherLicense(failed):
		return fmt.Sprintf("refused with %q, explained with %q", reason, failed["reason"])
	}
	return ""
}

// TestExplainAnotherProduct: administrators are told what the client is not.
func TestExplainAnotherProduct(t *testing.T) {
	w, id := untouched(t)
	w.want(w.products(http.MethodPost, "", `{"code":"editor"}`), http.StatusCreated, "")
	ask := func(product string) answer {
		return w.explain(`{"license_id":"` + id + `","hardware_id":"pc","operation":"activate","product":"` +
			product + `"}`)
	}
	other := ask("editor")
	failed := other.failed()
	if other.body["error_code"] != errcode.LicenseNotFound || failed["check"] != "product_matches" ||
		failed["observed"] != "default" || failed["limit"] != "editor" ||
		!strings.Contains(failed["reason"].(string), "is of another product") ||
		other.body["license"].(map[string]any)["license_id"] != id {
		t.Errorf("%s", other.raw)
	}
	key := w.manage(http.MethodPost, "/"+id+"/reveal-key", "").body["license_key"].(string)
	called := w.post("activate", `{"license_key":"`+key+`","hardware_id":"pc","product":"editor"}`)
	w.want(called, http.StatusNotFound, errcode.LicenseNotFound)
	if strings.Contains(called.raw, "product") {
		t.Errorf("the client is told: %s", called.raw)
	}
	if same := ask("default"); same.body["verdict"] != "allowed" ||
		!strings.Contains(same.raw, `"check":"product_matches","passed":true`) {
		t.Errorf("%s", same.raw)
	}
}

func TestExplainUnknownAndLater(t *testing.T) {
	w, id := untouched(t)
	unknownKey := w.explain(`{"license_key":"LIC-0000-0000-0000","hardware_id":"pc","operation":"activate"}`)
	if unknownKey.body["error_code"] != "LICENSE_NOT_FOUND" || unknownKey.body["license"] != nil ||
		len(unknownKey.body["checks"].([]any)) < 5 {
		t.Errorf("%s", unknownKey.raw)
	}
	file := w.explain(`{"license_key":"LIC-0000-0000-0000","hardware_id":"pc","operation":"file"}`)
	if len(file.body["checks"].([]any)) <= len(unknownKey.body["checks"].([]any)) {
		t.Errorf("a file takes a seat, too: %s", file.raw)
	}
	if got := w.explain(`{"license_id":"` + unknown +
		`","hardware_id":"pc"}`); got.body["error_code"] != "LICENSE_NOT_FOUND" {
		t.Errorf("%s", got.raw)
	}
	late := w.explain(`{"license_id":"` + id +
		`","hardware_id":"pc","operation":"activate","at":"2090-01-01T00:00:00Z"}`)
	if late.body["error_code"] != "LICENSE_EXPIRED" || late.body["license"].(map[string]any)["status"] != "expired" {
		t.Errorf("%s", late.raw)
	}
	for _, bad := range []string{
		``, `{}`, `{"hardware_id":"pc"}`, `{"license_key":"x"}`,
		`{"license_key":"x","license_id":"y","hardware_id":"pc"}`,
		`{"license_id":"y","hardware_id":"pc","operation":"steal"}`,
		`{"license_id":"y","hardware_id":"pc","at":"0001-01-01"}`,
		`{"license_id":"y","hardware_id":"pc","password":"x"}`,
	} {
		got := w.ask(w.front(ada), http.MethodPost, "/api/v1/admin/explain", bad)
		w.want(got, http.StatusBadRequest, "VALIDATION_ERROR")
	}
}

// TestExplainWithoutAddress: nothing that only an address could refuse is said to pass.
func TestExplainWithoutAddress(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, walled := w.with(`"networks":{"allow":["198.51.100.0/24"]}`)
		_, plain := w.create(5, 0)
		asks := func(key, more, verdict, check string) {
			t.Helper()
			got := w.explain(as(key, "pc", more+`,"operation":"activate"`))
			unasked := ""
			for _, c := range got.body["checks"].([]any) {
				if c := c.(map[string]any); c["passed"] == nil && c["remedy"] == "send its address" {
					unasked += c["check"].(string)
				}
			}
			if got.body["verdict"] != verdict || unasked != check {
				t.Errorf("%s%s is %s: %s", key, more, verdict, got.raw)
			}
		}
		w.want(w.post("activate", as(walled, "pc", "")), http.StatusForbidden, "ENVIRONMENT_NOT_ALLOWED")
		asks(walled, "", "undecided", "environment_allowed")
		asks(walled, `,"address":"198.51.100.7"`, "allowed", "")
		asks(walled, `,"address":"192.0.2.7"`, "refused", "")
		asks(plain, "", "allowed", "")
		block := w.ask(w.admin, http.MethodPost, "/api/v1/admin/blocks", `{"network":"192.0.2.0/24","reason":"abuse"}`)
		w.want(block, http.StatusCreated, "")
		asks(plain, "", "undecided", "not_blocked")
		asks(plain, `,"address":"192.0.2.7"`, "refused", "")
	})
}

// TestExplainTakesWhatTheCallsTake: bodies of calls are pasted as they are.
func TestExplainTakesWhatTheCallsTake(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.with(`"max_offline_hours":10,"counters":[{"name":"c","limit":5}],` +
			`"floating":{"slots":1,"activation":"none"}`)
		w.activate(key, "pc")
		const public = `"device_public_key":"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="`
		for _, call := range []struct{ operation, more string }{
			{"validate", `,"nonce":"n","entitlements":["x"],"operation_id":"o"`},
			{"validate", `,"consume":{"c":-1}`},
			{"consume", `,"counter":"c","amount":-1`},
			{"consume", `,"counter":"nosuch"`},
			{"consume", ""},
			{"consume", `,"counter":"c","entitlement":"x"`},
			{"file", `,"nonce":"n","valid_hours":5,"encrypt":true,` + public},
			{"file", `,"valid_hours":11`},
			{"file", `,"device_public_key":"x"`},
			{"lease", `,"session_id":"s"`},
		} {
			body := as(key, "pc", call.more)
			explained := w.ask(w.admin, http.MethodPost, "/api/v1/admin/explain",
				as(key, "pc", call.more+`,"operation":"`+call.operation+`"`))
			called := w.post(endpoints[call.operation], body)
			w.agrees(explained, called)
			if explained.status != http.StatusOK {
				if diff := cmp.Diff(called.body["details"], explained.body["details"]); diff != "" {
					t.Errorf("%s: other members are wrong:\n%s", body, diff)
				}
			}
		}
	})
}

// TestExplainLaterWithLeases: a lease counts until it ends.
func TestExplainLaterWithLeases(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.floating(`{"slots":1,"lease_seconds":60,"activation":"none"}`)
		w.must(w.checkOut(key, "pc"), http.StatusCreated)
		for after, code := range map[time.Duration]any{time.Second: nil, 2 * time.Minute: "DEVICE_NOT_ACTIVATED"} {
			for _, operation := range []string{"validate", "token"} {
				got := w.explain(as(key, "pc", fmt.Sprintf(`,"at":%q,"operation":%q`, w.at(after), operation)))
				if got.body["error_code"] != code {
					t.Errorf("%s after %v: %s", operation, after, got.raw)
				}
			}
		}
		refused := w.post("consume", as(key, "other", `,"counter":"c"`))
		w.want(refused, http.StatusForbidden, "DEVICE_NOT_ACTIVATED")
		if said := refused.body["error"].(string); !strings.HasSuffix(said, "take one first") {
			t.Errorf("a device of a license whose leases need no seat hears: %s", said)
		}
	})
}

// TestAnswersSayHowTheLicenseStands: validate and activate tell of a trial, of the start that is to come, and of grace.
func TestAnswersSayHowTheLicenseStands(t *testing.T) {
	eachWorld(t, func(w *world) {
		made := w.manage("POST", "", `{"customer_id":"acme","is_trial":true,"duration_days":14,`+
			`"starts":"first_activation","grace_hours":48}`)
		key := made.body["license_key"].(string)
		shows := func(got answer, want map[string]any) {
			t.Helper()
			want["license_type"], want["is_trial"] = "time-limited", true
			for _, member := range []string{"license_type", "is_trial", "status", "grace", "grace_ends_at", "starts",
				"duration_days", "expires_at"} {
				if diff := cmp.Diff(want[member], got.body[member]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", member, diff)
				}
			}
		}
		shows(w.post("validate", device(key, "pc")),
			map[string]any{"status": "active", "starts": "first_activation", "duration_days": 14.0})
		end := w.at(14 * 24 * time.Hour)
		shows(w.post("activate", device(key, "pc")), map[string]any{"status": "active", "expires_at": end})
		shows(w.post("validate", device(key, "pc")), map[string]any{"status": "active", "expires_at": end})
		w.clock.Advance(15 * 24 * time.Hour)
		shows(w.post("validate", device(key, "pc")), map[string]any{
			"status": "in_grace", "expires_at": end, "grace": true, "grace_ends_at": w.at(24 * time.Hour),
		})
		if e := w.eventually("license.in_grace"); e.Subject != made.body["license_id"] {
			t.Errorf("told of %s", e.Subject)
		}
		plain, _ := w.create(1, 0)
		w.want(w.manage("POST", "/"+plain+"/reveal-key", ""), http.StatusOK, "")
		_, short := w.create(2, 30) // the short way of activation
		got := w.post("activate", device(short, "pc"))
		if got.body["license_type"] != "time-limited" || got.body["is_trial"] != false ||
			got.body["status"] != "active" {
			t.Errorf("%s", got.raw)
		}
	})
}
