package license_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// list is the body of a good answer that is a list.
func (s *springs) list(rec *httptest.ResponseRecorder) (all []map[string]any) {
	s.t.Helper()
	if err := json.Unmarshal(rec.Body.Bytes(), &all); err != nil || rec.Code != http.StatusOK {
		s.t.Fatalf("got %d %s", rec.Code, rec.Body)
	}
	s.verify(rec.Body.String(), map[string][]string(rec.Header())["LicenseSignature"][0])
	return all
}

func TestLicenseSpringConsumption(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		_, key := w.with(`"license_type":"consumption","max_devices":2,` +
			`"entitlements":[{"code":"export","counter":"exports"},{"code":"bare"}],"counters":[` +
			`{"name":"exports","limit":2},{"name":"pages","limit":5,"overage":1,"reset":"monthly",` +
			`"allow_negative":true}]`)
		s.refused(s.post("add_consumption", key, "pc", ""), 400, "device_not_found")
		s.object(s.post("activate_license", key, "pc", ""))
		one := s.object(s.post("add_consumption", key, "pc", ""))
		if one["total_consumptions"] != 1.0 || one["max_consumptions"] != 5.0 ||
			one["consumption_period"] != "monthly" ||
			one["allow_overages"] != true || one["max_overages"] != 1.0 ||
			one["company"].(map[string]any)["id"] != 1.0 {
			t.Errorf("consumed: %v", one)
		}
		for range 2 { // an operation that is named counts once
			twice := s.object(s.ask(http.MethodPost, "add_consumption", fmt.Sprintf(
				`{"product":"default","license_key":%q,"hardware_id":"pc","consumptions":4}`, key), "Idempotency-Key",
				"op"))
			if twice["total_consumptions"] != 5.0 {
				t.Errorf("consumed: %v", twice)
			}
		}
		beyond := s.post("add_consumption", key, "pc", `,"consumptions":2,"allow_overages":true,"max_overages":99`)
		s.refused(beyond, 400, "not_enough_consumptions")
		if strings.Contains(beyond.Body.String(), "pages") {
			t.Errorf("clients know no counters: %s", beyond.Body)
		}
		s.refused(s.post("add_consumption", key, "pc", `,"consumptions":9007199254740992`), 400, "validation_error")
		back := s.object(s.post("add_consumption", key, "pc", `,"consumptions":-3`))
		if back["total_consumptions"] != 2.0 {
			t.Errorf("given back: %v", back)
		}
		f := s.object(s.post("add_feature_consumption", key, "pc", `,"feature":"export","consumptions":2`))
		if f["total_consumptions"] != 2.0 || f["max_consumptions"] != 2.0 || f["id"] == 0.0 || f["license_id"] == 0.0 {
			t.Errorf("feature: %v", f)
		}
		s.refused(s.post("add_feature_consumption", key, "pc", `,"feature":"export"`), 400, "not_enough_consumptions")
		s.refused(s.post("add_feature_consumption", key, "pc", `,"feature":"bare"`), 400, "unsupported_product_feature")
		s.refused(s.post("add_feature_consumption", key, "pc", `,"feature":"none"`), 400, "unsupported_product_feature")
		s.refused(s.post("add_feature_consumption", key, "pc", ""), 400, "missing_parameters")
		checked := s.object(s.get("check_license_feature", key, "pc", "feature", "export",
			"include_metadata_string", "true"))
		if checked["metadata_string"] != "{}" {
			t.Errorf("checked: %v", checked)
		}
		again := s.object(s.post("activate_license", key, "pc", ""))
		for _, shown := range []any{checked, again["product_features"].([]any)[0]} {
			f := shown.(map[string]any)
			if f["feature_type"] != "consumption" || f["max_consumption"] != 2.0 || f["total_consumptions"] != 2.0 ||
				f["max_consumptions"] != nil {
				t.Errorf("feature: %v", f)
			}
		}
		s.refused(s.get("check_license_feature", key, "pc", "feature", "none"), 400, "unsupported_product_feature")
		plain, plainKey := w.create(1, 0)
		s.object(s.post("activate_license", plainKey, "pc", ""))
		s.refused(s.post("add_consumption", plainKey, "pc", ""), 400, "license_type_not_allowed")
		_ = plain
	})
}

