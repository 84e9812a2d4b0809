package license_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/proto/openapi"
)

// policies asks what ada asks at admin; path goes on below /api/v1/admin/policies.
func (w *world) policies(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.ask(w.admin, method, "/api/v1/admin/policies"+path, body, headers...)
}

func TestPolicies(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.products("POST", "", `{"code":"editor"}`), http.StatusCreated, "")
		made := w.policies("POST", "", `{"code":"pro","product":"editor","max_devices":3,"duration_months":12,`+
			`"features":["a"],"grace_hours":48}`)
		w.want(made, http.StatusCreated, "")
		for member, want := range map[string]any{
			"code": "pro", "name": "pro", "product": "editor", "max_devices": 3.0, "duration_months": 12.0,
			"duration_days": nil, "expires_at": nil,
			"features": []any{"a"}, "grace_hours": 48.0, "version": 1.0, "license_type": "time-limited",
			"max_offline_hours": 720.0,
		} {
			if diff := cmp.Diff(want, made.body[member]); diff != "" {
				w.t.Errorf("%s (-want +got):\n%s", member, diff)
			}
		}
		w.clock.Advance(time.Minute)
		changed := w.policies("PATCH", "/pro", `{"max_devices":null,"name":"Pro","duration_days":30}`,
			"If-Match", `"1"`)
		w.want(changed, http.StatusOK, "")
		want := made.body
		want["max_devices"], want["name"], want["duration_days"], want["duration_months"], want["version"] =
			nil, "Pro", 30.0, nil, 2.0
		want["updated_at"] = w.clock.Now().UTC().Format(time.RFC3339Nano)
		for what, got := range map[string]answer{"answered": changed, "shown": w.policies("GET", "/pro", "")} {
			if diff := cmp.Diff(want, got.body); diff != "" || got.header.Get("ETag") != `"2"` {
				w.t.Errorf("%s, ETag %s (-want +got):\n%s", what, got.header.Get("ETag"), diff)
			}
		}
		if list := w.policies("GET", "", ""); list.body["total"] != 1.0 {
			w.t.Errorf("%s", list.raw)
		}
		w.want(w.products("DELETE", "/editor", ""), http.StatusConflict, "PRODUCT_IN_USE")
		w.want(w.policies("DELETE", "/pro", "", "If-Match", `"2"`), http.StatusOK, "")
		w.want(w.policies("GET", "/pro", ""), http.StatusNotFound, "POLICY_NOT_FOUND")
		for _, told := range []string{"policy.created", "policy.updated", "policy.deleted"} {
			w.eventually(told)
		}
		for _, action := range []string{"policy.create", "policy.update", "policy.delete"} {
			w.audited(action)
		}
	})
}

