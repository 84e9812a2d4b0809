package license_test

import (
	"cmp"
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// springs is a client of the LicenseSpring API, written from its documentation.
type springs struct {
	*world
	integration, apiKey, sharedKey string
	public                         *rsa.PublicKey
	// address is where the calls come from, empty for 192.0.2.1; product is that of the application, empty for default.
	address, product string
}

// springs makes an integration; members are more of its JSON.
func (w *world) licenseSpring(members string) *springs {
	w.t.Helper()
	made := w.integrations(http.MethodPost, "",
		`{"name":"Desktop","rate_limit":{"per_minute":0,"per_hour":0}`+members+`}`)
	w.must(made, http.StatusCreated)
	return w.springsOf(made)
}

// springsOf is a client with the keys of an integration that was made.
func (w *world) springsOf(made answer) *springs {
	w.t.Helper()
	block, _ := pem.Decode([]byte(made.body["public_key_pem"].(string)))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		w.t.Fatal(err)
	}
	return &springs{
		world: w, integration: made.body["id"].(string), apiKey: made.body["api_key"].(string),
		sharedKey: made.body["shared_key"].(string), public: key.(*rsa.PublicKey),
	}
}

func (s *springs) hmac(text string) string {
	mac := hmac.New(sha256.New, []byte(s.sharedKey))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// ask sends a signed call; headers are more of them.
func (s *springs) ask(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	req := httptest.NewRequest(method, "/api/v4/"+path, strings.NewReader(body))
	date := s.clock.Now().UTC().Format(http.TimeFormat)
	req.Header.Set("Date", date)
	req.Header.Set("Authorization", fmt.Sprintf(`algorithm="hmac-sha256",headers="date",signature="%s",apikey="%s"`,
		s.hmac("licenseSpring\ndate: "+date), s.apiKey))
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if s.address != "" {
		req.RemoteAddr = s.address
	}
	rec := httptest.NewRecorder()
	if strings.HasPrefix(path, "nowhere") {
		s.engine.ServeHTTP(rec, req) // not documented
	} else {
		s.world.public.ServeHTTP(rec, req)
	}
	return rec
}

// get and post send what names a license and a device, with more members.
func (s *springs) get(path, key, hardwareID string, more ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	q := url.Values{"product": {cmp.Or(s.product, "default")}, "license_key": {key}, "hardware_id": {hardwareID}}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return s.ask(http.MethodGet, path+"?"+q.Encode(), "")
}

func (s *springs) post(path, key, hardwareID, more string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.ask(http.MethodPost, path, fmt.Sprintf(`{"product":%q,"license_key":%q,"hardware_id":%q%s}`,
		cmp.Or(s.product, "default"), key, hardwareID, more))
}

// object is the body of a good answer, whose signatures are checked.
func (s *springs) object(rec *httptest.ResponseRecorder) map[string]any {
	s.t.Helper()
	var body map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || rec.Code != http.StatusOK {
		s.t.Fatalf("got %d %s", rec.Code, rec.Body)
	}
	s.verify(rec.Body.String(), map[string][]string(rec.Header())["LicenseSignature"][0])
	return body
}

func (s *springs) verify(text, signature string) {
	s.t.Helper()
	raw, err := base64.StdEncoding.DecodeString(signature)
	digest := sha256.Sum256([]byte(text))
	if err != nil || rsa.VerifyPKCS1v15(s.public, crypto.SHA256, digest[:], raw) != nil {
		s.t.Errorf("the signature is not that of %s", text)
	}
}

// refused reports whether an answer is a refusal in the form that the clients expect.
func (s *springs) refused(rec *httptest.ResponseRecorder, status int, code string) {
	s.t.Helper()
	var body map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || len(body) != 3 || body["message"] == "" ||
		rec.Code != status || body["status"] != float64(status) || body["code"] != code {
		s.t.Errorf("got %d %s, want %d %s", rec.Code, rec.Body, status, code)
	}
}

func (s *springs) word(rec *httptest.ResponseRecorder, want string) {
	s.t.Helper()
	if rec.Code != http.StatusOK || rec.Body.String() != want {
		s.t.Errorf("got %d %s, want %s", rec.Code, rec.Body, want)
	}
}

func TestLicenseSpringStory(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.with(`"max_devices":1,"expires_at":"2099-06-15T00:00:00Z","features":["export"],` +
			`"metadata":{"b":1.0,"2":"two","1":"one","t":"<&\u2028"}`)
		s.refused(s.get("check_license", key, "PC-1"), 400, "device_not_found")
		made := s.object(s.post("activate_license", key, "PC-1", `,"hostname":"desk","app_ver":"1.0","is_vm":false,`+
			`"vm_info":null,"quantity":7,"variables":{"room":"4.12"}`))
		s.verify("pc-1#"+strings.ToLower(key)+"#2099-06-15t00:00:00.000z", made["license_signature"].(string))
		if made["license_type"] != "time-limited" || made["times_activated"] != 1.0 || made["max_activations"] != 1.0 ||
			made["validity_period"] != "2099-06-15T00:00:00.000Z" || made["license_key"] != key {
			t.Errorf("activated: %v", made)
		}
		again := s.object(s.post("activate_license/", key, "PC-1", ""))
		if again["device_id"] != made["device_id"] || again["times_activated"] != 1.0 {
			t.Errorf("activated again: %v", again)
		}
		s.refused(s.post("activate_license", key, "PC-2", ""), 400, "license_activated_max_times")
		checked := s.get("check_license/", key, "PC-1")
		if !strings.Contains(checked.Body.String(), `"metadata":{"1":"one","2":"two","b":1,"t":"<&`+"\u2028"+`"}`) {
			t.Errorf("metadata is not printed as JavaScript does: %s", checked.Body)
		}
		c := s.object(checked)
		if c["license_active"] != true || c["is_borrowed"] != false || c["device_id"] != made["device_id"] ||
			c["product_features"].([]any)[0].(map[string]any)["code"] != "export" {
			t.Errorf("checked: %v", c)
		}
		w.inUse(id, 1)
		s.word(s.post("deactivate_license", key, "PC-1", ""), "license_deactivated")
		w.inUse(id, 0)
		s.refused(s.post("deactivate_license", key, "PC-1", ""), 400, "device_not_found")
		w.want(w.post("activate", device(key, "PC-2")), http.StatusCreated, "") // the main API has the seat now
		s.object(s.get("check_license", key, "PC-2"))
		s.object(s.ask(http.MethodGet, "product_details?product=default", ""))
		if list := s.ask(http.MethodGet, "products", ""); !strings.Contains(
			list.Body.String(), `"short_code":"default"`) {
			t.Errorf("products: %s", list.Body)
		}
	})
}