func TestLicenseSpringFloating(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		_, key := w.with(`"max_devices":9,"features":["export"],"floating":{"slots":2,"borrow_max_hours":24}`)
		for _, pc := range []string{"a", "b", "c"} {
			s.object(s.post("activate_license", key, pc, ""))
		}
		for range 2 { // the same device keeps its slot
			if got := s.object(s.get("check_license", key, "a")); got["floating_in_use_devices"] != 1.0 ||
				got["is_floating_cloud"] != true || got["max_borrow_time"] != 24.0 {
				t.Errorf("checked: %v", got)
			}
		}
		borrowed := s.object(s.post("floating/borrow", key, "b", `,"borrowed_until":null`))
		if borrowed["borrowed_until"] == nil || borrowed["max_borrow_time"] != 24.0 || borrowed["device_id"] == 0.0 {
			t.Errorf("borrowed: %v", borrowed)
		}
		if got := s.object(s.get("check_license", key, "b")); got["is_borrowed"] != true {
			t.Errorf("checked: %v", got)
		}
		s.refused(s.get("check_license", key, "c"), 400, "floating_slots_exceeded")
		s.refused(s.post("floating/borrow", key, "b", `,"borrowed_until":"soon"`), 400, "borrow_until_not_valid")
		s.refused(s.post("floating/borrow", key, "b", `,"borrowed_until":"2099-01-01T00:00:00Z"`), 400,
			"borrow_until_not_valid")
		s.word(s.post("floating/release", key, "a", ""), "license_released")
		s.word(s.post("floating/release", key, "a", ""), "license_released")
		s.object(s.get("check_license", key, "c"))
		s.word(s.post("floating/release", key, "c", ""), "license_released")
		f := s.object(s.get("check_license_feature", key, "c", "feature", "export"))
		if f["floating_in_use_devices"] != 2.0 {
			t.Errorf("feature: %v", f)
		}
		s.object(s.post("floating/feature_borrow", key, "c", `,"feature":"export"`))
		s.word(s.post("floating/feature_release", key, "c", `,"feature":"export"`), "feature_released")
		s.object(s.get("check_license", key, "a"))
	})
}

func TestLicenseSpringVariables(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		_, key := w.create(1, 0)
		s.refused(s.post("track_device_variables", key, "pc", `,"variables":{"a":"1"}`), 400, "device_not_found")
		s.refused(s.get("get_device_variables", key, "pc"), 400, "device_not_found")
		s.object(s.post("activate_license", key, "pc", `,"variables":{"a":"1"}`))
		tracked := s.list(s.post("track_device_variables", key, "pc", `,"variables":{"b":"2"}`))
		if len(tracked) != 1 || tracked[0]["value"] != "2" || tracked[0]["device_id"] == 0.0 {
			t.Errorf("tracked: %v", tracked)
		}
		all := s.list(s.get("get_device_variables", key, "pc"))
		if len(all) != 2 || all[0]["variable"] != "a" || all[1]["variable"] != "b" || all[0]["id"] == all[1]["id"] {
			t.Errorf("variables: %v", all)
		}
		s.list(s.post("track_device_variables", key, "pc", `,"variables":{"cores":8,"fast":true,"gb":1.50}`))
		for i, want := range []string{"1", "2", "8", "true", "1.50"} {
			if all := s.list(s.get("get_device_variables", key, "pc")); all[i]["value"] != want {
				t.Errorf("variables: %v, want %s", all, want)
			}
		}
		for _, bad := range []string{`{}`, `[1]`, `null`} {
			s.refused(s.post("activate_license", key, "pc", `,"variables":{"c":`+bad+`}`), 400, "validation_error")
		}
		s.refused(s.post("track_device_variables", key, "pc", ""), 400, "missing_parameters")
		many := map[string]string{}
		for i := range 64 {
			many[fmt.Sprint("v", i)] = "x"
		}
		raw, _ := json.Marshal(many)
		s.refused(s.post("track_device_variables", key, "pc", `,"variables":`+string(raw)), 400, "validation_error")
	})
}

// offline is a request in a file, in the flat form or wrapped.
func (s *springs) offline(key, hardwareID, more string, wrapped bool) string {
	s.t.Helper()
	date := "Wed Jan 1 2025 00:00:00 GMT+0000" // carried by hand
	signature := s.hmac("licenseSpring\ndate: " + date + "\n" + key + "\n" + hardwareID + "\n" + s.apiKey)
	inner := fmt.Sprintf(`{"license_key":%q, "hardware_id":%q,"product":"default","date":%q,"api_key":%q%s`,
		key, hardwareID, date, s.apiKey, more)
	text := inner + `,"signature":"` + signature + `"}`
	if wrapped {
		inner += `,"schema_version":2}`
		text = `{"request": ` + inner + `, "signature": "` + s.hmac(inner) + `"}`
	}
	return base64.StdEncoding.EncodeToString([]byte(text))
}

