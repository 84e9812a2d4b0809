package license_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// borrow takes a lease that is borrowed for so many hours.
func (w *world) borrow(key, hardwareID string, hours int, more ...string) answer {
	w.t.Helper()
	until := w.clock.Now().Add(time.Duration(hours) * time.Hour).Format(time.RFC3339)
	return w.checkOut(key, hardwareID, append(more, fmt.Sprintf(`"borrow_until":%q`, until))...)
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

// TestASlotIsBorrowedByOneSession: sessions of one device are as many borrowers.
func TestASlotIsBorrowedByOneSession(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":1,"activation":"none","borrow_max_hours":8760}`)
		first := w.borrow(key, "server", 8700, `"session_id":"ada"`)
		w.want(first, http.StatusCreated, "")
		w.want(w.release(first), http.StatusOK, "")
		refused := w.borrow(key, "server", 1, `"session_id":"bob"`)
		w.want(refused, http.StatusForbidden, "LEASE_LIMIT_EXCEEDED")
		w.agrees(w.explain(says(key, "server", map[string]any{
			"operation": "lease", "session_id": "bob", "borrow_until": w.at(time.Hour),
		})), refused)
		again := w.borrow(key, "server", 1, `"session_id":"ada"`)
		w.want(again, http.StatusCreated, "")
		for _, lease := range []answer{first, again} {
			path := "/" + id + "/leases/" + lease.body["lease_id"].(string)
			w.want(w.manage(http.MethodDelete, path, ""), http.StatusOK, "")
		}
		w.want(w.borrow(key, "server", 1, `"session_id":"bob"`), http.StatusCreated, "")
	})
}

// TestASlotOfAnEntitlementIsBorrowedByOne: what was borrowed with an entitlement has its slot until the end, whether it
// was given back or not, and claims no other meanwhile.
func TestASlotOfAnEntitlementIsBorrowedByOne(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":9,"activation":"none","borrow_max_hours":8760},
			"entitlements":[{"code":"cad","slots":1},{"code":"cam"}]`)
		const cad, cam = `"entitlement":"cad"`, `"entitlement":"cam"`
		first := w.borrow(key, "pc-0", 8700, cad)
		w.want(first, http.StatusCreated, "")
		kept := w.checkOut(key, "pc-0", cam)
		w.want(kept, http.StatusConflict, "OFFLINE_TOKEN_ACTIVE")
		until := kept.body["details"].(map[string]any)["offline_token_expires_at"]
		if until != first.body["borrowed_until"] {
			t.Errorf("%s, want until %v", kept.raw, first.body["borrowed_until"])
		}
		w.agrees(w.explain(says(key, "pc-0", map[string]any{"operation": "lease", "entitlement": "cam"})), kept)
		w.want(w.checkOut(key, "pc-0", cam, `"session_id":"2"`), http.StatusCreated, "")
		w.want(w.checkOut(key, "pc-0"), http.StatusOK, "")
		full := func() {
			t.Helper()
			refused := w.checkOut(key, "pc-1", cad)
			w.want(refused, http.StatusForbidden, "LEASE_LIMIT_EXCEEDED")
			details := refused.body["details"].(map[string]any)
			if details["entitlement"] != "cad" || details["in_use"] != 1.0 || details["slots"] != 1.0 ||
				details["earliest_end"] != first.body["borrowed_until"] {
				t.Errorf("%s, want until %v", refused.raw, first.body["borrowed_until"])
			}
			w.agrees(w.explain(says(key, "pc-1", map[string]any{"operation": "lease", "entitlement": "cad"})), refused)
			w.want(w.borrow(key, "pc-1", 1, cad), http.StatusForbidden, "LEASE_LIMIT_EXCEEDED")
		}
		full()
		w.want(w.release(first), http.StatusOK, "")
		full()
		ended := w.renew(first) // its holder has the slot, and may take it again
		if ended.body["details"].(map[string]any)["slot_free"] != true {
			t.Errorf("%s", ended.raw)
		}
		again := w.checkOut(key, "pc-0", cad)
		w.want(again, http.StatusCreated, "")
		full()
		w.want(w.release(again), http.StatusOK, "")
		full()
		w.want(w.manage(http.MethodDelete, "/"+id+"/leases/"+first.body["lease_id"].(string), ""), http.StatusOK, "")
		bare := w.borrow(key, "pc-1", 1) // what claims nothing may claim something later
		w.want(bare, http.StatusCreated, "")
		w.want(w.checkOut(key, "pc-1", cad), http.StatusOK, "")
		w.clock.Advance(time.Hour)
		w.want(w.borrow(key, "pc-2", 1, cad), http.StatusCreated, "")
	})
}
