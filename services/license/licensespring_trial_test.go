package license_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// trialPolicy makes a policy of trials of a product.
func (w *world) trialPolicy(code, product, members string) {
	w.t.Helper()
	w.want(w.policies(http.MethodPost, "", fmt.Sprintf(
		`{"code":%q,"name":"Trial","product":%q,"is_trial":true,"duration_days":14%s}`, code, product, members)),
		http.StatusCreated, "")
}

// trial asks for one.
func (s *springs) trial(product, email string, more ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	q := url.Values{"product": {product}, "email": {email}, "hardware_id": {"pc"}}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return s.ask(http.MethodGet, "trial_key?"+q.Encode(), "")
}

func (w *world) licensesOf(customerID string) int {
	w.t.Helper()
	all := w.ask(w.admin, http.MethodGet, managed+"?customer_id="+url.QueryEscape(customerID), "")
	w.must(all, http.StatusOK)
	return int(all.body["total"].(float64))
}

func TestLicenseSpringTrial(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		s.refused(s.trial("default", "ada@example.com"), 400, "trial_not_allowed")
		w.want(w.policies(http.MethodPost, "", `{"code":"full","name":"Full","product":"default"}`),
			http.StatusCreated, "")
		s.refused(s.trial("default", "ada@example.com", "license_policy", "full"), 400, "trial_not_allowed")
		w.trialPolicy("short", "default", "")
		w.trialPolicy("long", "default", `,"max_devices":3`)
		details := s.object(s.ask(http.MethodGet, "product_details?product=default", ""))
		if details["allow_trial"] != true || details["trial_days"] != 14.0 {
			t.Errorf("details: %v", details)
		}
		made := s.object(s.trial("default", "Ada@Example.com", "first_name", "Ada", "last_name", "Lovelace",
			"country", "Great Britain", "reference", "vendor-1", "license_policy", "short"))
		key, _ := made["license_key"].(string)
		if made["is_trial"] != true || made["trial_days"] != 14.0 || made["license"] != key || key == "" ||
			made["max_activations"] != 1.0 || made["license_type"] != "time-limited" {
			t.Errorf("made: %v", made)
		}
		again := s.object(s.trial("default", "ADA@example.com ", "license_policy", "long"))
		if len(again) != 3 || again["license"] != key || again["is_trial"] != true {
			t.Errorf("again: %v", again)
		}
		active := s.object(s.post("activate_license", key, "pc", ""))
		if active["is_trial"] != true {
			t.Errorf("activated: %v", active)
		}
		server := w.licenseSpring(`,"server_side":true`)
		shown := server.object(server.get("check_license", key, "pc"))["customer"].(map[string]any)
		if shown["first_name"] != "Ada" || shown["reference"] == "vendor-1" ||
			shown["metadata"].(map[string]any)["country"] != "Great Britain" {
			t.Errorf("the vendor's own server is told %v", shown)
		}
		customerID := shown["reference"].(string)
		if n := w.licensesOf(customerID); n != 1 {
			t.Errorf("the customer has %d licenses", n)
		}
		w.clock.Advance(15 * 24 * time.Hour)
		s.refused(s.get("check_license", key, "pc"), 400, "trial_expired")
		if late := s.object(s.trial("default", "ada@example.com")); late["license"] != key {
			t.Errorf("who tried the product gets no other trial: %v", late)
		}
		w.want(w.customers(http.MethodPost, "/"+customerID+"/erase", ""), http.StatusOK, "")
		if tables := w.stored([]string{"ada@example.com", "Ada@Example.com"}); len(tables) > 0 {
			t.Errorf("the address of an erased customer stands in %v", tables)
		}
	})
}

// TestLicenseSpringTrialHidesPersons: anyone who knows an e-mail address gets the key of its trial, and no more of who
// has it.
func TestLicenseSpringTrialHidesPersons(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		w.trialPolicy("try", "default", `,"license_type":"perpetual"`)
		s.object(s.trial("default", "victim@example.com", "first_name", "Vic", "last_name", "Tim", "phone",
			"+1 (555) 1", "address", "Secret street", "city", "Secret town", "reference", "secret-7",
			"company_name", "Secret Inc."))
		key := s.object(s.trial("default", "victim@example.com"))["license"].(string)
		for call, rec := range map[string]*httptest.ResponseRecorder{
			"activate_license": s.post("activate_license", key, "pc", ""),
			"check_license":    s.get("check_license", key, "pc"),
			"activate_offline": s.carry("activate_offline", s.offline(key, "pc", "", false)),
			"refresh_offline":  s.carry("refresh_offline", s.offline(key, "pc", "", false)),
			"device_licenses":  s.ask(http.MethodGet, "device_licenses?product=default&hardware_id=pc", ""),
		} {
			if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), `"customer":{`) {
				t.Errorf("%s: %d %s", call, rec.Code, rec.Body)
			}
			for _, told := range []string{"victim@", "Vic", "Tim", "(555)", "Secret", "secret-7", "trial-"} {
				if strings.Contains(rec.Body.String(), told) {
					t.Errorf("%s tells %q: %s", call, told, rec.Body)
				}
			}
		}
		_, key = w.create(1, 0)
		own := s.object(s.post("activate_license", key, "pc", ""))["customer"].(map[string]any)
		if own["reference"] == "" {
			t.Errorf("the holder of a license that was sold is told %v", own)
		}
	})
}