func (s *springs) carry(path, file string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.ask(http.MethodPost, path, file, "Content-Type", "text/plain")
}

func TestLicenseSpringOffline(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.with(`"max_devices":2,"license_type":"consumption","counters":[{"name":"consumptions","limit":9}]`)
		file := s.offline(key, "air-1", `,"request":"activation","request_id":"r1"`, false)
		first := s.carry("activate_offline", file)
		made := s.object(first)
		s.verify("air-1#"+strings.ToLower(key)+"#", made["license_signature"].(string))
		covered, _, found := strings.Cut(first.Body.String(), `,"license_signature":`)
		if !found {
			t.Fatal(first.Body)
		}
		s.verify(covered+"}", made["license_signature_v2"].(string))
		lines := []string{"licenseSpring", "date: " + made["date"].(string), key, "air-1", s.apiKey}
		if want := s.hmac(strings.Join(lines, "\n")); made["offline_signature"] != want {
			t.Errorf("offline_signature %v, want %s", made["offline_signature"], want)
		}
		w.inUse(id, 1)
		w.clock.Advance(time.Hour)
		if again := s.carry("activate_offline/", file+"\n"); again.Body.String() != first.Body.String() {
			t.Errorf("the same request got %s", again.Body)
		}
		s.refused(s.carry("activate_offline", s.offline(key, "air-9", `,"request_id":"r1"`, false)), 400,
			"idempotency_key_reused")
		s.object(s.carry("activate_offline", s.offline(key, "air-2", `,"request_id":"r2"`, true)))
		s.refused(s.carry("activate_offline", s.offline(key, "air-3", "", false)), 400, "license_activated_max_times")
		s.refused(s.post("deactivate_license", key, "air-1", ""), 400, "offline_token_active")
		leave := s.offline(key, "air-1", `,"request":"deactivation","request_id":"d1","consumptions":4`, true)
		for range 2 {
			s.word(s.carry("deactivate_offline", leave), "license_deactivated")
			w.inUse(id, 1)
			w.wantUsed(id, "consumptions", 4)
		}
		s.refused(s.carry("activate_offline", file), 400, "device_not_found") // it gave its seat back
		w.inUse(id, 1)
		s.form(key)
		w.inUse(id, 2)
	})
}

// form activates a device by a form.
func (s *springs) form(key string) {
	s.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "ls_activation.req")
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprint(part, s.offline(key, "air-4", "", false))
	_ = form.Close()
	s.object(s.ask(http.MethodPost, "activate_offline", body.String(), "Content-Type", form.FormDataContentType()))
}

func TestLicenseSpringOfflineRefuses(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.create(1, 0)
		good := s.offline(key, "air", "", false)
		s.refused(s.ask(http.MethodPost, "activate_offline", good, "Date", "", "Content-Type", "text/plain"), 400,
			"missing_headers")
		s.refused(s.carry("activate_offline", ""), 400, "missing_parameters")
		s.refused(s.carry("activate_offline", "{}"), 400, "authorization_missing_params")
		other := w.licenseSpring("")
		s.refused(s.carry("activate_offline", other.offline(key, "air", "", false)), 400, "invalid_api_key")
		for name, forged := range map[string]string{
			"another device": strings.Replace(decode(good), `"hardware_id":"air"`, `"hardware_id":"sea"`, 1),
			"another date":   strings.Replace(decode(good), "2025", "2026", 1),
		} {
			s.refused(s.carry("activate_offline", base64.StdEncoding.EncodeToString([]byte(forged))), 400,
				"signature_mismatch")
			_ = name
		}
		wrapped := decode(s.offline(key, "air", "", true))
		spaced := base64.StdEncoding.EncodeToString([]byte(strings.Replace(wrapped, `"product":`, `"product": `, 1)))
		s.refused(s.carry("activate_offline", spaced), 400, "signature_mismatch")
		w.inUse(id, 0)
		_, limited := w.create(1, 30)
		s.refused(s.carry("activate_offline", s.offline(limited, "air", "", false)), 400, "license_type_not_allowed")
		_, online := w.with(`"offline_activation":false`)
		s.refused(s.carry("activate_offline", s.offline(online, "air", "", false)), 400, "offline_not_allowed")
		s.refused(s.carry("deactivate_offline", s.offline(key, "air", `,"request":"deactivation"`, false)), 400,
			"device_not_found")
	})
}

func decode(text string) string {
	raw, _ := base64.StdEncoding.DecodeString(text)
	return string(raw)
}

