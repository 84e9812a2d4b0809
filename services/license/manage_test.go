package license_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

var ada = &rpc.Actor{Id: "admin-1", Name: "Ada", Role: "owner", Ip: "192.0.2.7", RequestId: "r-1"}

const (
	managed = "/api/v1/admin/licenses"
	unknown = "0199c1f0-6a52-7c3e-9d58-1f6f7f1f0a11"
)

// manage asks what ada asks at admin; path goes on below /api/v1/admin/licenses.
func (w *world) manage(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.ask(w.admin, method, managed+path, body, headers...)
}

// get is a license as admin gets it; admin adds statistics.
func (w *world) get(id string) map[string]any {
	w.t.Helper()
	got := w.ask(w.front(ada), http.MethodGet, managed+"/"+id, "")
	if got.status != http.StatusOK || got.header.Get("ETag") != fmt.Sprintf(`"%v"`, got.body["version"]) {
		w.t.Fatalf("%d %v %s", got.status, got.header, got.raw)
	}
	return got.body
}

func (w *world) update(id, change string) {
	w.t.Helper()
	w.want(w.manage(http.MethodPatch, "/"+id, change), http.StatusOK, "")
}

// list returns the ids of a page.
func (w *world) list(query url.Values) (ids []string, total int) {
	w.t.Helper()
	page := w.manage(http.MethodGet, "?"+query.Encode(), "")
	w.must(page, http.StatusOK)
	for _, l := range page.body["licenses"].([]any) {
		ids = append(ids, l.(map[string]any)["license_id"].(string))
	}
	return ids, int(page.body["total"].(float64))
}

func TestCreateLicense(t *testing.T) {
	eachWorld(t, func(w *world) {
		made := w.manage("POST", "", `{"customer_id":"acme","max_devices":5,"max_offline_hours":24,
			"expires_in_days":365,
			"features":["a","b"],
			"is_test":true,"metadata":{"n": 12345678901234567890,"x":"<"},"license_key":"OLD-KEY-1","product":"pro"}`)
		w.want(made, http.StatusCreated, "")
		want := map[string]any{
			"license_key": "OLD-KEY-1", "customer_id": "acme", "product": "pro", "license_type": "time-limited",
			"max_devices": 5.0, "current_devices": 0.0,
			"max_offline_hours": 24.0, "is_active": true, "is_test": true, "features": []any{"a", "b"}, "version": 1.0,
			"expires_at": w.clock.Now().UTC().Add(365 * 24 * time.Hour).Format(time.RFC3339Nano), "deactivated_at": nil,
			"deactivation_reason": nil,
		}
		for member, value := range want {
			if diff := cmp.Diff(value, made.body[member]); diff != "" {
				w.t.Errorf("%s (-want +got):\n%s", member, diff)
			}
		}
		if made.header.Get("ETag") != `"1"` ||
			!strings.Contains(made.raw, `"metadata":{"n":12345678901234567890,"x":"<"}`) {
			w.t.Errorf("%v %s", made.header, made.raw)
		}
		kept := w.get(made.body["license_id"].(string))
		if masked := kept["license_key"].(string); strings.Trim(masked, "*") != "" {
			w.t.Errorf("shown as %s", masked)
		}
		kept["license_key"] = "OLD-KEY-1"
		if diff := cmp.Diff(made.body, kept); diff != "" {
			w.t.Errorf("kept otherwise than answered (-answered +kept):\n%s", diff)
		}
		bare := w.manage("POST", "", `{"customer_id":"acme","expires_in_days":null,"is_trial":null,"starts":null,`+
			`"timezone":null}`)
		if bare.body["max_devices"] != 1.0 || bare.body["max_offline_hours"] != 720.0 ||
			bare.body["product"] != "default" || bare.body["expires_at"] != nil ||
			fmt.Sprint(bare.body["features"], bare.body["metadata"]) != "[] map[]" {
			w.t.Errorf("defaults: %s", bare.raw)
		}
		w.want(w.ask(w.front(ada), "POST", managed, `{"customer_id":"a","license_key":""}`), http.StatusBadRequest,
			"VALIDATION_ERROR")
	})
}