func TestLicenseSpringRefuses(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.with(`"max_devices":1,"is_trial":true,"expires_in_days":1`)
		s.refused(s.ask(http.MethodPost, "activate_license", ""), 400, "missing_parameters")
		s.refused(s.ask(http.MethodPost, "activate_license", "{"), 400, "invalid_json")
		s.refused(s.ask(http.MethodPost, "activate_license", `{"product":7}`), 400, "validation_error")
		s.refused(s.ask(http.MethodPost, "activate_license", `{"product":"nope"}`), 400, "unknown_product")
		s.refused(s.post("activate_license", key, "", ""), 400, "missing_hardware_id")
		s.refused(s.post("activate_license", "", "pc", ""), 400, "license_key_required")
		s.refused(s.post("activate_license", "LIC-NOBODY", "pc", ""), 400, "license_not_found")
		s.refused(s.post("activate_license", key, "pc", `,"hostname":"`+strings.Repeat("x", 256)+`"`), 400,
			"validation_error")
		s.refused(s.post("activate_license", key, "a\nb", ""), 400, "validation_error")
		s.refused(s.get("check_license", key, "pc", "is_vm", "maybe"), 400, "validation_error")
		s.refused(s.ask(http.MethodPost, "activate_license", strings.Repeat(" ", 1<<20)), 413, "payload_too_large")
		s.refused(s.ask(http.MethodGet, "nowhere", ""), 404, "not_found")
		s.refused(s.ask(http.MethodPost, "nowhere/", ""), 404, "not_found")
		wrongMethod := httptest.NewRecorder()
		w.engine.ServeHTTP(wrongMethod, httptest.NewRequest(http.MethodGet, "/api/v4/activate_license", nil))
		s.refused(wrongMethod, 405, "method_not_allowed")
		s.object(s.post("activate_license", key, "pc", ""))
		w.alter(id, "suspend", `{"reason":"x"}`)
		s.refused(s.get("check_license", key, "pc"), 400, "license_not_enabled")
		w.alter(id, "reinstate", "")
		w.clock.Advance(25 * time.Hour)
		s.refused(s.get("check_license", key, "pc"), 400, "trial_expired")
	})
}

