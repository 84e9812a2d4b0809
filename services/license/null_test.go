package license_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nulledTerms have null in every member that may be left out of what is replaced whole.
const nulledTerms = `"floating":{"slots":2,"lease_seconds":null,"overflow":null,"borrow_max_hours":null,` +
	`"activation":null},"networks":{"allow":["10.0.0.0/8"],"deny":null},"countries":{"allow":null,"deny":["FR"]},` +
	`"counters":[{"name":"n","limit":null,"allow_negative":null,"reset":null,"anchor":null,"per_device":null}],` +
	`"entitlements":[{"code":"e","name":null,"expires_at":null,"slots":null,"counter":null,"metadata":null}]`

// leftOut are the same terms without their nulls.
const leftOut = `"floating":{"slots":2},"networks":{"allow":["10.0.0.0/8"]},"countries":{"deny":["FR"]},` +
	`"counters":[{"name":"n"}],"entitlements":[{"code":"e"}]`

// TestNullIsAbsentInWhatIsReplacedWhole, wherever terms are sent: serializers write null for what is not there.
func TestNullIsAbsentInWhatIsReplacedWhole(t *testing.T) {
	eachWorld(t, func(w *world) {
		plain, _ := w.with(leftOut)
		want := w.get(plain)
		same := func(id string) {
			w.t.Helper()
			for _, member := range []string{"floating", "networks", "countries", "counters", "entitlements"} {
				if diff := cmp.Diff(want[member], w.get(id)[member]); diff != "" {
					w.t.Errorf("%s (-left out +null):\n%s", member, diff)
				}
			}
		}
		id, _ := w.with(nulledTerms)
		same(id)
		id, _ = w.with(`"max_devices":3`)
		w.update(id, `{`+nulledTerms+`}`)
		same(id)
		w.want(w.policies("POST", "", `{"code":"pro",`+nulledTerms+`}`), http.StatusCreated, "")
		w.want(w.policies("PATCH", "/pro", `{`+nulledTerms+`}`), http.StatusOK, "")
		id, _ = w.with(`"policy":"pro"`)
		same(id)
		done := w.manage("POST", "/bulk-create", `{"licenses":[{"customer_id":"a",`+nulledTerms+`}]}`)
		w.want(done, http.StatusCreated, "")
		row := `{"license_key":"key-with-nulls","customer_id":"acme",` + nulledTerms + `}`
		w.want(w.importing(row, forReal), http.StatusOK, "")

		// Null of a member of the license itself keeps its meaning, or is refused.
		w.update(id, `{"floating":null,"networks":null,"countries":null}`)
		for _, bad := range []string{
			`{"entitlements":null}`, `{"counters":null}`, `{"features":[null]}`, `{"counters":[null]}`,
			`{"networks":{"allow":[null]}}`, `{"is_trial":null}`,
		} {
			w.want(w.manage("PATCH", "/"+id, bad), http.StatusBadRequest, "VALIDATION_ERROR")
		}
	})
}

// TestWhatIsShownIsTaken: a PATCH takes the members that it can set as GET shows them, null among them.
func TestWhatIsShownIsTaken(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.customers("PUT", "/a", `{"address":{"city":"y"}}`), http.StatusCreated, "")
		w.want(w.products("POST", "", `{"code":"editor"}`), http.StatusCreated, "")
		w.want(w.products("POST", "/editor/releases", `{"version":"1"}`), http.StatusCreated, "")
		active, _ := w.with(`"max_devices":1`)
		ended, _ := w.with(`"max_devices":1`)
		w.update(ended, `{"is_active":false}`)
		for _, of := range []struct {
			path, list string
			fixed      []string
		}{
			{"/customers/a", "",
				[]string{"customer_id", "licenses", "version", "created_at", "updated_at", "erased_at"}},
			{"/products/editor/releases/1", "/products/editor/releases", []string{"version", "created_at"}},
			{"/licenses/" + active, "", fixedInLicense},
			{"/licenses/" + ended, "", fixedInLicense},
		} {
			shown := func() map[string]any {
				if of.list == "" {
					return w.ask(w.front(ada), "GET", "/api/v1/admin"+of.path, "").body
				}
				return w.ask(w.admin, "GET", "/api/v1/admin"+of.list, "").body["releases"].([]any)[0].(map[string]any)
			}
			change := shown()
			for _, member := range of.fixed {
				delete(change, member)
			}
			body, err := json.Marshal(change)
			if err != nil {
				t.Fatal(err)
			}
			before := shown()
			w.want(w.ask(w.admin, "PATCH", "/api/v1/admin"+of.path, string(body)), http.StatusOK, "")
			if diff := cmp.Diff(before, shown()); diff != "" {
				w.t.Errorf("%s: what was shown changed it:\n%s", of.path, diff)
			}
		}
		w.want(w.products("PATCH", "/editor/releases/1", `{"size":7}`), http.StatusOK, "")
		if got := w.products("PATCH", "/editor/releases/1", `{"size":null}`).body["size"]; got != nil {
			w.t.Errorf("a size that was taken away is %v", got)
		}
		w.update(ended, `{"deactivation_reason":"refund"}`)
		w.update(ended, `{"deactivation_reason":null}`)
		if got := w.get(ended)["deactivation_reason"]; got != nil {
			w.t.Errorf("a reason that was taken away is %v", got)
		}
	})
}

// fixedInLicense are the members that a license shows and PATCH cannot set.
var fixedInLicense = []string{
	"license_id", "license_key", "product", "policy", "status", "started_at", "suspended_at", "suspended_until",
	"suspension_reason", "current_devices", "version", "created_at", "updated_at", "transfers_used", "deactivated_at",
	"statistics",
}
