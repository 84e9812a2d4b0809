package license_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// TestLicenseSpringKinds: how a license is used, and of which type it is, is said in the words of the documentation.
func TestLicenseSpringKinds(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		for kind, offline := range map[string]bool{
			"perpetual": true, "consumption": true, "subscription": false, "time-limited": false,
		} {
			end := ""
			if !offline {
				end = `,"expires_in_days":30`
			}
			_, key := w.with(`"license_type":"` + kind + `"` + end)
			made := s.object(s.post("activate_license", key, "air", ""))
			if made["license_type"] != kind || made["user"] != nil ||
				made["product_details"].(map[string]any)["authorization_method"] != "license_key" {
				t.Errorf("%s: %v", kind, made)
			}
			if rec := s.carry("activate_offline", s.offline(key, "air", "", true)); offline {
				s.object(rec)
			} else {
				s.refused(rec, 400, "license_type_not_allowed")
			}
		}
		w.studio()
		w.assigned(w.ada(`,"name":"Ada Lovelace"`))
		made := s.object(s.ask(http.MethodPost, "activate_license", `{"product":"studio","hardware_id":"pc",`+
			`"username":"ada@example.com","password":"`+thePassword+`"}`))
		user := made["user"].(map[string]any)
		if made["product_details"].(map[string]any)["authorization_method"] != "user" || made["license_key"] != nil ||
			user["email"] != "Ada@example.com" || user["first_name"] != "Ada" || user["last_name"] != "Lovelace" ||
			user["is_initial_password"] != true || user["phone_number"] != "" || user["id"] == 0.0 {
			t.Errorf("of a user: %v", made)
		}
		s.refused(s.ask(http.MethodPost, "change_password", `{"product":"default","username":"ada@example.com",`+
			`"password":"`+thePassword+`","new_password":"battery staple"}`), 400, "change_password_not_allowed")
	})
}

// TestLicenseSpringTimes: before its start and after its end a license that is no trial is refused as such.
func TestLicenseSpringTimes(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		_, early := w.with(`"starts_at":"` + w.at(48*time.Hour) + `"`)
		s.refused(s.post("activate_license", early, "pc", ""), 400, "license_not_started")
		_, key := w.with(`"expires_at":"` + w.at(24*time.Hour) + `"`)
		s.object(s.post("activate_license", key, "pc", ""))
		w.clock.Advance(25 * time.Hour)
		s.refused(s.get("check_license", key, "pc"), 400, "license_expired")
		s.refused(s.post("activate_license", key, "other", ""), 400, "license_expired")
		w.clock.Advance(24 * time.Hour)
		s.object(s.post("activate_license", early, "pc", ""))
	})
}

// TestLicenseSpringTokensLimited: a client that reads error of each refusal finds it.
func TestLicenseSpringTokensLimited(t *testing.T) {
	eachWorld(t, func(w *world) {
		s, id, secret := w.withClient(`,"rate_limit":{"per_minute":1}`)
		w.oauthToken(id, secret)
		s.oauthRefused(w.tokens(credentials(id, secret)), 429, "rate_limit_exceeded")
	})
}

// TestLicenseSpringCountsAllSeats of a user, however many devices others have activated since.
func TestLicenseSpringCountsAllSeats(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		server := w.licenseSpring(`,"server_side":true`)
		id, _ := w.assigned(w.ada(""))
		w.update(id, `{"max_devices":null}`)
		w.want(w.customers(http.MethodPatch, "/acme", `{"email":"boss@example.com"}`), http.StatusOK, "")
		w.want(w.post("activate", byUser(w.token(), "first", nil)), http.StatusCreated, "")
		bob := w.colleague(id, "bob@example.com")
		for i := range 101 {
			w.clock.Advance(time.Millisecond)
			w.want(w.post("activate", byUser(bob, fmt.Sprint("pc-", i), nil)), http.StatusCreated, "")
		}
		path := "customer_license_users?" + url.Values{"product": {"studio"}, "customer": {"boss@example.com"}}.Encode()
		counted := map[any]any{}
		for _, u := range server.object(server.ask(http.MethodGet, path, ""))["users"].([]any) {
			u := u.(map[string]any)
			counted[u["email"]] = u["total_activations"]
		}
		if counted["Ada@example.com"] != 1.0 || counted["bob@example.com"] != 101.0 {
			t.Errorf("counted %v", counted)
		}
	})
}