func TestLicenseSpringSignatures(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		_, key := w.create(1, 0)
		check := func(headers ...string) *httptest.ResponseRecorder {
			return s.ask(http.MethodGet, "check_license?product=default&hardware_id=pc&license_key="+key, "",
				headers...)
		}
		other := w.licenseSpring("")
		old := w.clock.Now().Add(-16 * time.Minute).UTC().Format(http.TimeFormat)
		sign := func(apiKey, date, signature string) []string {
			return []string{"Date", date, "Authorization",
				`algorithm="hmac-sha256", headers="date", signature="` + signature + `", apiKey="` + apiKey + `"`}
		}
		now := w.clock.Now().UTC().Format(http.TimeFormat)
		good := s.hmac("licenseSpring\ndate: " + now)
		s.refused(check(sign(s.apiKey, now, good)...), 400, "device_not_found")
		s.refused(check(sign(s.apiKey, old, s.hmac("licenseSpring\ndate: "+old))...), 400, "date_header_diff")
		for _, wrong := range []string{good[:10], other.hmac("licenseSpring\ndate: " + now), s.hmac(now), "x"} {
			s.refused(check(sign(s.apiKey, now, wrong)...), 400, "signature_mismatch")
		}
		s.refused(check(sign("unknown", now, good)...), 400, "invalid_api_key")
		s.refused(check("Authorization", ""), 400, "missing_headers")

		read := w.licenseSpring(`,"read_only":true`)
		s.refused(read.post("activate_license", key, "pc", ""), 400, "read_only_api_key")
		s.refused(read.get("check_license", key, "pc"), 400, "device_not_found")
		w.want(w.products(http.MethodPost, "", `{"code":"editor"}`), http.StatusCreated, "")
		bound := w.licenseSpring(`,"products":["editor"]`)
		s.refused(bound.get("check_license", key, "pc"), 400, "api_key_product_not_allowed")
		s.refused(bound.get("check_license", key, "pc", "product", "editor"), 400, "license_not_found")

		rotated := w.integrations(http.MethodPost, "/"+s.integration+"/rotate", `{"overlap_hours":1}`)
		w.want(rotated, http.StatusOK, "")
		s.refused(check(), 400, "device_not_found")
		w.clock.Advance(time.Hour)
		s.refused(check(), 400, "revoked_api_key")
		s.apiKey, s.sharedKey = rotated.body["api_key"].(string), rotated.body["shared_key"].(string)
		s.refused(check(), 400, "device_not_found")
		w.want(w.integrations(http.MethodDelete, "/"+s.integration, ""), http.StatusOK, "")
		s.refused(check(), 400, "revoked_api_key")
	})
}

func TestLicenseSpringLimits(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		made := w.integrations(http.MethodPost, "", `{"name":"small","rate_limit":{"per_minute":2}}`)
		s.apiKey, s.sharedKey = made.body["api_key"].(string), made.body["shared_key"].(string)
		for range 2 {
			s.object(s.ask(http.MethodGet, "product_details?product=default", ""))
		}
		limited := s.ask(http.MethodGet, "product_details?product=default", "")
		s.refused(limited, 429, "rate_limit_exceeded")
		if limited.Header().Get("Retry-After") == "" || limited.Header().Get("X-RateLimit-Limit") != "2" {
			t.Errorf("headers: %v", limited.Header())
		}
		pem := s.ask(http.MethodGet, "public_key", "")
		if !strings.HasPrefix(pem.Body.String(), "-----BEGIN PUBLIC KEY-----") {
			t.Errorf("public key: %s", pem.Body)
		}
	})
}