func TestLicenseSpringVersions(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		_, key := w.create(1, 0)
		s.refused(s.get("versions", key, "pc"), 400, "active_license_required")
		s.object(s.post("activate_license", key, "pc", ""))
		if all := s.list(s.get("versions", key, "pc")); len(all) != 0 {
			t.Errorf("versions: %v", all)
		}
		s.refused(s.get("installation_file", key, "pc"), 400, "version_not_found")
		for _, release := range []string{
			`{"version":"1.0.0","released_at":"2025-01-01","url":"https://example.com/1.exe","size":7,` +
				`"environment":"win"}`,
			`{"version":"1.1.0","released_at":"2025-02-01","channel":"beta"}`,
			`{"version":"2.0.0","released_at":"2099-01-01"}`, `{"version":"1.2.0","enabled":false}`,
		} {
			w.want(w.products(http.MethodPost, "/default/releases", release), http.StatusCreated, "")
		}
		if all := s.list(s.get("versions", key, "pc")); len(all) != 2 || all[0]["version"] != "1.1.0" {
			t.Errorf("versions: %v", all)
		}
		one := s.object(s.get("installation_file", key, "pc", "version", "1.0.0", "env", "win"))
		if one["installation_file"] != "https://example.com/1.exe" || one["size"] != 7.0 || one["id"] == 0.0 {
			t.Errorf("file: %v", one)
		}
		s.refused(s.get("installation_file", key, "pc", "version", "1.0.0", "env", "mac"), 400, "version_not_found")
		if got := s.object(s.get("check_license", key, "pc", "channel", "beta")); got["version"] != "1.1.0" {
			t.Errorf("checked: %v", got)
		}
	})
}

// TestLicenseSpringUsersOfOneEmail: no call names a customer, so the device tells whose seat it is, and whom nothing
// tells is refused with a way out, and never served a license of the other.
func TestLicenseSpringUsersOfOneEmail(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.studio()
		s := w.licenseSpring("")
		id, _ := w.assigned(w.ada(""))
		call := func(path, hardwareID, more string) *httptest.ResponseRecorder {
			return s.ask(http.MethodPost, path, fmt.Sprintf(
				`{"product":"studio","username":"ada@example.com","hardware_id":%q%s}`, hardwareID, more))
		}
		check := func(hardwareID string) *httptest.ResponseRecorder {
			return s.ask(http.MethodGet,
				"check_license?product=studio&username=ada%40example.com&hardware_id="+hardwareID, "")
		}
		password := `,"password":"` + thePassword + `"`
		made := s.object(call("activate_license", "pc", password))
		namesake := w.users(http.MethodPost, "", `{"product":"studio","customer_id":"other","email":"ada@example.com",`+
			`"initial_password":"another horse"}`)
		w.must(namesake, http.StatusCreated)
		of := w.manage(http.MethodPost, "", `{"customer_id":"other","product":"studio","max_devices":40}`)
		w.must(of, http.StatusCreated)
		other := of.body["license_id"].(string)
		w.want(w.manage(http.MethodPut, "/"+other+"/users/"+namesake.body["user_id"].(string), ""), http.StatusOK, "")
		if got := s.object(check("pc")); got["id"] != made["id"] {
			t.Errorf("checked %v, want %v", got["id"], made["id"])
		}
		s.refused(check("elsewhere"), 400, "missing_parameters")
		for _, secret := range []string{password, `,"password":"another horse"`, `,"password":"wrong"`} {
			got := call("activate_license", "new", secret)
			s.refused(got, 400, "invalid_credentials")
			if !strings.Contains(got.Body.String(), "ask the vendor for another e-mail") {
				t.Errorf("%s", got.Body)
			}
		}
		w.inUse(other, 0)
		token := w.post("users/sign-in", `{"product":"studio","email":"ada@example.com","customer_id":"other",`+
			`"password":"another horse"}`)
		w.must(token, http.StatusOK)
		w.want(w.post("activate", byUser(token.body["user_token"].(string), "pc", nil)), http.StatusCreated, "")
		s.refused(check("pc"), 400, "missing_parameters") // both sit there
		w.inUse(id, 1)
	})
}