func TestPoliciesThatAreRefused(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.policies("POST", "", `{"code":"pro"}`), http.StatusCreated, "")
		before := w.policies("GET", "", "")
		for _, bad := range []string{
			`{}`, `{"code":"a b"}`, `{"code":"x","product":"nothing"}`, `{"code":"x","max_devices":0}`,
			`{"code":"x","expires_in_days":3}`,
			`{"code":"x","duration_days":1,"duration_months":1}`,
			`{"code":"x","name":" "}`, `{"code":"x","is_active":false}`, `{"code":"x","timezone":"Mars"}`,
		} {
			w.want(w.policies("POST", "", bad), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		for _, bad := range []string{`{"code":"y"}`, `{"product":"default"}`, `{"max_devices":0}`, `{"name":""}`,
			`{"expires_in_days":3}`} {
			w.want(w.policies("PATCH", "/pro", bad), http.StatusBadRequest, "VALIDATION_ERROR")
			w.want(w.policies("PATCH", "/none", bad), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		w.want(w.policies("POST", "", `{"code":"pro"}`), http.StatusConflict, "POLICY_EXISTS")
		w.want(w.policies("PATCH", "/pro", `{"name":"x"}`, "If-Match", `"9"`), http.StatusPreconditionFailed,
			"VERSION_MISMATCH")
		w.want(w.policies("DELETE", "/pro", "", "If-Match", `"9"`), http.StatusPreconditionFailed, "VERSION_MISMATCH")
		w.want(w.policies("PATCH", "/none", `{}`), http.StatusNotFound, "POLICY_NOT_FOUND")
		w.want(w.policies("DELETE", "/none", ""), http.StatusNotFound, "POLICY_NOT_FOUND")
		if diff := cmp.Diff(before.body, w.policies("GET", "", "").body); diff != "" {
			w.t.Errorf("a refused call was carried out:\n%s", diff)
		}
	})
}

// TestATrialPolicyIsNotOver: its trials would have ended when they are made. One that is over by now takes other
// changes.
func TestATrialPolicyIsNotOver(t *testing.T) {
	eachWorld(t, func(w *world) {
		refused := func(got answer) {
			w.t.Helper()
			w.want(got, http.StatusBadRequest, "VALIDATION_ERROR")
			fields, _ := got.body["details"].(map[string]any)["fields"].(map[string]any)
			if told, _ := fields["expires_at"].(string); !strings.Contains(told, "is over") {
				w.t.Errorf("told %s", got.raw)
			}
		}
		today := w.clock.Now().Format(time.DateOnly)
		past, soon := `"expires_at":"2020-01-01"`, fmt.Sprintf(`"expires_at":%q`, today) // the end of the day
		refused(w.policies("POST", "", `{"code":"over","is_trial":true,`+past+`}`))
		refused(w.policies("POST", "", `{"code":"over","is_trial":true,"duration_days":14,`+past+`}`))
		made := w.policies("POST", "", `{"code":"trial","product":"default","is_trial":true,`+soon+`}`)
		w.want(made, http.StatusCreated, "")
		w.want(w.policies("POST", "", `{"code":"sold",`+past+`}`), http.StatusCreated, "")
		refused(w.policies("PATCH", "/trial", `{`+past+`}`))
		refused(w.policies("PATCH", "/sold", `{"is_trial":true}`))
		w.clock.Advance(24 * time.Hour)
		w.want(w.policies("PATCH", "/trial", `{"name":"x","is_trial":true,`+soon+`}`), http.StatusOK, "")
		refused(w.policies("PATCH", "/trial", `{`+past+`}`))
		s := w.licenseSpring("")
		s.refused(s.trial("default", "ada@example.com"), 400, "trial_not_allowed")
		w.want(w.policies("PATCH", "/trial", `{"expires_at":null,"duration_days":14}`), http.StatusOK, "")
		s.object(s.trial("default", "ada@example.com"))
	})
}

// TestATrialPolicyEnds: whoever asks for a trial gets what the policy says, so it may not say "forever".
func TestATrialPolicyEnds(t *testing.T) {
	eachWorld(t, func(w *world) {
		for i, endless := range []string{
			`{}`, `{"max_devices":1}`, `{"counters":[{"name":"runs"}]}`, `{"expires_at":null,"duration_days":null}`,
			`{"counters":[{"name":"runs","limit":5,"reset":"monthly"}]}`,
			`{"counters":[{"name":"runs","limit":5,"overage":null}]}`,
		} {
			code := fmt.Sprintf(`{"code":"endless-%d","is_trial":true,`, i)
			refused := w.policies("POST", "", strings.Replace(code+endless[1:], ",}", "}", 1))
			w.want(refused, http.StatusBadRequest, "VALIDATION_ERROR")
			fields, _ := refused.body["details"].(map[string]any)["fields"].(map[string]any)
			if told, _ := fields["is_trial"].(string); !strings.Contains(told, "duration_days") {
				w.t.Errorf("%s: %s", endless, refused.raw)
			}
		}
		for i, ending := range []string{
			`"duration_days":14`, `"duration_months":1`, `"expires_at":"2098-01-01"`,
			`"counters":[{"name":"runs","limit":5}]`,
		} {
			code := fmt.Sprintf("ending-%d", i)
			made := w.policies("POST", "", fmt.Sprintf(`{"code":%q,"is_trial":true,%s}`, code, ending))
			w.want(made, http.StatusCreated, "")
			for _, taken := range []string{
				`{"expires_at":null,"counters":[]}`,
				`{"duration_days":null,"duration_months":null,"expires_at":null,` +
					`"counters":[{"name":"runs","limit":5,"reset":"daily"}]}`,
			} {
				w.want(w.policies("PATCH", "/"+code, taken), http.StatusBadRequest, "VALIDATION_ERROR")
			}
		}
		w.want(w.policies("POST", "", `{"code":"full"}`), http.StatusCreated, "")
		w.want(w.policies("PATCH", "/full", `{"is_trial":true}`), http.StatusBadRequest, "VALIDATION_ERROR")
		w.want(w.policies("PATCH", "/full", `{"is_trial":true,"duration_days":3}`), http.StatusOK, "")
	})
}

// entitlementsOverPolicy: entitlements come to those of the policy, features say which of these are left.
func (w *world) entitlementsOverPolicy() {
	w.t.Helper()
	end := w.clock.Now().UTC().AddDate(1, 0, 0).Truncate(time.Second).Format(time.RFC3339)
	parts := fmt.Sprintf(`{"code":"parts","entitlements":[{"code":"a","expires_at":%q},{"code":"b"}]}`, end)
	w.want(w.policies("POST", "", parts), http.StatusCreated, "")
	for members, want := range map[string]map[string]any{
		``:                                       {"a": end, "b": nil},
		`"entitlements":null`:                    {"a": end, "b": nil},
		`"entitlements":[]`:                      {},
		`"entitlements":[{"code":"own"}]`:        {"own": nil, "a": end, "b": nil},
		`"entitlements":[{"code":"a"}]`:          {"a": nil, "b": nil},
		`"features":[]`:                          {},
		`"features":["z","a"]`:                   {"z": nil, "a": end},
		`"features":["a","z"],"entitlements":[]`: {"a": end, "z": nil},
		`"features":["z"],"entitlements":[{"code":"b","name":"B"}]`: {"z": nil, "b": nil},
		`"features":[],"entitlements":[{"code":"own"}]`:             {"own": nil},
	} {
		made := w.manage("POST", "", `{"customer_id":"a","policy":"parts"`+strings.TrimSuffix(","+members, ",")+`}`)
		w.must(made, http.StatusCreated)
		got := map[string]any{}
		for _, e := range made.body["entitlements"].([]any) {
			entitlement := e.(map[string]any)
			got[entitlement["code"].(string)] = entitlement["expires_at"]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			w.t.Errorf("%s (-want +got):\n%s", members, diff)
		}
	}
}

// TestALicenseTakesAPolicy: what the license names wins, also null where null has a meaning.
func TestALicenseTakesAPolicy(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.products("POST", "", `{"code":"editor"}`), http.StatusCreated, "")
		w.want(w.policies("POST", "", `{"code":"pro","product":"editor","max_devices":3,"duration_days":10,`+
			`"features":["a"],"grace_hours":5}`), http.StatusCreated, "")
		in := func(days int) string { return w.clock.Now().UTC().AddDate(0, 0, days).Format(time.RFC3339Nano) }
		for _, tt := range []struct {
			members string
			want    map[string]any
		}{
			{``, map[string]any{"max_devices": 3.0, "expires_at": in(10), "features": []any{"a"}, "grace_hours": 5.0,
				"duration_days": 10.0}},
			{`,"max_devices":7,"features":[]`,
				map[string]any{"max_devices": 7.0, "features": []any{}, "expires_at": in(10)}},
			{`,"max_devices":null,"grace_hours":null`, map[string]any{"max_devices": nil, "grace_hours": 5.0}},
			{`,"expires_at":null`, map[string]any{"expires_at": nil, "duration_days": nil}},
			{`,"expires_in_days":3`, map[string]any{"expires_at": in(3), "duration_days": 10.0}},
			{`,"starts":"first_activation"`, map[string]any{"expires_at": nil, "duration_days": 10.0}},
			{`,"product":"editor","product":null`, map[string]any{"max_devices": 3.0}},
		} {
			made := w.manage("POST", "", `{"customer_id":"a","policy":"pro"`+tt.members+`}`)
			w.want(made, http.StatusCreated, "")
			tt.want["product"], tt.want["policy"] = "editor", "pro"
			for member, want := range tt.want {
				if diff := cmp.Diff(want, made.body[member]); diff != "" {
					w.t.Errorf("%s: %s (-want +got):\n%s", tt.members, member, diff)
				}
			}
			if diff := cmp.Diff(made.body["policy"], w.get(made.body["license_id"].(string))["policy"]); diff != "" {
				w.t.Error(diff)
			}
		}
		w.entitlementsOverPolicy()
		w.await(func(e event.Event) bool {
			return e.Type == "license.created" && strings.Contains(string(e.Data), `"policy":"pro"`)
		})
		for bad, hint := range map[string]string{
			`"policy":"pros"`:                    "pro",
			`"policy":"pro","product":"default"`: "editor",
			`"policy":"nothing at all"`:          "no policy",
		} {
			got := w.manage("POST", "", `{"customer_id":"a",`+bad+`}`)
			w.want(got, http.StatusBadRequest, "VALIDATION_ERROR")
			if problem := fmt.Sprint(got.body["details"].(map[string]any)["fields"]); !strings.Contains(problem, hint) {
				w.t.Errorf("%s: %s", bad, problem)
			}
		}
		bulk := w.manage("POST", "/bulk-create",
			`{"licenses":[{"customer_id":"a","policy":"pro"},{"customer_id":"a","policy":"none"}]}`)
		if bulk.status != http.StatusMultiStatus || bulk.body["created_count"] != 1.0 {
			w.t.Errorf("%s", bulk.raw)
		}
	})
}

