package license_test

import (
	"net/http"
	"testing"
	"time"
)

// TestLicenseSpringTellsNobodyWhoHasAnAccount: until a password is proven, or the device is that of the user, all
// e-mails are answered alike.
func TestLicenseSpringTellsNobodyWhoHasAnAccount(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		w.trialPolicy("try", "studio", "")
		s := w.licenseSpring("")
		licenses := []string{}
		for range 2 {
			id, _ := w.with(`"product":"studio","max_devices":9,"floating":{"slots":9}`)
			licenses = append(licenses, id)
		}
		for email, assigned := range map[string]int{"none": 0, "one": 1, "several": 2, "locked": 1} {
			made := w.users(http.MethodPost, "", `{"product":"studio","customer_id":"acme","email":"`+email+
				`@example.com","initial_password":"`+thePassword+`"}`)
			w.must(made, http.StatusCreated)
			user := made.body["user_id"].(string)
			for _, id := range licenses[:assigned] {
				w.must(w.manage(http.MethodPut, "/"+id+"/users/"+user, ""), http.StatusOK)
			}
			if email == "locked" {
				w.must(w.users(http.MethodPatch, "/"+user, `{"is_locked":true}`), http.StatusOK)
			}
		}
		calls := map[string]string{"change_password": `,"password":"wrong guess","new_password":"battery staple"`}
		for _, path := range []string{
			"activate_license", "deactivate_license", "floating/borrow", "floating/release", "track_device_variables",
		} {
			calls[path] = `,"variables":{"a":"b"}`
			calls[path+"?with_password"] = `,"variables":{"a":"b"},"password":"wrong guess"`
			calls[path+"?with_license"] = `,"variables":{"a":"b"},"license_id":1`
		}
		for path, more := range calls {
			alike := ""
			for _, email := range []string{"unknown", "none", "one", "several", "locked"} {
				w.clock.Advance(time.Hour) // guesses are not to be held up
				rec := s.ask(http.MethodPost, path,
					`{"product":"studio","username":"`+email+`@example.com","hardware_id":"pc"`+more+`}`)
				if alike == "" {
					alike = rec.Body.String()
				}
				if rec.Code != http.StatusBadRequest || rec.Body.String() != alike {
					t.Errorf("%s of %s: %d %s, want %s", path, email, rec.Code, rec.Body, alike)
				}
			}
		}
		for _, email := range []string{"none", "locked"} {
			s.refused(s.trial("studio", email+"@example.com"), 400, "trial_not_allowed")
		}
	})
}