func TestCreateWithAnIdempotencyKey(t *testing.T) {
	eachWorld(t, func(w *world) {
		create := func(by, key, customer string) answer {
			return w.ask(w.front(&rpc.Actor{Id: by}), "POST", managed,
				`{"customer_id":"`+customer+`","metadata": { "a" : "<" }}`, "Idempotency-Key", key)
		}
		first, again := create("a", "once", "acme"), create("a", "once", "acme")
		if first.status != http.StatusCreated || first.raw != again.raw || again.header.Get("ETag") != `"1"` ||
			again.header.Get("Idempotency-Replayed") != "true" {
			w.t.Errorf("first %s, again %v %s", first.raw, again.header, again.raw)
		}
		w.want(create("a", "once", "brick"), http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")
		other := create("b", "once", "acme")
		w.want(other, http.StatusCreated, "")
		if other.body["license_id"] == first.body["license_id"] {
			w.t.Errorf("two administrators share a key: %s", other.raw)
		}
		w.want(create("a", "bad", ""), http.StatusBadRequest, "VALIDATION_ERROR")
		if _, total := w.list(nil); total != 2 {
			w.t.Errorf("%d licenses, want one of each administrator", total)
		}
	})
}

// TestSearchByKey finds a license by its key, which stays out of URLs, and nothing by another.
func TestSearchByKey(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		for typed, want := range map[string]float64{key: 1, strings.ToLower(key): 1, "LIC-NOSUCHKEY000": 0} {
			found := w.manage("POST", "/search", `{"license_key":"`+typed+`"}`)
			w.want(found, http.StatusOK, "")
			if found.body["total"] != want || want == 1 && !strings.Contains(found.raw, id) ||
				strings.Contains(found.raw, key) {
				w.t.Errorf("%s: %s", typed, found.raw)
			}
		}
		entry := string(w.audited("license.find_by_key").Data)
		if !strings.Contains(entry, id) || strings.Contains(entry, key) {
			w.t.Errorf("recorded %s", entry)
		}
	})
}

func TestListPages(t *testing.T) {
	eachWorld(t, func(w *world) {
		var newestFirst []string
		begin := w.clock.Now().UTC().Truncate(time.Microsecond)
		for range 5 {
			id, _ := w.create(1, 0)
			newestFirst = slices.Insert(newestFirst, 0, id)
			w.clock.Advance(time.Minute)
		}
		for page, want := range [][]string{newestFirst[:2], newestFirst[2:4], newestFirst[4:], nil} {
			got, total := w.list(url.Values{"page": {fmt.Sprint(page + 1)}, "per_page": {"2"}})
			if diff := cmp.Diff(want, got); diff != "" || total != 5 {
				w.t.Errorf("page %d of %d (-want +got):\n%s", page+1, total, diff)
			}
		}
		if page := w.manage("GET", "?per_page=2", ""); page.body["page"] != 1.0 || page.body["per_page"] != 2.0 ||
			page.body["total_pages"] != 3.0 {
			w.t.Errorf("%s", page.raw)
		}
		w.update(newestFirst[1], `{"is_active":false}`)
		for query, want := range map[string][]string{
			"is_active=false":   newestFirst[1:2],
			"customer_id=acme":  newestFirst,
			"customer_id=brick": nil,
			"is_test=false":     newestFirst,
			"is_trial=true":     nil,
			"is_trial=false":    newestFirst,
			"metadata.order=1&is_trial=false&metadata.a.b=c": nil,
			"created_after=" + begin.Add(time.Minute).Format(time.RFC3339Nano) + "&created_before=" +
				begin.Add(3*time.Minute).Format(time.RFC3339Nano): newestFirst[2:4],
			"created_after=" + begin.AddDate(0, 0, 2).Format(time.DateOnly): nil,
			"expires_after=" + begin.Format(time.RFC3339Nano):               nil,
			"expires_before=2999-01-01":                                     nil,
		} {
			values, err := url.ParseQuery(query)
			if err != nil {
				w.t.Fatal(err)
			}
			if got, total := w.list(values); !slices.Equal(got, want) || total != len(want) {
				w.t.Errorf("%s: %d, %v; want %v", query, total, got, want)
			}
		}
	})
}