func TestLicenseSpringUsers(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.studio()
		s := w.licenseSpring("")
		ada := w.ada("")
		id, key := w.assigned(ada)
		call := func(path, hardwareID, more string) *httptest.ResponseRecorder {
			return s.ask(http.MethodPost, path, fmt.Sprintf(
				`{"product":"studio","username":"Ada@example.com","hardware_id":%q%s}`, hardwareID, more))
		}
		check := func(hardwareID string) *httptest.ResponseRecorder {
			return s.ask(http.MethodGet,
				"check_license?product=studio&username=Ada%40example.com&hardware_id="+hardwareID, "")
		}
		s.refused(call("activate_license", "pc", ""), 400, "missing_parameters")
		s.refused(check("pc"), 400, "missing_parameters")
		s.refused(call("activate_license", "pc", `,"password":"wrong"`), 400, "invalid_credentials")
		s.refused(s.post("activate_license", key, "pc", ""), 400, "license_not_found") // another product
		made := s.object(call("activate_license", "pc", `,"password":"`+thePassword+`"`))
		s.verify("pc#ada@example.com#", made["license_signature"].(string))
		both := call("activate_license", "pc", `,"license_key":"others","password":"`+thePassword+`"`)
		s.verify("pc#ada@example.com#", s.object(both)["license_signature"].(string))
		if made["license_key"] != nil || made["user"].(map[string]any)["email"] != "Ada@example.com" {
			t.Errorf("activated: %v", made)
		}
		s.object(check("pc"))
		s.refused(check("other"), 400, "missing_parameters")
		w.colleague(id, "bob@example.com")
		bob := func(path, more string) *httptest.ResponseRecorder {
			return s.ask(http.MethodPost, path, `{"product":"studio","username":"bob@example.com","hardware_id":"pc",`+
				`"password":"`+thePassword+`"`+more+`}`)
		}
		s.refused(bob("activate_license", ""), 400, "device_of_another_user")
		s.refused(bob("deactivate_license", ""), 400, "device_not_found")
		s.refused(bob("track_device_variables", `,"variables":{"a":"b"}`), 400, "device_not_found")
		s.refused(s.ask(http.MethodGet, "get_device_variables?product=studio&username=bob%40example.com&hardware_id=pc"+
			"&password=correct+horse", ""), 400, "device_not_found")
		eve := s.ask(http.MethodGet, "check_license?product=studio&username=eve%40example.com&hardware_id=pc", "")
		s.refused(eve, 400, "missing_parameters")
		licenses := s.ask(http.MethodGet,
			"user_licenses?product=studio&username=Ada%40example.com&password=correct+horse", "")
		if list := s.list(licenses); len(list) != 1 || list[0]["license"].(map[string]any)["id"] != made["id"] {
			t.Errorf("licenses: %s", licenses.Body)
		}
		without := "user_licenses?username=Ada%40example.com&password=correct+horse"
		s.refused(s.ask(http.MethodGet, without, ""), 400, "missing_parameters")
		studio := w.licenseSpring(`,"products":["studio"]`)
		if list := studio.list(studio.ask(http.MethodGet, without, "")); len(list) != 1 {
			t.Errorf("licenses of an integration for one product: %v", list)
		}
		s.word(s.ask(http.MethodPost, "change_password", `{"product":"studio","username":"Ada@example.com",`+
			`"password":"`+thePassword+`","new_password":"battery staple"}`), "password_changed")
		s.word(call("deactivate_license", "pc", ""), "license_deactivated")
		w.inUse(id, 0)
	})
}

// TestLicenseSpringFeatureOfALicenseThatChanged: what is counted is what is answered, also by a process that has not
// learned of the change that allows it.
func TestLicenseSpringFeatureOfALicenseThatChanged(t *testing.T) {
	for name, more := range map[string]string{
		"it got a counter": `"name":"Export"`,
		"it was renewed":   `"counter":"exports","expires_at":"AT"`,
	} {
		t.Run(name, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				s := w.licenseSpring("")
				late := *s
				late.world = w.replicaOn(deafBus{w.bus.Bus})
				id, key := w.with(`"license_type":"consumption","counters":[{"name":"exports","limit":5}],` +
					`"entitlements":[{"code":"export",` + strings.ReplaceAll(more, "AT", w.at(time.Hour)) + `}]`)
				s.object(s.post("activate_license", key, "pc", ""))
				w.clock.Advance(2 * time.Hour)
				late.object(late.get("check_license", key, "pc"))
				w.must(w.manage(http.MethodPut, "/"+id+"/entitlements/export", `{"counter":"exports"}`), http.StatusOK)
				got := late.object(late.post("add_feature_consumption", key, "pc", `,"feature":"export"`))
				if got["total_consumptions"] != 1.0 || got["max_consumptions"] != 5.0 {
					t.Errorf("consumed: %v", got)
				}
				w.wantUsed(id, "exports", 1)
			})
		})
	}
}