// TestLicenseSpringTrialBecomesFull: an e-mail address opens trials and nothing more.
func TestLicenseSpringTrialBecomesFull(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		w.trialPolicy("try", "default", "")
		key := s.object(s.trial("default", "ada@example.com"))["license_key"].(string)
		found := w.ask(w.admin, http.MethodPost, managed+"/search", fmt.Sprintf(`{"license_key":%q}`, key))
		id := found.body["licenses"].([]any)[0].(map[string]any)["license_id"].(string)
		w.alter(id, "suspend", `{"reason":"x"}`)
		s.refused(s.trial("default", "ada@example.com"), 400, "trial_not_allowed")
		w.alter(id, "reinstate", "")
		s.object(s.trial("default", "ada@example.com"))
		w.alter(id, "convert", `{"license_type":"perpetual"}`)
		s.refused(s.trial("default", "ada@example.com"), 400, "trial_not_allowed")
	})
}

// TestLicenseSpringTrialIsNotTold: what an administrator made of a trial is not told to who knows an e-mail address.
func TestLicenseSpringTrialIsNotTold(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		w.trialPolicy("try", "default", "")
		for i, change := range []func(id string){
			func(id string) {
				w.want(w.manage(http.MethodPost, "/"+id+"/rotate-key", `{"overlap_hours":1}`), http.StatusOK, "")
			},
			func(id string) {
				w.rotate(id, 0)
				w.exec("DELETE FROM outbox WHERE subject = ?", id) // as the event log is short
			},
			func(id string) {
				w.want(w.manage(http.MethodPatch, "/"+id, `{"customer_id":"big-corp"}`), http.StatusOK, "")
			},
			func(id string) { w.want(w.manage(http.MethodDelete, "/"+id, ""), http.StatusOK, "") },
		} {
			email := fmt.Sprintf("u%d@example.com", i)
			key := s.object(s.trial("default", email))["license_key"].(string)
			found := w.ask(w.admin, http.MethodPost, managed+"/search", fmt.Sprintf(`{"license_key":%q}`, key))
			change(found.body["licenses"].([]any)[0].(map[string]any)["license_id"].(string))
			s.refused(s.trial("default", email), 400, "trial_not_allowed")
		}
	})
}

func TestLicenseSpringTrialOfUsers(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.studio()
		s := w.licenseSpring("")
		w.trialPolicy("try", "studio", "")
		made := s.object(s.trial("studio", "ada@example.com", "first_name", "Ada"))
		password, _ := made["initial_password"].(string)
		if made["license_user"] != "ada@example.com" || password == "" || made["license_key"] != nil ||
			made["license_user_id"] == 0.0 {
			t.Errorf("made: %v", made)
		}
		if again := s.object(s.trial("studio", "Ada@example.com")); again["license_user"] != "ada@example.com" ||
			again["initial_password"] != nil {
			t.Errorf("again: %v", again)
		}
		active := s.object(s.ask(http.MethodPost, "activate_license", fmt.Sprintf(
			`{"product":"studio","username":"ada@example.com","password":%q,"hardware_id":"pc"}`, password)))
		if active["is_trial"] != true {
			t.Errorf("activated: %v", active)
		}
		w.want(w.users(http.MethodPost, "", `{"product":"studio","customer_id":"c","email":"bob@example.com"}`),
			http.StatusCreated, "")
		s.refused(s.trial("studio", "bob@example.com"), 400, "trial_not_allowed")
	})
}

func TestLicenseSpringTrialRefuses(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		w.trialPolicy("try", "default", "")
		s.refused(s.trial("default", ""), 400, "missing_parameters")
		for _, email := range []string{"ada", "Ada <ada@example.com>", "a@b@c", "x\u200bx@example.com",
			"\uff41@example.com", strings.Repeat("a", 300) + "@example.com"} {
			s.refused(s.trial("default", email), 400, "validation_error")
		}
		s.refused(s.trial("default", "ada@example.com", "phone", strings.Repeat("7", 256)), 400, "validation_error")
		s.refused(s.trial("nowhere", "ada@example.com"), 400, "unknown_product")
		s.refused(w.licenseSpring(`,"read_only":true`).trial("default", "ada@example.com"), 400, "read_only_api_key")
		w.studio()
		w.ada("")
		w.trialPolicy("try-studio", "studio", "")
		s.refused(s.trial("studio", "ada@example.com"), 400, "trial_not_allowed") // it is not made, and not counted
		for i := range 100 {
			s.object(s.trial("default", fmt.Sprintf("u%d@example.com", i)))
		}
		s.refused(s.trial("default", "u100@example.com"), 429, "rate_limit_exceeded")
		s.object(s.trial("default", "u0@example.com")) // asking again for one's own makes nothing
	})
}

// TestLicenseSpringTrialRaces: one trial for each e-mail address, however often it is asked for at once.
func TestLicenseSpringTrialRaces(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		s := w.licenseSpring("")
		w.trialPolicy("try", "default", "")
		w.trialPolicy("try-studio", "studio", "")
		for _, product := range []string{"default", "studio"} {
			var all sync.WaitGroup
			var mu sync.Mutex
			named, made := map[any]bool{}, 0
			for i := range 40 {
				all.Go(func() {
					email := []string{"ada@example.com", "ADA@example.com"}[i%2]
					rec := s.trial(product, email)
					for rec.Code == http.StatusServiceUnavailable {
						if product == "studio" || t.Context().Err() != nil {
							return // few passwords are hashed at once
						}
						rec = s.trial(product, email)
					}
					body := s.object(rec)
					mu.Lock()
					defer mu.Unlock()
					if body["id"] != nil {
						made++
					}
					named[fmt.Sprint(body["license"], strings.ToLower(fmt.Sprint(body["license_user"])))] = true
				})
			}
			all.Wait()
			list := w.ask(w.admin, http.MethodGet, managed+"?product="+product, "")
			if made != 1 || len(named) != 1 || list.body["total"] != 1.0 {
				t.Errorf("%s: %d made, %v named, %v licenses", product, made, named, list.body["total"])
			}
		}
	})
}