func TestUpdateChangesWhatIsPresent(t *testing.T) {
	eachWorld(t, func(w *world) {
		at := w.clock.Now().UTC().Add(48 * time.Hour).Truncate(time.Microsecond).Format(time.RFC3339Nano)
		for change, want := range map[string]map[string]any{
			``:                            nil,
			`{}`:                          nil,
			`{"customer_id":"globex"}`:    {"customer_id": "globex"},
			`{"max_devices":7}`:           {"max_devices": 7.0},
			`{"max_offline_hours":7}`:     {"max_offline_hours": 7.0},
			`{"is_test":true}`:            {"is_test": true},
			`{"expires_at":"` + at + `"}`: {"expires_at": at},
			`{"expires_at":"2099-01-31"}`: {"expires_at": "2099-01-31T23:59:59Z"},
			`{"expires_at":"2099-01-01T01:00:00+01:00"}`:        {"expires_at": "2099-01-01T00:00:00Z"},
			`{"expires_at":null}`:                               {"expires_at": nil, "license_type": "perpetual"},
			`{"license_type":"subscription"}`:                   {"license_type": "subscription"},
			`{"is_trial":true}`:                                 {"is_trial": true},
			`{"max_devices":null}`:                              {"max_devices": nil},
			`{"offline_activation":false}`:                      {"offline_activation": false},
			`{"duration_days":14}`:                              {"duration_days": 14.0},
			`{"duration_months":2,"starts":"first_activation"}`: {"duration_months": 2.0, "starts": "first_activation"},
			`{"timezone":"Asia/Tokyo","expires_at":"2099-01-31"}`: {
				"timezone": "Asia/Tokyo", "expires_at": "2099-01-31T14:59:59Z",
			},
			`{"starts_at":"2099-01-31","expires_at":null}`: {
				"starts_at": "2099-01-31T00:00:00Z", "expires_at": nil, "status": "not_started",
				"license_type": "perpetual",
			},
			`{"expires_at":"2000-01-01"}`:        {"expires_at": "2000-01-01T23:59:59Z", "status": "expired"},
			`{"grace_hours":48}`:                 {"grace_hours": 48.0},
			`{"maintenance_until":"2099-01-31"}`: {"maintenance_until": "2099-01-31T23:59:59Z"},
			`{"device_match":"most"}`:            {"device_match": "most"},
			`{"device_idle_minutes":10}`:         {"device_idle_minutes": 10.0},
			`{"transfer_limit":0}`:               {"transfer_limit": 0.0},
			`{"prevent_vm":true}`:                {"prevent_vm": true},
			`{"new_devices":{"limit":2,"window_hours":24}}`: {
				"new_devices": map[string]any{"limit": 2.0, "window_hours": 24.0},
			},
			`{"networks":{"allow":["192.0.2.77/24","::ffff:198.51.100.7"],"deny":[]}}`: {
				"networks": map[string]any{"allow": []any{"192.0.2.0/24", "198.51.100.7/32"}, "deny": []any{}},
			},
			`{"countries":{"deny":["de"]}}`: {
				"countries": map[string]any{"allow": []any{}, "deny": []any{"DE"}},
			},
			`{"networks":{"allow":[],"deny":[]},"device_match":null}`: nil,
			`{"metadata":{"n":1}}`: {"metadata": map[string]any{"n": 1.0}},
			`{"features":[]}`:      {"features": []any{}, "entitlements": []any{}},
			`{"features":["b","a"]}`: {
				"features": []any{"b", "a"}, "entitlements": []any{bareEntitlement("b"), bareEntitlement("a")},
			},
			`{"is_active":false,"deactivation_reason":"x"}`: {
				"is_active": false, "status": "inactive", "deactivation_reason": "x",
				"deactivated_at": w.clock.Now().UTC().Add(time.Second).Format(time.RFC3339Nano),
			},
		} {
			now := w.clock.Now()
			id, _ := w.create(3, 30)
			expected := w.get(id)
			w.clock.Advance(time.Second)
			if want != nil {
				expected["version"], expected["updated_at"] = 2.0, w.clock.Now().UTC().Format(time.RFC3339Nano)
				maps.Copy(expected, want)
			}
			changed := w.manage("PATCH", "/"+strings.ToUpper(id), change)
			w.want(changed, http.StatusOK, "")
			if changed.header.Get("ETag") != fmt.Sprintf(`"%v"`, expected["version"]) {
				w.t.Errorf("%s: ETag %s", change, changed.header.Get("ETag"))
			}
			for what, got := range map[string]map[string]any{"answered": changed.body, "kept": w.get(id)} {
				if diff := cmp.Diff(expected, got); diff != "" {
					w.t.Errorf("%s: %s (-want +got):\n%s", change, what, diff)
				}
			}
			w.clock.Set(now)
		}
	})
}

