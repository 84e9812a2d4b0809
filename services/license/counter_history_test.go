package license_test

import (
	"net/http"
	"testing"
)

// TestTheHistoryOfACounterOutlivesIt: what a vendor bills by does not go with the terms of a policy.
func TestTheHistoryOfACounterOutlivesIt(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.policies(http.MethodPost, "", `{"code":"plain"}`), http.StatusCreated, "")
		id, _ := w.metered(`[{"name":"exports"}]`)
		history := func(name string, status int, code string, total any) {
			t.Helper()
			got := w.manage(http.MethodGet, "/"+id+"/counters/"+name+"/history", "")
			w.want(got, status, code)
			if got.body["total"] != total {
				t.Errorf("%s, want %v in all", got.raw, total)
			}
		}
		w.want(w.manage(http.MethodPost, "/"+id+"/counters/exports/set", `{"used":7,"reason":"x"}`), http.StatusOK, "")
		history("exports", http.StatusOK, "", 1.0)
		w.want(w.manage(http.MethodPost, "/"+id+"/change-policy", `{"policy":"plain"}`), http.StatusOK, "")
		history("exports", http.StatusOK, "", 1.0)
		history("other", http.StatusNotFound, "COUNTER_NOT_FOUND", nil)
		w.want(w.manage(http.MethodPut, "/"+id+"/counters/exports", `{"limit":null}`), http.StatusOK, "")
		w.wantUsed(id, "exports", 0)
		history("exports", http.StatusOK, "", 1.0)
	})
}
