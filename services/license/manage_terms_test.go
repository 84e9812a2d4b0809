package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestTermsThatCannotBeTogether: the answer names the member, and says what is wrong, for one license, many and a
// policy.
func TestTermsThatCannotBeTogether(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.policies("POST", "", `{"code":"late","starts_at":"2031-01-01","duration_days":9}`),
			http.StatusCreated, "")
		id, _ := w.with(`"expires_at":"2030-06-01","counters":[{"name":"exports"},{"name":"api"}],
			"entitlements":[{"code":"pdf","counter":"exports"}]`)
		before := w.get(id)
		for _, test := range []struct{ method, path, body, member, says string }{
			{"POST", "", `{"customer_id":"a","starts_at":"2030-01-01","expires_at":"2029-01-01"}`, "starts_at",
				"before expires_at"},
			{"POST", "", `{"customer_id":"a","starts_at":"2090-01-01","expires_in_days":9}`, "expires_at",
				"before expires_at"},
			{"PATCH", "/" + id, `{"starts_at":"2031-01-01"}`, "starts_at", "before expires_at"},
			{"POST", "/" + id + "/change-policy", `{"policy":"late"}`, "policy", "before expires_at"},
			{"POST", "", `{"customer_id":"a","entitlements":[{"code":"x","counter":"c"}]}`, "entitlements",
				"no counters"},
			{"POST", "", `{"customer_id":"a","features":["x","y","x"]}`, "features[2]", "given twice"},
			{"PATCH", "/" + id, `{"features":["x","x"]}`, "features[1]", "given twice"},
			{"PATCH", "/" + id, `{"entitlements":[{"code":"x","counter":"nosuch"}]}`, "entitlements", "exports, api"},
			{"PATCH", "/" + id, `{"counters":[{"name":"api"}]}`, "counters", "the entitlement pdf"},
			{"PUT", "/" + id + "/entitlements/x", `{"counter":"nosuch"}`, "counter", "exports, api"},
		} {
			got := w.ask(w.front(ada), test.method, managed+test.path, test.body)
			w.want(got, http.StatusBadRequest, "VALIDATION_ERROR")
			fields := got.body["details"].(map[string]any)["fields"].(map[string]any)
			if said := fmt.Sprint(fields[test.member]); !strings.Contains(said, test.says) {
				w.t.Errorf("%s %s %s: %s", test.method, test.path, test.body, got.raw)
			}
		}
		for _, terms := range []string{
			`"starts_at":"2030-01-01","expires_at":"2029-01-01"`, `"entitlements":[{"code":"x","counter":"c"}]`,
		} {
			w.want(w.policies("POST", "", `{"code":"bad",`+terms+`}`), http.StatusBadRequest, "VALIDATION_ERROR")
			w.want(w.policies("PATCH", "/late", `{`+terms+`}`), http.StatusBadRequest, "VALIDATION_ERROR")
			done := w.bulkChange(fmt.Sprintf(`{"action":"update","params":{%s},"license_ids":[%q]}`, terms, id))
			w.want(done, http.StatusMultiStatus, "")
		}
		done := w.bulkChange(fmt.Sprintf(
			`{"action":"renew","params":{"days":1,"from":"now"},"license_ids":[%q],"dry_run":false}`, id))
		w.want(done, http.StatusMultiStatus, "")
		refused := w.importing(`{"license_key":"key-with-codes","customer_id":"acme","features":["a","a"]}`, forReal)
		w.want(refused, http.StatusMultiStatus, "")
		if got := w.get(id); got["version"] != before["version"] {
			w.t.Errorf("a refused change was made: %v", got)
		}
		w.want(w.manage("PATCH", "/"+id, `{"counters":[{"name":"api"}],"entitlements":[]}`), http.StatusOK, "")
	})
}

// TestShortListsAreReadOn by cursor as by page.
func TestShortListsAreReadOn(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.with(`"features":["a","b","c"],"counters":[{"name":"a"},{"name":"b"},{"name":"c"}]`)
		for list, member := range map[string]string{"entitlements": "code", "counters": "name"} {
			at := "/" + id + "/" + list + "?per_page=2"
			first := w.manage("GET", at, "")
			next, _ := first.body["next_cursor"].(string)
			last := w.manage("GET", at+"&cursor="+next, "")
			second := w.manage("GET", at+"&page=2", "")
			read := fmt.Sprint(named(first, list, member), named(last, list, member), named(second, list, member))
			if read != "[a b] [c] [c]" || last.body["next_cursor"] != nil || last.body["page"] != nil {
				w.t.Errorf("%s: read %s, last %s", list, read, last.raw)
			}
			for _, bad := range []string{"x", "IHg", "IC0x", "IDA"} {
				w.want(w.manage("GET", at+"&cursor="+bad, ""), http.StatusBadRequest, "VALIDATION_ERROR")
			}
		}
	})
}