func TestVersions(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(3, 30)
		before := w.get(id)
		for _, stale := range []string{`"0"`, `W/"7"`, `"abc"`, `"+1"`, `"001"`, `"99999999999999999999"`} {
			refusal := w.manage("PATCH", "/"+id, `{"max_devices":9}`, "If-Match", stale)
			w.want(refusal, http.StatusPreconditionFailed, "VERSION_MISMATCH")
			if fmt.Sprint(refusal.body["details"]) != "map[version:1]" {
				w.t.Errorf("%s: %s", stale, refusal.raw)
			}
			w.want(w.manage("DELETE", "/"+id, "", "If-Match", stale), http.StatusPreconditionFailed, "VERSION_MISMATCH")
		}
		if diff := cmp.Diff(before, w.get(id)); diff != "" {
			w.t.Errorf("a refused change was written:\n%s", diff)
		}
		for i, current := range []string{`"1"`, `*`, ` W/"3" `} {
			w.want(w.manage("PATCH", "/"+id, fmt.Sprintf(`{"max_devices":%d}`, i+5), "If-Match", current),
				http.StatusOK, "")
		}
		if l := w.get(id); l["version"] != 4.0 || l["max_devices"] != 7.0 {
			w.t.Errorf("after the changes: %v", l)
		}
		gone := w.manage("DELETE", "/"+id, `{"reason":"refund"}`, "If-Match", `"4"`)
		w.want(gone, http.StatusOK, "")
		want := map[string]any{"license_id": id, "is_active": false,
			"deactivated_at": w.clock.Now().UTC().Format(time.RFC3339Nano)}
		if diff := cmp.Diff(want, gone.body); diff != "" || gone.header.Get("ETag") != `"5"` {
			w.t.Errorf("%v (-want +got):\n%s", gone.header, diff)
		}
		for _, bad := range []string{unknown, "no-uuid", "{" + id + "}", strings.ReplaceAll(id, "-", "")} {
			w.want(w.manage("PATCH", "/"+url.PathEscape(bad), `{"max_devices":9}`), http.StatusNotFound,
				"LICENSE_NOT_FOUND")
		}
	})
}

// TestCreateTakesKeysAsValidateDoes: a line break within a key of our own format does not count, in another key it is
// refused.
func TestCreateTakesKeysAsValidateDoes(t *testing.T) {
	eachWorld(t, func(w *world) {
		made := w.manage("POST", "", `{"customer_id":"a","license_key":"LIC-7Q2M\r\n0V9K-XT4I\n"}`)
		w.want(made, http.StatusCreated, "")
		if key := made.body["license_key"]; key != "LIC-7Q2M0V9K-XT4I" {
			w.t.Errorf("the key is answered as %q", key)
		}
		w.activate("lic-7q2m 0v9k xt41", "pc")
		for _, key := range []string{`LIC-7Q2M\n0V9K-XT4I`, `LIC7Q2M0V9KXT4I`} {
			w.want(w.post("validate", `{"license_key":"`+key+`","hardware_id":"pc"}`), http.StatusOK, "")
		}
		w.want(w.manage("POST", "", `{"customer_id":"a","license_key":"ACME-PRO\nOLIVE"}`), http.StatusBadRequest,
			"VALIDATION_ERROR")
		w.want(w.post("validate", `{"license_key":"ACME-PRO\nOLIVE","hardware_id":"pc"}`), http.StatusBadRequest,
			"VALIDATION_ERROR")
	})
}

// TestAChangeThatWouldChangeNothing is refused where its sender expects something of it.
func TestAChangeThatWouldChangeNothing(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(3, 30)
		before := w.get(id)
		for change, member := range map[string]string{
			`{"deactivation_reason":"x"}`:                  "deactivation_reason",
			`{"is_active":true,"deactivation_reason":"x"}`: "deactivation_reason",
			`{"max_devices":9,"deactivation_reason":"x"}`:  "deactivation_reason",
			`{"expires_in_days":null}`:                     "expires_in_days",
		} {
			got := w.manage("PATCH", "/"+id, change)
			w.want(got, http.StatusBadRequest, "VALIDATION_ERROR")
			if fields := got.body["details"].(map[string]any)["fields"].(map[string]any); len(fields) != 1 ||
				fields[member] == nil {
				w.t.Errorf("%s: %s", change, got.raw)
			}
		}
		if diff := cmp.Diff(before, w.get(id)); diff != "" {
			w.t.Errorf("a refused change was written:\n%s", diff)
		}
		w.update(id, `{"is_active":false}`)
		w.update(id, `{"deactivation_reason":"refund"}`)
		if got := w.get(id)["deactivation_reason"]; got != "refund" {
			w.t.Errorf("the reason of an inactive license is %v", got)
		}
	})
}

