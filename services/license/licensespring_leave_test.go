package license_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
)

// TestLicenseSpringLeaves: what a device consumed without the server is counted with its deactivation, beyond the limit
// too, and only if it leaves.
func TestLicenseSpringLeaves(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.with(`"max_devices":1,"counters":[{"name":"consumptions","limit":5}]`)
		s.object(s.post("activate_license", key, "pc", ""))
		s.refused(s.post("deactivate_license", key, "pc", `,"consumptions":-1`), 400, "validation_error")
		s.refused(s.post("deactivate_license", key, "other", `,"consumptions":3`), 400, "device_not_found")
		w.wantUsed(id, "consumptions", 0)
		w.inUse(id, 1)
		leave := `,"consumptions":7,"variables":{"room":"4.12"}`
		s.word(s.post("deactivate_license", key, "pc", leave), "license_deactivated")
		s.refused(s.post("deactivate_license", key, "pc", leave), 400, "device_not_found")
		w.wantUsed(id, "consumptions", 7)
		w.inUse(id, 0)
		s.object(s.post("activate_license", key, "pc", ""))
		all := s.list(s.get("get_device_variables", key, "pc"))
		if len(all) != 1 || all[0]["variable"] != "room" || all[0]["value"] != "4.12" {
			t.Errorf("variables: %v", all)
		}
		w.alter(id, "suspend", `{"reason":"x"}`)
		s.word(s.post("deactivate_license", key, "pc", `,"consumptions":1`), "license_deactivated")
		w.wantUsed(id, "consumptions", 8)
	})
}

// TestLicenseSpringLeavesHeld: what a device consumed that may not leave yet is not counted: it says so again.
func TestLicenseSpringLeavesHeld(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.with(`"max_devices":1,"counters":[{"name":"consumptions","limit":9}]`)
		s.object(s.carry("activate_offline", s.offline(key, "air", "", true)))
		s.refused(s.post("deactivate_license", key, "air", `,"consumptions":4`), 400, "offline_token_active")
		w.wantUsed(id, "consumptions", 0)
	})
}

// TestLicenseSpringLeavesSlot: of a floating license without seats it is the slot that is given back. What a device
// consumed is counted once for each slot that it had, also when that has gone.
func TestLicenseSpringLeavesSlot(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.with(`"counters":[{"name":"consumptions","limit":9}],"floating":{"slots":1,"activation":"none"}`)
		s.object(s.post("activate_license", key, "pc", ""))
		s.word(s.post("deactivate_license", key, "pc", `,"consumptions":4`), "license_deactivated")
		s.word(s.post("deactivate_license", key, "pc", `,"consumptions":4`), "license_deactivated") // no answer came
		s.object(s.post("activate_license", key, "other", ""))
		w.wantUsed(id, "consumptions", 4)
		late := func(used int) {
			t.Helper()
			for range 2 {
				s.word(s.post("deactivate_license", key, "other", `,"consumptions":5`), "license_deactivated")
				w.wantUsed(id, "consumptions", used)
			}
		}
		for i, ending := range []lease.Ending{"", lease.Expired, lease.Evicted} {
			w.clock.Advance(time.Hour)
			w.noteEnd(id, ending)
			late(9 + 5*i)
			s.object(s.post("activate_license", key, "other", ""))
		}
		w.eventually("license.lease.expired")
		held := w.ask(w.admin, http.MethodGet, managed+"/"+id+"/leases", "").body["leases"].([]any)[0].(map[string]any)
		w.want(w.manage(http.MethodDelete, "/"+id+"/leases/"+held["lease_id"].(string), ""), http.StatusOK, "")
		w.clock.Advance(time.Hour)
		late(19)
		s.word(s.post("deactivate_license", key, "never", `,"consumptions":5`), "license_deactivated")
		w.wantUsed(id, "consumptions", 19)
	})
}

