package license_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
)

// delegate has a partner activate devices on the license.
func (s *subject) delegate() {
	organisation := s.made("/delegated/organisations", map[string]any{"name": s.customer, "credits": 9})
	master := map[string]any{
		"operating_system": "linux", "license_id": s.id, "product": cmp.Or(s.product, "default"),
	}
	path := "/delegated/organisations/" + organisation["organisation"].(string) + "/masters"
	s.master = s.made(path, master)["master_key"].(string)
}

// randomDialectCalls are those of clients of other vendors, who name a device and an address, and by what key they
// call.
var randomDialectCalls = []func(s *subject, c *randomCall) (question map[string]any, ask func() answer){
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		if s.master == "" {
			return nil, nil
		}
		question := map[string]any{
			"license_id": s.id, "hardware_id": c.hardwareID, "operation": "file", "address": c.address,
		}
		return question, func() answer {
			got := s.ask(from(c.remote(), s.public), http.MethodPost, "/activate",
				object("masterOrSlaveKey", s.master, "runtimeKey", c.hardwareID))
			got.body["error"], got.body["error_code"] = got.body["message"], got.body["code"]
			return got
		}
	},
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		return s.ofSprings(c, "activate", nil, func(as *springs, key string) *httptest.ResponseRecorder {
			return as.post("activate_license", key, c.hardwareID, c.clientMembers(nil))
		})
	},
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		return s.ofSprings(c, "validate", nil, func(as *springs, key string) *httptest.ResponseRecorder {
			return as.get("check_license", key, c.hardwareID, "app_ver", c.appVersion, "is_vm", fmt.Sprint(c.isVM))
		})
	},
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		amount := pick(s, 1, 1, 2, -1)
		members := map[string]any{"entitlement": "x", "amount": amount}
		return s.ofSprings(c, "consume", members, func(as *springs, key string) *httptest.ResponseRecorder {
			return as.post("add_feature_consumption", key, c.hardwareID,
				c.clientMembers(map[string]any{"feature": "x", "consumptions": amount}))
		})
	},
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		until := s.in(-1, 1, 3)
		members := map[string]any{"borrow_until": until}
		return s.ofSprings(c, "lease", members, func(as *springs, key string) *httptest.ResponseRecorder {
			return as.post("floating/borrow", key, c.hardwareID,
				c.clientMembers(map[string]any{"borrowed_until": until}))
		})
	},
}

// clientMembers is what a client of LicenseSpring says beside what names the license and the device.
func (c *randomCall) clientMembers(members map[string]any) string {
	all := map[string]any{"app_ver": c.appVersion, "is_vm": c.isVM}
	maps.Copy(all, members)
	return "," + strings.Trim(text(all), "{}")
}

// ofSprings is a call of a client of LicenseSpring, which names no components, and of a floating license takes a slot.
// Users send passwords there, whose check takes too long for this test.
func (s *subject) ofSprings(
	c *randomCall, operation string, members map[string]any,
	call func(as *springs, key string) *httptest.ResponseRecorder,
) (map[string]any, func() answer) {
	if s.email != "" {
		return nil, nil
	}
	as, key := *s.licenseSpring, pick(s, s.key, s.key, cmp.Or(s.enrollment, s.key))
	as.address, as.product = c.remote(), cmp.Or(s.product, "default")
	question := s.springsQuestion(c, operation, members)
	question["license_key"], question["product"] = key, as.product
	return question, func() answer {
		said := s.explained(question)
		got := translated(said, call(&as, key))
		if operation == "validate" && question["operation"] == "lease" && said.body["error_code"] == nil {
			question["operation"] = operation
			if wrong := disagreement(s.explained(question), got); wrong != "" {
				s.fail("after the slot was taken: %s", wrong)
			}
			return answer{status: http.StatusOK}
		}
		return got
	}
}

func (s *subject) springsQuestion(c *randomCall, operation string, members map[string]any) map[string]any {
	question := map[string]any{
		"hardware_id": c.hardwareID, "app_version": c.appVersion, "is_vm": c.isVM, "address": c.address,
		"operation": operation,
	}
	maps.Copy(question, members)
	floating, _ := s.get(s.id)["floating"].(map[string]any)
	if operation == "validate" && floating != nil || operation == "activate" && floating["activation"] == "none" {
		question["operation"] = "lease"
	}
	return question
}

func (s *subject) explained(question map[string]any) answer {
	return s.ask(s.admin, http.MethodPost, "/api/v1/admin/explain", text(question))
}

// springsCodes are the words of LicenseSpring for codes; those of others are the same in lower case.
var springsCodes = map[any]string{
	"LICENSE_INACTIVE": "license_not_enabled", "LICENSE_SUSPENDED": "license_not_enabled",
	"PRODUCT_INACTIVE": "disabled_product", "DEVICE_LIMIT_EXCEEDED": "license_activated_max_times",
	"GROUP_LIMIT_EXCEEDED": "license_activated_max_times", "DEVICE_NOT_ACTIVATED": "device_not_found",
	"DEVICE_BLOCKED": "blacklisted", "TRANSFER_LIMIT_EXCEEDED": "max_transfers_reached",
	"ENTITLEMENT_MISSING": "unsupported_product_feature", "ENTITLEMENT_EXPIRED": "product_feature_expired",
	"LEASE_LIMIT_EXCEEDED": "floating_slots_exceeded", "COUNTER_NOT_FOUND": "unsupported_product_feature",
}

// springsOwn are its words that come with reasons of its own.
var springsOwn = map[any][]string{
	"LICENSE_EXPIRED": {"trial_expired"}, "ENVIRONMENT_NOT_ALLOWED": {"vm_not_allowed"},
	"CONSUMPTION_LIMIT_EXCEEDED": {"not_enough_consumptions"},
	"VALIDATION_ERROR":           {"borrow_until_not_valid", "validation_error"},
}

// translated is an answer to a client of LicenseSpring as the main API would have given it, if it agrees with what was
// said of the call before. There, activating again is no refusal, and a product is asked before its licenses.
func translated(said answer, got *httptest.ResponseRecorder) answer {
	code, reason := said.body["error_code"], said.body["error"]
	if said.status == http.StatusOK && code != nil {
		reason = said.failed()["reason"]
	}
	agreed := answer{status: http.StatusBadRequest, body: map[string]any{"error_code": code, "error": reason}}
	if got.Code == http.StatusOK {
		if code == "ALREADY_ACTIVATED" {
			return agreed
		}
		return answer{status: http.StatusOK}
	}
	var body struct{ Code, Message string }
	if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil || code == nil {
		return answer{status: got.Code, raw: got.Body.String(), body: map[string]any{"error_code": body.Code}}
	}
	same := body.Code == cmp.Or(springsCodes[code], strings.ToLower(fmt.Sprint(code))) && body.Message == reason
	if same || slices.Contains(springsOwn[code], body.Code) ||
		body.Code == "disabled_product" && said.fails("product_active") {
		return agreed
	}
	return answer{
		status: got.Code, raw: got.Body.String(), body: map[string]any{"error_code": body.Code, "error": body.Message},
	}
}

// fails reports whether a check of an explanation fails, be it the first that does or not.
func (a answer) fails(name string) bool {
	checks, _ := a.body["checks"].([]any)
	return slices.ContainsFunc(checks, func(c any) bool {
		check := c.(map[string]any)
		return check["check"] == name && check["passed"] == false
	})
}
