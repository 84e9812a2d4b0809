package license_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
)

// subject is a license with random terms of a random product, and what there is to call it by.
type subject struct {
	*world
	*rand.Rand
	licenseSpring         *springs
	id, product, customer string
	// key is the license key, oldKey the one before it was rotated, enrollment an enrollment key: empty for none.
	key, oldKey, enrollment string
	// email and token are of a user of the product, empty for a product without users.
	email, token, userID string
	// lease is the last one that was granted, and leaseHardware the device that has it.
	lease         answer
	leaseHardware string
	// master is a delegated key for the license, empty for none.
	master string
	// story is what was done and answered, for a failed run.
	story []string
}

func pick[T any](s *subject, values ...T) T { return values[s.IntN(len(values))] }

func (s *subject) oneIn(n int) bool { return s.IntN(n) == 0 }

// some sets a member to one of the values, in one of n cases.
func (s *subject) some(n int, object map[string]any, member string, values ...any) {
	if s.oneIn(n) {
		object[member] = pick(s, values...)
	}
}

// in is an instant in some hours, on the grid on which the clock moves too: they often meet.
func (s *subject) in(hours ...int) string { return s.at(hoursOf(pick(s, hours...))) }

// does asks for a change at admin, which may be refused, but not fail.
func (s *subject) does(method, path string, body map[string]any) answer {
	s.t.Helper()
	got := s.ask(s.admin, method, "/api/v1/admin"+path, bodyOf(body))
	s.story = append(s.story, fmt.Sprintf("%s %s: %s %s -> %d", s.clock.Now().UTC().Format("01-02 15:04"), method,
		path, bodyOf(body), got.status))
	if got.status >= http.StatusInternalServerError || got.status == http.StatusMethodNotAllowed ||
		got.body["error_code"] == "NOT_FOUND" {
		s.fail("%s", got.raw)
	}
	return got
}

// made is does for what must be made.
func (s *subject) made(path string, body map[string]any) map[string]any {
	s.t.Helper()
	got := s.does(http.MethodPost, path, body)
	if got.status != http.StatusCreated {
		s.fail("%s", got.raw)
	}
	return got.body
}

// bodyOf is a JSON object, empty for none.
func bodyOf(members map[string]any) string {
	if members == nil {
		return ""
	}
	return text(members)
}

func (s *subject) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(s.story, "\n"))
}

// create makes the license with all that it belongs to.
func (s *subject) create() {
	s.createProduct()
	terms := s.terms()
	if s.product != "" {
		terms["product"] = s.product
	}
	if s.oneIn(8) {
		group := map[string]any{"name": s.customer, "max_devices": pick(s, 1, 2)}
		terms["group_id"] = s.made("/groups", group)["group_id"]
	}
	license := s.made("/licenses", terms)
	s.id, s.key = license["license_id"].(string), license["license_key"].(string)
	if s.email != "" && !s.oneIn(4) {
		s.does(http.MethodPut, "/licenses/"+s.id+"/users/"+s.userID, nil)
	}
	if s.oneIn(6) {
		key := map[string]any{"label": "room"}
		s.some(2, key, "max_devices", 1, 2)
		s.some(3, key, "expires_at", s.in(1, 3))
		s.enrollment = s.made("/licenses/"+s.id+"/enrollment-keys", key)["enrollment_key"].(string)
	}
	if s.oneIn(4) {
		s.delegate()
	}
}

func (s *subject) createProduct() {
	if s.oneIn(2) {
		return // the default one
	}
	s.product = "product-of-" + s.customer
	product := map[string]any{"code": s.product}
	s.some(4, product, "min_version", "2.0")
	s.some(4, product, "authorization_method", "user")
	s.made("/products", product)
	if s.oneIn(2) {
		s.made("/products/"+s.product+"/releases", map[string]any{"version": "2.5", "released_at": s.in(-1, 1)})
	}
	if product["authorization_method"] == nil {
		return
	}
	s.email = s.customer + "@example.com"
	user := map[string]any{
		"product": s.product, "customer_id": s.customer, "email": s.email, "initial_password": thePassword,
	}
	s.some(2, user, "max_devices", 1, 2)
	s.userID = s.made("/users", user)["user_id"].(string)
	s.signIn()
}