// What is wrong with a change is told before that its license is not there, or has another version.
func TestAChangeIsCheckedBeforeItsLicense(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(3, 30)
		long := strings.Repeat("x", 256)
		for _, bad := range []string{
			`{"max_devices":0}`, `{"max_devices":1000001}`, `{"max_offline_hours":0}`, `{"customer_id":" "}`,
			`{"deactivation_reason":"` + long + `"}`,
			`{"features":[""]}`, `{"metadata":{"a":"` + strings.Repeat("x", 64<<10) + `"}}`,
		} {
			for _, licenseID := range []string{id, unknown, "no-uuid"} {
				got := w.manage("PATCH", "/"+licenseID, bad, "If-Match", `"0"`)
				if got.status != http.StatusBadRequest || got.body["error_code"] != "VALIDATION_ERROR" {
					w.t.Errorf("%.60s of license %q: %s", bad, licenseID, got.raw)
				}
			}
		}
		for _, licenseID := range []string{id, unknown, "no-uuid"} {
			w.want(w.manage("DELETE", "/"+licenseID, `{"reason":"`+long+`"}`, "If-Match", `"0"`), http.StatusBadRequest,
				"VALIDATION_ERROR")
		}
	})
}

func TestRevealKeyIsAudited(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		shown := w.manage("POST", "/"+id+"/reveal-key", "")
		if diff := cmp.Diff(map[string]any{"license_id": id, "license_key": key}, shown.body); diff != "" {
			w.t.Fatalf("revealed %s", shown.raw)
		}
		e := w.audited("license.reveal_key")
		for _, want := range []string{id, ada.GetId(), ada.GetName(), ada.GetRole(), ada.GetIp(), ada.GetRequestId()} {
			if !strings.Contains(string(e.Data), want) {
				w.t.Errorf("the audit entry lacks %q: %s", want, e.Data)
			}
		}
		if strings.Contains(string(e.Data), key) {
			w.t.Error("the audit entry holds the key")
		}
		w.want(w.manage("POST", "/none/reveal-key", ""), http.StatusNotFound, "LICENSE_NOT_FOUND")
	})
}

// audited waits for the audit entry of an action.
func (w *world) audited(action string) event.Event {
	w.t.Helper()
	return w.await(func(e event.Event) bool {
		return e.Type == "audit.recorded" && strings.Contains(string(e.Data), `"`+action+`"`)
	})
}

// TestTheAuditOfACreationShowsTheLicense: in the form in which the API does.
func TestTheAuditOfACreationShowsTheLicense(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(1, 0)
		var entry eventsv1.AuditRecorded
		created := w.audited("license.create")
		if err := created.Into(&entry); err != nil {
			w.t.Fatal(err)
		}
		var audited map[string]any
		if err := json.Unmarshal([]byte(entry.GetAfterJson()), &audited); err != nil {
			w.t.Fatal(err)
		}
		shown := w.get(id)
		for member, value := range audited {
			if diff := cmp.Diff(shown[member], value); diff != "" {
				w.t.Errorf("%s (-shown +audited):\n%s", member, diff)
			}
		}
	})
}

func TestEveryAdministrativeChangeIsAuditedAndTold(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(2, 30)
		w.want(w.post("activate", device(key, "desk")), http.StatusCreated, "")
		for _, change := range []string{`{"max_devices":5}`, `{"is_active":false}`, `{"is_active":true}`} {
			w.update(id, change)
		}
		moved := w.manage("POST", "/"+id+"/transfer", `{"from_hardware_id":"desk","to_hardware_id":"tower"}`)
		w.want(moved, http.StatusOK, "")
		left := w.manage("POST", "/"+id+"/devices/deactivate", `{"hardware_id":"tower","reason":"stolen"}`)
		want := map[string]any{
			"deactivated": true, "device_id": moved.body["device_id"], "license_id": id, "hardware_id": "tower",
			"deactivated_at": w.clock.Now().UTC().Format(time.RFC3339Nano),
			"limits":         map[string]any{"max_devices": 5.0, "current_devices": 0.0},
		}
		if diff := cmp.Diff(want, left.body); diff != "" {
			w.t.Fatalf("deactivation (-want +got):\n%s", diff)
		}
		for action, told := range map[string]string{
			"license.create": "license.created", "license.update": "license.updated",
			"license.deactivate": "license.deactivated",
			"license.reactivate": "license.reactivated", "license.transfer": "license.transferred",
			"device.deactivate": "device.deactivated",
		} {
			w.audited(action)
			w.eventually(told)
		}
		types := []string{
			"device.deactivated", "license.transferred", "license.reactivated", "license.deactivated",
			"license.updated", "license.activated", "license.created",
		}
		if diff := cmp.Diff(types, w.logged(id)); diff != "" {
			w.t.Errorf("the log, newest first (-want +got):\n%s", diff)
		}
		w.clock.Advance(2 * time.Hour)
		if late := w.logged(id); late != nil {
			w.t.Errorf("two hours later: %v", late)
		}
		w.want(w.manage("GET", "/none/events", ""), http.StatusNotFound, "LICENSE_NOT_FOUND")
		if day := w.manage("GET", "/"+id+"/events", ""); day.body["hours"] != 24.0 || day.body["total"] == 0.0 {
			t.Errorf("without hours: %s", day.raw)
		}
	})
}