func TestChangePolicy(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, policy := range []string{
			`{"code":"monthly","duration_days":14,"features":["a"]}`,
			`{"code":"yearly","duration_months":12,"max_devices":9}`,
			`{"code":"forever"}`, `{"code":"other","product":"editor"}`,
		} {
			w.products("POST", "", `{"code":"editor"}`)
			w.want(w.policies("POST", "", policy), http.StatusCreated, "")
		}
		made := w.manage("POST", "", `{"customer_id":"a","policy":"monthly","max_offline_hours":5}`)
		id, end := made.body["license_id"].(string), made.body["expires_at"]
		change := func(policy string) answer {
			return w.manage("POST", "/"+id+"/change-policy", `{"policy":"`+policy+`"}`)
		}
		yearly := change("yearly")
		w.want(yearly, http.StatusOK, "")
		for member, want := range map[string]any{
			"policy": "yearly", "is_trial": false, "max_devices": 9.0, "features": []any{}, "max_offline_hours": 720.0,
			"expires_at": end, "version": 2.0,
		} {
			if diff := cmp.Diff(want, yearly.body[member]); diff != "" {
				w.t.Errorf("%s (-want +got):\n%s", member, diff)
			}
		}
		if again := change("yearly"); again.body["version"] != 2.0 {
			w.t.Errorf("the same policy again: %s", again.raw)
		}
		if l := change("forever"); l.body["expires_at"] != nil || l.body["policy"] != "forever" {
			w.t.Errorf("%s", l.raw)
		}
		for _, bad := range []string{"other", "none", ""} {
			w.want(change(bad), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		w.want(w.manage("POST", "/"+unknown+"/change-policy", `{"policy":"yearly"}`), http.StatusNotFound,
			"LICENSE_NOT_FOUND")
		w.audited("license.change_policy")
		if got := w.logged(id); len(got) != 3 || got[0] != "license.updated" {
			w.t.Errorf("%v", got)
		}
	})
}