func (s *subject) signIn() {
	s.t.Helper()
	body := map[string]any{"product": s.product, "email": s.email, "password": thePassword}
	got := s.post("users/sign-in", text(body))
	s.want(got, http.StatusOK, "")
	s.token = got.body["user_token"].(string)
}

// terms are those of the license: every member of the terms has its turn. One license in six is plain.
func (s *subject) terms() map[string]any {
	terms := map[string]any{"customer_id": s.customer, "max_devices": pick[any](s, nil, 1, 2, 3)}
	if s.oneIn(6) {
		return terms
	}
	s.some(4, terms, "policy", "seats", "metered", "pool")
	s.timeTerms(terms)
	s.deviceTerms(terms)
	s.some(8, terms, "offline_activation", false)
	s.some(4, terms, "max_offline_hours", 1, 24)
	if s.oneIn(2) {
		exports := map[string]any{"name": "exports", "limit": pick[any](s, nil, 0, 1, 3)}
		s.some(3, exports, "overage", 1, nil)
		s.some(3, exports, "allow_negative", true)
		s.some(2, exports, "reset", "daily", "weekly", "monthly", "annually")
		s.some(2, exports, "anchor", "start", "calendar")
		s.some(4, exports, "per_device", true)
		terms["counters"] = []any{exports}
	}
	if s.oneIn(2) {
		terms["entitlements"] = s.entitlements(terms["counters"] != nil)
	}
	if s.oneIn(2) {
		floating := map[string]any{"slots": pick(s, 1, 1, 2), "activation": pick(s, "none", "required")}
		s.some(2, floating, "lease_seconds", 600, 3600, 7200)
		s.some(3, floating, "overflow", "evict_oldest", "refuse")
		s.some(2, floating, "borrow_max_hours", 2, 48)
		terms["floating"] = floating
	}
	return terms
}

func (s *subject) timeTerms(terms map[string]any) {
	s.some(6, terms, "license_type", "subscription", "consumption")
	s.some(6, terms, "is_trial", true)
	s.some(4, terms, "timezone", "Europe/Berlin", "America/New_York", "Pacific/Auckland")
	s.some(3, terms, "grace_hours", 1, 2, 48)
	s.some(8, terms, "starts_at", s.in(-1, 0, 1, 3))
	s.some(6, terms, "maintenance_until", s.in(-1, 0, 1))
	switch s.IntN(4) {
	case 0:
		terms["expires_at"] = s.in(1, 2, 24)
		if terms["starts_at"] != nil {
			terms["expires_at"] = s.in(4, 24)
		}
	case 1:
		terms["starts"] = pick(s, "first_activation", "creation")
		terms[pick(s, "duration_days", "duration_months")] = 1
	}
}

func (s *subject) deviceTerms(terms map[string]any) {
	s.some(4, terms, "device_match", "any", "two", "most", "all")
	s.some(6, terms, "device_idle_minutes", 10, 120)
	s.some(4, terms, "transfer_limit", 0, 1)
	s.some(6, terms, "new_devices", map[string]any{"limit": pick(s, 1, 2), "window_hours": 2})
	s.some(6, terms, "prevent_vm", true)
	s.some(6, terms, "networks", map[string]any{"allow": []string{"192.0.2.0/24"}},
		map[string]any{"deny": []string{"198.51.100.0/24"}})
	s.some(6, terms, "countries", map[string]any{"deny": []string{"DE"}}, map[string]any{"allow": []string{"DE"}})
}

func (s *subject) entitlements(counted bool) (list []any) {
	for _, code := range []string{"x", "y"} {
		if s.oneIn(3) {
			continue
		}
		e := map[string]any{"code": code}
		s.some(2, e, "expires_at", s.in(-1, 0, 1, 2))
		if counted {
			s.some(2, e, "counter", "exports")
		}
		s.some(3, e, "slots", 1)
		list = append(list, e)
	}
	return list
}