// logged is the types of a license's events of the last hour, newest first.
func (w *world) logged(id string) (types []string) {
	w.t.Helper()
	log := w.manage("GET", "/"+id+"/events?hours=1", "")
	w.must(log, http.StatusOK)
	for _, e := range log.body["events"].([]any) {
		types = append(types, e.(map[string]any)["type"].(string))
	}
	if log.body["total"] != float64(len(types)) || log.body["hours"] != 1.0 || log.body["license_id"] != id {
		w.t.Errorf("%s", log.raw)
	}
	return types
}

// The audit log shows metadata to the last digit, before and after.
func TestAuditKeepsNumbers(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(1, 0)
		for _, metadata := range []string{`{"n":12345678901234567890}`, `{"n":0.1234567890123456789}`} {
			w.update(id, `{"metadata":`+metadata+`}`)
		}
		want := &eventsv1.AuditRecorded{
			BeforeJson: `{"metadata":{"n":12345678901234567890}}`,
			AfterJson:  `{"metadata":{"n":0.1234567890123456789}}`,
		}
		w.await(func(e event.Event) bool {
			var m eventsv1.AuditRecorded
			return e.Type == "audit.recorded" && e.Into(&m) == nil && m.GetBeforeJson() == want.GetBeforeJson() &&
				m.GetAfterJson() == want.GetAfterJson()
		})
	})
}

func TestListDevices(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(2, 0)
		w.activate(key, "bare")
		w.clock.Advance(time.Second)
		now := w.clock.Now().UTC().Format(time.RFC3339Nano)
		w.want(w.post("activate", `{"license_key":"`+key+`","hardware_id":"pc","os_info":{"name":"Windows",`+
			`"version":"10"},"app_version":"2.1"}`), http.StatusCreated, "")
		w.want(w.call("POST", "/api/v1/license/heartbeat", `{"session_data":{"project":"demo"}}`,
			w.bearer(id, "pc")...), http.StatusOK, "")
		w.deactivate(id, "pc")
		var list answer
		testkit.Eventually(w.t, patience, func() error {
			if list = w.manage("GET", "/"+strings.ToUpper(id)+"/devices",
				""); strings.Contains(list.raw, `"session_data":{`) {
				return nil
			}
			return fmt.Errorf("the heartbeat is not written yet: %s", list.raw)
		})
		devices := list.body["devices"].([]any)
		pc, bare := devices[0].(map[string]any), devices[1].(map[string]any)
		want := map[string]any{
			"device_id": pc["device_id"], "hardware_id": "pc", "device_name": nil, "label": nil,
			"former_hardware_ids": []any{}, "user_id": nil,
			"os_info":     map[string]any{"name": "Windows", "version": "10"},
			"app_version": "2.1", "session_data": map[string]any{"project": "demo"}, "is_active": false,
			"activated_at": now, "last_seen_at": now, "deactivated_at": now,
		}
		if diff := cmp.Diff(want, pc); diff != "" {
			w.t.Errorf("-want +got:\n%s", diff)
		}
		if bare["os_info"] != nil || bare["session_data"] != nil || bare["app_version"] != nil ||
			bare["is_active"] != true || bare["deactivated_at"] != nil {
			w.t.Errorf("%v", bare)
		}
		delete(list.body, "devices")
		page := map[string]any{
			"license_id": id, "page": 1.0, "per_page": 100.0, "total": 2.0, "total_pages": 1.0, "next_cursor": nil,
		}
		if diff := cmp.Diff(page, list.body); diff != "" {
			w.t.Errorf("-want +got:\n%s", diff)
		}
	})
}
