package license_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestLicenseSpringDeviceLicenses: a hardware id alone opens no license, and tells nobody's name.
func TestLicenseSpringDeviceLicenses(t *testing.T) {
	eachWorld(t, func(w *world) {
		s, server := w.licenseSpring(""), w.licenseSpring(`,"server_side":true`)
		_, key := w.with(`"customer_id":"acme","max_devices":1,"metadata":{"secret":"note"}`)
		w.want(w.customers(http.MethodPut, "/acme", `{"name":"Ada Lovelace","email":"ada@example.com"}`),
			http.StatusOK, "")
		s.object(s.post("activate_license", key, "pc", ""))
		if none := s.list(s.ask(http.MethodGet, "device_licenses?hardware_id=other", "")); len(none) != 0 {
			t.Errorf("of another device: %v", none)
		}
		masked := s.ask(http.MethodGet, "device_licenses?hardware_id=pc", "")
		if all := s.list(masked); len(all) != 1 || all[0]["times_activated"] != 1.0 {
			t.Errorf("listed: %v", all)
		}
		for _, secret := range []string{key, "Ada", "Lovelace", "ada@example.com", "acme", "note"} {
			if strings.Contains(masked.Body.String(), secret) {
				t.Errorf("%s is told to anybody: %s", secret, masked.Body)
			}
		}
		whole := server.list(server.ask(http.MethodGet, "device_licenses?hardware_id=pc&product=default", ""))
		if whole[0]["license_key"] != key || whole[0]["customer"].(map[string]any)["email"] != "ada@example.com" {
			t.Errorf("listed: %v", whole)
		}
		s.refused(s.ask(http.MethodGet, "device_licenses", ""), 400, "missing_hardware_id")
		w.want(w.products(http.MethodPost, "", `{"code":"editor"}`), http.StatusCreated, "")
		bound := w.licenseSpring(`,"server_side":true,"products":["editor"]`)
		if all := bound.list(bound.ask(http.MethodGet, "device_licenses?hardware_id=pc", "")); len(all) != 0 {
			t.Errorf("of another product: %v", all)
		}
		s.word(s.post("deactivate_license", key, "pc", ""), "license_deactivated")
		if all := server.list(server.ask(http.MethodGet, "device_licenses?hardware_id=pc", "")); len(all) != 0 {
			t.Errorf("of a device without a seat: %v", all)
		}
	})
}

func TestLicenseSpringCustomerUsers(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.studio()
		s, server := w.licenseSpring(""), w.licenseSpring(`,"server_side":true`)
		_, _ = w.assigned(w.ada(`,"name":"Ada Lovelace","max_devices":3`))
		w.want(w.customers(http.MethodPatch, "/acme", `{"email":"Boss@example.com"}`), http.StatusOK, "")
		path := "customer_license_users?" + url.Values{"product": {"studio"}, "customer": {"boss@example.com"}}.Encode()
		s.refused(s.ask(http.MethodGet, path, ""), 400, "server_side_api_key_required")
		server.object(server.ask(http.MethodPost, "activate_license", fmt.Sprintf(
			`{"product":"studio","username":"ada@example.com","password":%q,"hardware_id":"pc"}`, thePassword)))
		body := server.object(server.ask(http.MethodGet, path, ""))
		w.trialPolicy("try", "default", "") // a stranger cannot hide the customer behind another of the same address
		w.trialPolicy("try-studio", "studio", "")
		server.object(server.trial("default", "boss@example.com"))
		server.object(server.trial("studio", "boss@example.com"))
		if hidden := server.object(server.ask(http.MethodGet, path, "")); len(hidden["users"].([]any)) != 1 ||
			hidden["customer"].(map[string]any)["reference"] != "acme" {
			t.Errorf("listed: %v", hidden)
		}
		users := body["users"].([]any)
		one := users[0].(map[string]any)
		if len(users) != 1 || one["email"] != "Ada@example.com" || one["last_name"] != "Lovelace" ||
			one["max_activations"] != 3.0 || one["total_activations"] != 1.0 || one["initial_password"] != nil ||
			body["customer"].(map[string]any)["reference"] != "acme" {
			t.Errorf("listed: %v", body)
		}
		of := server.list(server.ask(http.MethodGet, "device_licenses?hardware_id=pc", ""))
		if of[0]["user"].(map[string]any)["email"] != "Ada@example.com" || of[0]["license_key"] != nil {
			t.Errorf("of the device: %v", of)
		}
		server.refused(server.ask(http.MethodGet, "customer_license_users?product=studio", ""), 400,
			"missing_parameters")
		server.refused(server.ask(http.MethodGet, "customer_license_users?product=studio&customer=nobody", ""), 400,
			"customer_not_found")
	})
}

// TestLicenseSpringForeignCustomers: an integration for some products is told of no customer of others, not even that
// there is one.
func TestLicenseSpringForeignCustomers(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.studio()
		w.want(w.products(http.MethodPost, "", `{"code":"editor","authorization_method":"user"}`),
			http.StatusCreated, "")
		all := w.licenseSpring(`,"server_side":true`)
		bound := w.licenseSpring(`,"server_side":true,"products":["editor","default"]`)
		w.with(`"customer_id":"licensed","product":"studio"`)
		w.with(`"customer_id":"both","product":"studio"`)
		w.with(`"customer_id":"both"`)
		w.ada("")
		for id, email := range map[string]string{
			"acme": "boss@example.com", "licensed": "licensed@example.com", "both": "both@example.com",
		} {
			w.want(w.customers(http.MethodPatch, "/"+id, fmt.Sprintf(`{"email":%q}`, email)), http.StatusOK, "")
		}
		ask := func(s *springs, product, email string) *httptest.ResponseRecorder {
			return s.ask(http.MethodGet, "customer_license_users?"+
				url.Values{"product": {product}, "customer": {email}}.Encode(), "")
		}
		for _, email := range []string{"boss@example.com", "licensed@example.com"} {
			all.object(ask(all, "editor", email))
			bound.refused(ask(bound, "editor", email), 400, "customer_not_found")
		}
		bound.object(ask(bound, "editor", "both@example.com"))
		for _, id := range []string{"licensed", "acme"} {
			w.want(w.users(http.MethodPost, "", fmt.Sprintf(
				`{"product":"editor","customer_id":%q,"email":"ed@example.com"}`, id)), http.StatusCreated, "")
		}
		for _, email := range []string{"boss@example.com", "licensed@example.com"} {
			bound.object(ask(bound, "editor", email))
		}
	})
}