// noteEnd notes how the leases of a license ended, empty where nobody has noted it.
func (w *world) noteEnd(id string, ending lease.Ending) {
	w.t.Helper()
	err := w.db.Tx(w.t.Context(), func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec(`UPDATE leases SET ending = ?, ended_at = expires_at
			WHERE license_id = ? AND ending = '' AND ? <> ''`, ending, id, ending).Error
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestLicenseSpringLeavesBundle: a bundle is one license, whose consumption is counted once.
func TestLicenseSpringLeavesBundle(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		w.suite(1)
		id, key := w.with(`"product":"suite","counters":[{"name":"consumptions","limit":9}]`)
		s.product = "suite"
		s.list(s.post("activate_bundle", key, "pc", ""))
		s.word(s.post("deactivate_bundle", key, "pc", `,"consumptions":4`), "license_deactivated")
		w.wantUsed(id, "consumptions", 4)
	})
}

// TestLicenseSpringLeavesBoth: a license that asks for no seat any more has the seat of a device from before freed,
// too.
func TestLicenseSpringLeavesBoth(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.with(`"floating":{"slots":1}`)
		s.object(s.post("activate_license", key, "pc", ""))
		w.update(id, `{"floating":{"slots":1,"activation":"none"}}`)
		s.object(s.get("check_license", key, "pc"))
		s.word(s.post("deactivate_license", key, "pc", ""), "license_deactivated")
		w.inUse(id, 0)
		s.object(s.post("activate_license", key, "other", ""))
	})
}

// TestLicenseSpringReadOnlyFeature: the slot of the license is none of a product feature.
func TestLicenseSpringReadOnlyFeature(t *testing.T) {
	eachWorld(t, func(w *world) {
		s, read := w.licenseSpring(""), w.licenseSpring(`,"read_only":true`)
		_, key := w.with(`"features":["export"],"floating":{"slots":2}`)
		s.object(s.post("activate_license", key, "pc", ""))
		s.object(s.get("check_license", key, "pc"))
		read.object(read.get("check_license", key, "pc"))
		read.refused(read.get("check_license_feature", key, "pc", "feature", "export"), 400, "read_only_api_key")
		s.object(s.get("check_license_feature", key, "pc", "feature", "export"))
		read.object(read.get("check_license_feature", key, "pc", "feature", "export"))
		s.word(s.post("floating/release", key, "pc", ""), "license_released")
		read.refused(read.get("check_license", key, "pc"), 400, "read_only_api_key")
	})
}

// TestLicenseSpringBorrowsUntil: a time without a zone is of UTC, and a date lasts to its end.
func TestLicenseSpringBorrowsUntil(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		_, key := w.with(`"floating":{"slots":1,"borrow_max_hours":72}`)
		s.object(s.post("activate_license", key, "pc", ""))
		at := w.clock.Now().UTC().Add(30 * time.Hour).Truncate(time.Second)
		second := at.Format("2006-01-02T15:04:05.000Z")
		for _, borrow := range []struct{ text, want string }{ // no call makes what is borrowed shorter
			{at.Format("2006-01-02T15:04:05"), second},
			{at.Format("2006-01-02T15:04:05.000000"), second},
			{at.Format(time.RFC3339), second},
			{at.Format(time.DateOnly), at.Format(time.DateOnly) + "T23:59:59.000Z"},
		} {
			got := s.object(s.post("floating/borrow", key, "pc", `,"borrowed_until":"`+borrow.text+`"`))
			if got["borrowed_until"] != borrow.want {
				t.Errorf("%s: %v, want %s", borrow.text, got["borrowed_until"], borrow.want)
			}
		}
		for _, bad := range []string{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00", "0001-01-01", "30 hours"} {
			s.refused(s.post("floating/borrow", key, "pc", `,"borrowed_until":"`+bad+`"`), http.StatusBadRequest,
				"borrow_until_not_valid")
		}
	})
}