// documented are the members of a schema of admin's document, those of its parts included.
func documented(t *testing.T, schema *openapi3.SchemaRef, members map[string]bool) map[string]bool {
	t.Helper()
	for name := range schema.Value.Properties {
		members[name] = true
	}
	for _, part := range schema.Value.AllOf {
		documented(t, part, members)
	}
	return members
}

// TestPoliciesAreDocumented: a client that is made from the document loses no term, and sends none that is refused.
func TestPoliciesAreDocumented(t *testing.T) {
	document, err := openapi3.NewLoader().LoadFromData(openapi.Admin)
	if err != nil {
		t.Fatal(err)
	}
	members := func(schema string) map[string]bool {
		return documented(t, document.Components.Schemas[schema], map[string]bool{})
	}
	eachWorld(t, func(w *world) {
		made := w.policies("POST", "", `{"code":"pro"}`)
		w.must(made, http.StatusCreated)
		answered := slices.Sorted(maps.Keys(made.body))
		if diff := cmp.Diff(slices.Sorted(maps.Keys(members("Policy"))), answered); diff != "" {
			t.Errorf("a policy (-documented +answered):\n%s", diff)
		}
		for schema, call := range map[string][2]string{"NewPolicy": {"POST", ""}, "PolicyChange": {"PATCH", "/pro"}} {
			for name := range members(schema) {
				got := w.policies(call[0], call[1], fmt.Sprintf(`{"code":"other",%q:5}`, name))
				if strings.Contains(got.raw, "in a policy") {
					t.Errorf("%s of %s is documented, and refused: %s", name, schema, got.raw)
				}
			}
		}
	})
}
