package license_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// suite makes a bundle of the products default and editor, and a license of it with so many seats.
func (w *world) suite(seats int) (id, key string) {
	w.t.Helper()
	w.want(w.products(http.MethodPost, "", `{"code":"editor","name":"Editor"}`), http.StatusCreated, "")
	w.want(w.products(http.MethodPost, "", `{"code":"suite","bundle":["default","editor"]}`), http.StatusCreated, "")
	return w.with(fmt.Sprintf(`"product":"suite","max_devices":%d,"features":["export"]`, seats))
}

func codesOf(all []map[string]any) (codes []string) {
	for _, one := range all {
		codes = append(codes, one["product_details"].(map[string]any)["short_code"].(string))
	}
	return codes
}

func TestLicenseSpringBundle(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.suite(1)
		whole := fmt.Sprintf(`{"product":"suite","license_key":%q,"hardware_id":"pc"}`, key)
		made := s.list(s.ask(http.MethodPost, "activate_bundle", whole))
		if codes := fmt.Sprint(codesOf(made)); codes != "[default editor]" || made[0]["times_activated"] != 1.0 {
			t.Errorf("activated %s: %v", codes, made)
		}
		for _, one := range made {
			s.verify("pc#"+strings.ToLower(key)+"#", one["license_signature"].(string))
		}
		w.inUse(id, 1)
		s.refused(s.ask(http.MethodPost, "activate_bundle", strings.Replace(whole, "pc", "other", 1)), 400,
			"license_activated_max_times")
		checked := s.list(s.get("check_bundle", key, "pc", "product", "editor", "bundle_code", "suite"))
		if codes := fmt.Sprint(codesOf(checked)); codes != "[editor default]" || checked[0]["license_active"] != true {
			t.Errorf("checked %s", codes)
		}
		one := s.object(s.get("check_license", key, "pc", "product", "editor", "bundle_code", "suite"))
		if codesOf([]map[string]any{one})[0] != "editor" {
			t.Errorf("checked %v", one)
		}
		s.object(s.get("check_license_feature", key, "pc", "product", "editor", "bundle_code", "suite", "feature",
			"export"))
		s.refused(s.get("check_license", key, "pc", "product", "editor"), 400, "license_not_found")
		s.refused(s.get("check_license", key, "pc", "bundle_code", "editor"), 400, "unknown_bundle")
		s.refused(s.get("check_license", key, "pc", "bundle_code", "nowhere"), 400, "unknown_bundle")
		s.refused(s.get("check_bundle", key, "pc"), 400, "license_not_found")
		w.want(w.products(http.MethodPost, "", `{"code":"apart"}`), http.StatusCreated, "")
		s.refused(s.get("check_license", key, "pc", "product", "apart", "bundle_code", "suite"), 400,
			"product_not_in_bundle")
		w.want(w.products(http.MethodPatch, "/editor", `{"is_active":false}`), http.StatusOK, "")
		if codes := fmt.Sprint(codesOf(s.list(
			s.get("check_bundle", key, "pc", "product", "suite")))); codes != "[default]" {
			t.Errorf("a product that is switched off is shown: %s", codes)
		}
		s.refused(s.get("check_license", key, "pc", "product", "editor", "bundle_code", "suite"), 400,
			"disabled_product")
		w.want(w.products(http.MethodPatch, "/suite", `{"is_active":false}`), http.StatusOK, "")
		s.refused(s.get("check_license", key, "pc", "bundle_code", "suite"), 400, "disabled_product")
		w.want(w.products(http.MethodPatch, "/suite", `{"is_active":true}`), http.StatusOK, "")
		s.word(s.ask(http.MethodPost, "deactivate_bundle", whole), "license_deactivated")
		w.inUse(id, 0)
		_, single := w.create(1, 0)
		s.refused(s.post("activate_bundle", single, "pc", ""), 400, "unknown_bundle")
		bound := w.licenseSpring(`,"products":["editor"]`)
		w.want(w.products(http.MethodPatch, "/editor", `{"is_active":true}`), http.StatusOK, "")
		bound.object(bound.ask(http.MethodPost, "activate_license", fmt.Sprintf(
			`{"product":"editor","bundle_code":"suite","license_key":%q,"hardware_id":"pc"}`, key)))
		for _, body := range []string{whole, strings.Replace(whole, `"suite"`, `"editor","bundle_code":"suite"`, 1)} {
			bound.refused(bound.ask(http.MethodPost, "activate_bundle", body), 400, "api_key_product_not_allowed")
		}
		ofSuite := w.licenseSpring(`,"products":["suite"]`)
		ofSuite.object(ofSuite.get("check_license", key, "pc", "product", "editor", "bundle_code", "suite"))
		ofSuite.refused(ofSuite.get("check_license", key, "pc", "product", "editor"), 400,
			"api_key_product_not_allowed")
	})
}

