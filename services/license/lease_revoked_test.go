package license_test

import (
	"net/http"
	"testing"
	"time"

	file "github.com/latchkey-dev/latchkey/proto/licensefile"
)

// wantListed wants one entry on the revocation list, of a license or (with hardwareID) of a device, or none for no
// reason.
func (w *world) wantListed(hardwareID, reason string) {
	w.t.Helper()
	of := func(e file.Revocation) string {
		if hardwareID == "" {
			return ""
		}
		return file.DeviceHash(e.LicenseID, hardwareID)
	}
	switch list := w.revocations(0).Revoked; {
	case reason == "" && len(list) == 0:
	case reason != "" && len(list) == 1 && list[0].Device == of(list[0]) && list[0].Reason == reason:
	default:
		w.t.Errorf("on the list are %+v, want %q: %s", list, hardwareID, reason)
	}
}

// TestWhatIsBorrowedIsRevoked: nobody can call a borrowed lease back, so lists name its license, and its device once
// that has left its seat, until its end.
func TestWhatIsBorrowedIsRevoked(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":2,"borrow_max_hours":8760}`)
		w.want(w.post("activate", device(key, "pc-1")), http.StatusCreated, "")
		w.want(w.borrow(key, "pc-1", 2), http.StatusCreated, "")
		w.want(w.borrow(key, "pc-1", 1000), http.StatusOK, "")
		w.wantListed("", "")
		w.want(w.manage(http.MethodPost, "/"+id+"/suspend", `{"reason":"unpaid"}`), http.StatusOK, "")
		w.wantListed("", "suspended")
		w.want(w.manage(http.MethodPost, "/"+id+"/reinstate", ""), http.StatusOK, "")
		w.wantListed("", "")
		w.deactivate(id, "pc-1")
		w.wantListed("pc-1", "device_deactivated")
		w.want(w.post("activate", device(key, "pc-1")), http.StatusCreated, "")
		w.wantListed("", "")
		w.deactivate(id, "pc-1")
		w.clock.Advance(999 * time.Hour)
		w.wantListed("pc-1", "device_deactivated")
		w.clock.Advance(time.Hour + time.Second)
		w.wantListed("", "")
	})
}

// TestWhatWasGivenBackIsRevoked: a device that gave its borrowed lease back, or from which an administrator took it,
// may go on all the same.
func TestWhatWasGivenBackIsRevoked(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":9,"borrow_max_hours":8760}`)
		for name, end := range map[string]func(lease answer){
			"given-back": func(lease answer) { w.want(w.release(lease), http.StatusOK, "") },
			"taken": func(lease answer) {
				path := "/" + id + "/leases/" + lease.body["lease_id"].(string)
				w.want(w.manage(http.MethodDelete, path, ""), http.StatusOK, "")
			},
		} {
			w.want(w.post("activate", device(key, name)), http.StatusCreated, "")
			lease := w.borrow(key, name, 1000)
			w.want(lease, http.StatusCreated, "")
			end(lease)
			w.wantListed("", "")
			w.want(w.post("deactivate", device(key, name)), http.StatusOK, "")
			w.wantListed(name, "device_deactivated")
			w.clock.Advance(1001 * time.Hour)
			w.wantListed("", "")
		}
	})
}

// TestBorrowedUnderAFormerIDIsRevoked: the list names the ids that the lease tokens are for.
func TestBorrowedUnderAFormerIDIsRevoked(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"max_devices":9,"device_match":"any","floating":{"slots":9,"borrow_max_hours":8760}`)
		c := components("a", "b", "c")
		w.want(w.post("activate", says(key, "first", c)), http.StatusCreated, "")
		w.want(w.borrow(key, "first", 1000), http.StatusCreated, "")
		w.want(w.post("validate", says(key, "second", c)), http.StatusOK, "")
		w.want(w.borrow(key, "second", 500), http.StatusCreated, "")
		w.deactivate(id, "second")
		w.wantNamed("first", "second")
		w.clock.Advance(501 * time.Hour)
		w.wantNamed("first")
		w.want(w.post("activate", says(key, "third", c)), http.StatusCreated, "")
		w.wantNamed("first")
		w.clock.Advance(500 * time.Hour)
		w.wantNamed()
	})
}

// TestADeviceOfNoSeatIsNoneThatLeft: where leases need no seat, the license alone is on the list.
func TestADeviceOfNoSeatIsNoneThatLeft(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":1,"activation":"none","borrow_max_hours":8760}`)
		w.want(w.release(w.borrow(key, "pc-1", 1000)), http.StatusOK, "")
		w.wantListed("", "")
		w.want(w.manage(http.MethodDelete, "/"+id, ""), http.StatusOK, "")
		w.wantListed("", "deactivated")
	})
}

// TestADeviceThatNeedsItsSeatNoMore is none that left, either, whatever ends its lease.
func TestADeviceThatNeedsItsSeatNoMore(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":1,"borrow_max_hours":8760}`)
		w.want(w.post("activate", device(key, "pc-1")), http.StatusCreated, "")
		w.want(w.post("deactivate", device(key, "pc-1")), http.StatusOK, "")
		w.update(id, `{"floating":{"slots":1,"activation":"none","borrow_max_hours":8760}}`)
		lease := w.borrow(key, "pc-1", 1000)
		w.want(lease, http.StatusCreated, "")
		path := "/" + id + "/leases/" + lease.body["lease_id"].(string)
		w.want(w.manage(http.MethodDelete, path, ""), http.StatusOK, "")
		w.want(w.borrow(key, "pc-1", 1000), http.StatusCreated, "")
		w.wantListed("", "")
	})
}
