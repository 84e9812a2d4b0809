package license_test

import "testing"

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

// TestLicenseSpringLeavesHeld: a device that may not leave yet says again what it consumed, which is counted once.
func TestLicenseSpringLeavesHeld(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.with(`"max_devices":1,"counters":[{"name":"consumptions","limit":9}]`)
		s.object(s.carry("activate_offline", s.offline(key, "air", "", true)))
		s.refused(s.post("deactivate_license", key, "air", `,"consumptions":4`), 400, "offline_token_active")
		w.wantUsed(id, "consumptions", 0)
	})
}

// TestLicenseSpringLeavesSlot: of a floating license without seats it is the slot that is given back.
func TestLicenseSpringLeavesSlot(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.with(`"counters":[{"name":"consumptions","limit":9}],"floating":{"slots":1,"activation":"none"}`)
		s.object(s.post("activate_license", key, "pc", ""))
		s.word(s.post("deactivate_license", key, "pc", `,"consumptions":4`), "license_deactivated")
		s.object(s.post("activate_license", key, "other", ""))
		w.wantUsed(id, "consumptions", 4)
	})
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