// happenings are what befalls a license between the calls of its devices.
var happenings = []func(s *subject){
	func(s *subject) {
		suspension := map[string]any{"reason": "unpaid"}
		s.some(2, suspension, "until", s.in(1, 2))
		s.alters("/suspend", suspension)
	},
	func(s *subject) { s.alters("/reinstate", nil) },
	func(s *subject) { s.changes(map[string]any{"is_active": s.oneIn(2)}) },
	func(s *subject) { s.changes(map[string]any{"is_active": true}) },
	func(s *subject) { s.changes(map[string]any{"expires_at": pick[any](s, nil, s.in(-1, 0, 1, 3))}) },
	func(s *subject) { s.changes(map[string]any{"grace_hours": pick(s, 0, 1, 2)}) },
	func(s *subject) { s.changes(map[string]any{"starts_at": pick[any](s, nil, s.in(0, 1))}) },
	func(s *subject) { s.changes(map[string]any{"max_devices": pick(s, 1, 2, 9)}) },
	func(s *subject) { s.changes(s.withoutCustomer(s.terms())) },
	func(s *subject) { s.alters("/renew", map[string]any{"days": 1}) },
	func(s *subject) { s.alters("/convert", nil) },
	func(s *subject) { s.alters("/reset-transfers", nil) },
	func(s *subject) {
		s.alters("/change-policy", map[string]any{"policy": pick(s, "seats", "metered", "pool")})
	},
	func(s *subject) {
		if got := s.alters("/rotate-key", map[string]any{"overlap_hours": pick(s, 0, 2)}); got.status == 200 {
			s.oldKey, s.key = s.key, got.body["license_key"].(string)
		}
	},
	func(s *subject) {
		s.alters("/devices/deactivate", map[string]any{"hardware_id": pick(s, "a", "b", "c"), "reason": "gone"})
	},
	func(s *subject) {
		move := map[string]any{"from_hardware_id": "a", "to_hardware_id": pick(s, "b", "c")}
		s.some(3, move, "force", true)
		s.alters("/transfer", move)
	},
	func(s *subject) {
		s.alters("/counters/exports/set", map[string]any{"used": pick(s, 0, 1, 3), "reason": "x"})
	},
	func(s *subject) { s.block() },
	func(s *subject) { s.unblock() },
	func(s *subject) {
		if s.product != "" {
			s.does(http.MethodPatch, "/products/"+s.product, map[string]any{"is_active": s.oneIn(2)})
		}
	},
	func(s *subject) {
		if s.email != "" {
			s.does(http.MethodPatch, "/users/"+s.userID, map[string]any{"is_locked": true})
		}
	},
	func(s *subject) {
		if s.email != "" {
			s.does(http.MethodPatch, "/users/"+s.userID, map[string]any{"is_locked": false})
			s.signIn()
		}
	},
}

func (s *subject) alters(action string, body map[string]any) answer {
	s.t.Helper()
	return s.does(http.MethodPost, "/licenses/"+s.id+action, body)
}

func (s *subject) changes(members map[string]any) {
	s.t.Helper()
	s.does(http.MethodPatch, "/licenses/"+s.id, members)
}

// withoutCustomer is what of the members of a new license PATCH takes as well.
func (s *subject) withoutCustomer(terms map[string]any) map[string]any {
	maps.DeleteFunc(terms, func(member string, _ any) bool { return member == "customer_id" || member == "policy" })
	return terms
}

func (s *subject) block() {
	block := map[string]any{"reason": "x"}
	switch s.IntN(3) {
	case 0:
		block["hardware_id"] = pick(s, "a", "b")
	case 1:
		block["network"] = "198.51.100.0/24"
	case 2:
		block["component"] = map[string]any{"name": "disk", "value": pick(s, "disk-1", "disk-2")}
	}
	s.some(2, block, "license_id", s.id)
	s.some(2, block, "until", s.in(1, 2))
	s.does(http.MethodPost, "/blocks", block)
}
