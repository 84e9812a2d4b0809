package license_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// borrow takes a lease that is borrowed for so many hours.
func (w *world) borrow(key, hardwareID string, hours int) answer {
	w.t.Helper()
	until := w.clock.Now().Add(time.Duration(hours) * time.Hour).Format(time.RFC3339)
	return w.checkOut(key, hardwareID, fmt.Sprintf(`"borrow_until":%q`, until))
}

// TestASlotIsBorrowedByOneDevice: what a device borrowed and gave back goes on without the server, and so counts as
// borrowed until it ends, or an administrator ends it.
func TestASlotIsBorrowedByOneDevice(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":1,"activation":"none","borrow_max_hours":8760}`)
		first := w.borrow(key, "pc-0", 8700)
		w.want(first, http.StatusCreated, "")
		w.want(w.release(first), http.StatusOK, "")
		refused := w.borrow(key, "pc-1", 1)
		w.want(refused, http.StatusForbidden, "LEASE_LIMIT_EXCEEDED")
		details := refused.body["details"].(map[string]any)
		if details["earliest_end"] != first.body["borrowed_until"] || details["in_use"] != 1.0 {
			t.Errorf("%s, want until %v", refused.raw, first.body["borrowed_until"])
		}
		w.agrees(w.explain(says(key, "pc-1", map[string]any{
			"operation": "lease", "borrow_until": w.clock.Now().Add(time.Hour).Format(time.RFC3339),
		})), refused)
		// Its slot is free for others all the same, and the device itself borrows again, for shorter, too.
		ordinary := w.checkOut(key, "pc-1")
		w.want(ordinary, http.StatusCreated, "")
		w.want(w.release(ordinary), http.StatusOK, "")
		again := w.borrow(key, "pc-0", 8000)
		w.want(again, http.StatusCreated, "")
		shorter := w.borrow(key, "pc-0", 1)
		if shorter.body["borrowed_until"] != again.body["borrowed_until"] {
			t.Errorf("a lease whose token is good until %v was shortened to %v", again.body["borrowed_until"],
				shorter.body["borrowed_until"])
		}
		w.want(w.release(shorter), http.StatusOK, "")

		w.want(w.borrow(key, "pc-1", 1), http.StatusForbidden, "LEASE_LIMIT_EXCEEDED")
		for _, lease := range []answer{first, again} { // an administrator ends what was given back
			path := "/" + id + "/leases/" + lease.body["lease_id"].(string)
			w.want(w.manage(http.MethodDelete, path, ""), http.StatusOK, "")
		}
		w.want(w.borrow(key, "pc-1", 1), http.StatusCreated, "")
	})
}
