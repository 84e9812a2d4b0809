package license_test

import (
	"net/http"
	"testing"
	"time"
)

// A license that gets another grace by a policy is told of again when that begins and when it ends.
func TestAnotherGraceByAPolicyIsTold(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.want(w.policies(http.MethodPost, "", `{"code":"graceful","duration_days":30,"grace_hours":48}`),
			http.StatusCreated, "")
		id, key := w.made(`{"customer_id":"a","expires_at":"` + w.at(time.Hour) + `"}`)
		w.activate(key, "pc")
		told := func(eventType string, times int) {
			t.Helper()
			w.post("validate", device(key, "pc"))
			var n int
			err := w.db.Read(t.Context()).Raw("SELECT count(*) FROM outbox WHERE type = ?", eventType).Scan(&n).Error
			if err != nil || n != times {
				t.Errorf("%s was told %d times, want %d: %v", eventType, n, times, err)
			}
		}
		w.clock.Advance(2 * time.Hour)
		told("license.expired", 1)
		w.want(w.manage(http.MethodPost, "/"+id+"/change-policy", `{"policy":"graceful"}`), http.StatusOK, "")
		told("license.in_grace", 1)
		w.clock.Advance(72 * time.Hour)
		told("license.expired", 2)
	})
}