func TestLicenseSpringBundleOffline(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.suite(1)
		file := s.offline(key, "air", `,"bundle_code":"suite","request_id":"r1"`, true)
		first := s.carry("activate_bundle_offline", file)
		body := s.object(first)
		covered, _, _ := strings.Cut(first.Body.String(), `,"bundle_signature_v2":`)
		s.verify(covered+"}", body["bundle_signature_v2"].(string))
		var parts struct{ Licenses []json.RawMessage }
		if err := json.Unmarshal(first.Body.Bytes(), &parts); err != nil || len(parts.Licenses) != 2 {
			t.Fatalf("%v %s", err, first.Body)
		}
		for _, raw := range parts.Licenses {
			var one map[string]any
			if err := json.Unmarshal(raw, &one); err != nil || one["request_id"] != "r1" {
				t.Fatalf("%v %s", err, raw)
			}
			covered, _, _ := strings.Cut(string(raw), `,"license_signature":`)
			s.verify(covered+"}", one["license_signature_v2"].(string))
		}
		if again := s.carry("activate_bundle_offline", file); again.Body.String() != first.Body.String() {
			t.Errorf("the same request got %d %s", again.Code, again.Body)
		}
		s.refused(s.carry("activate_offline", file), 400, "idempotency_key_reused")
		w.inUse(id, 1)
		s.word(s.carry("deactivate_bundle_offline",
			s.offline(key, "air", `,"bundle_code":"suite","request":"deactivation"`, true)), "license_deactivated")
		w.inUse(id, 0)
		_, single := w.create(1, 0)
		s.refused(s.carry("activate_bundle_offline", s.offline(single, "air", "", true)), 400, "unknown_bundle")
	})
}

// TestLicenseSpringBundleRaces: all products of a bundle are activated, or none.
func TestLicenseSpringBundleRaces(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		w.unlimitedCalls()
		s := w.licenseSpring("")
		id, key := w.suite(7)
		var all sync.WaitGroup
		var seats atomic.Int32
		for i := range 40 {
			all.Go(func() {
				rec := s.ask(http.MethodPost, []string{"activate_bundle", "activate_license"}[i%2], fmt.Sprintf(
					`{"product":"suite","license_key":%q,"hardware_id":"pc-%d"}`, key, i))
				if rec.Code == http.StatusOK {
					seats.Add(1)
				}
			})
		}
		all.Wait()
		if seats.Load() != 7 {
			t.Errorf("%d devices have seats, want 7", seats.Load())
		}
		w.inUse(id, 7)
	})
}

func TestBundlesOfProducts(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.products(http.MethodPost, "", `{"code":"a_b"}`), http.StatusCreated, "")
		w.want(w.products(http.MethodPost, "", `{"code":"aXb"}`), http.StatusCreated, "")
		many := `["` + strings.Repeat(`x","`, 50) + `y"]`
		for _, bundle := range []string{`["nowhere"]`, `["a_b","a_b"]`, `["suite"]`, many, `[""]`, `"a_b"`, `[7]`} {
			w.want(w.products(http.MethodPost, "", `{"code":"suite","bundle":`+bundle+`}`), http.StatusBadRequest,
				errcode.ValidationError)
		}
		made := w.products(http.MethodPost, "", `{"code":"suite","bundle":["a_b"]}`)
		w.want(made, http.StatusCreated, "")
		if fmt.Sprint(made.body["bundle"]) != "[a_b]" {
			t.Errorf("made: %s", made.raw)
		}
		w.want(w.products(http.MethodDelete, "/a_b", ""), http.StatusConflict, errcode.ProductInUse)
		w.want(w.products(http.MethodDelete, "/aXb", ""), http.StatusOK, "")
		for _, bundle := range []string{`["suite"]`, `["nowhere"]`, `null`} {
			w.want(w.products(http.MethodPatch, "/suite", `{"bundle":`+bundle+`}`), http.StatusBadRequest,
				errcode.ValidationError)
		}
		w.want(w.products(http.MethodPost, "", `{"code":"all","bundle":["suite"]}`), http.StatusBadRequest,
			errcode.ValidationError)
		w.want(w.products(http.MethodPatch, "/a_b", `{"bundle":["default"]}`), http.StatusBadRequest,
			errcode.ValidationError)
		if kept := w.products(http.MethodPatch, "/suite",
			`{"name":"Suite"}`); fmt.Sprint(kept.body["bundle"]) != "[a_b]" {
			t.Errorf("changed: %s", kept.raw)
		}
		w.want(w.products(http.MethodPatch, "/suite", `{"bundle":[]}`), http.StatusOK, "")
		w.want(w.products(http.MethodDelete, "/a_b", ""), http.StatusOK, "")
	})
}

// TestLicenseSpringReadOnlySlots: a key that changes nothing tells only devices that have a slot that they may run.
func TestLicenseSpringReadOnlySlots(t *testing.T) {
	eachWorld(t, func(w *world) {
		s, read := w.licenseSpring(""), w.licenseSpring(`,"read_only":true`)
		_, key := w.with(`"max_devices":2,"floating":{"slots":1},"features":["export"]`)
		s.object(s.post("activate_license", key, "pc", ""))
		read.refused(read.get("check_license", key, "pc"), 400, "read_only_api_key")
		read.refused(read.get("check_license_feature", key, "pc", "feature", "export"), 400, "read_only_api_key")
		s.object(s.get("check_license", key, "pc"))
		if c := read.object(read.get("check_license", key, "pc")); c["license_active"] != true {
			t.Errorf("checked: %v", c)
		}
		s.word(s.post("floating/release", key, "pc", ""), "license_released")
		read.refused(read.get("check_license", key, "pc"), 400, "read_only_api_key")
	})
}
