package license_test

import (
	"maps"
	"net/http"
)

// randomCall is who calls, by what, and from where.
type randomCall struct {
	// call are the members of each call, question those of its explanation.
	call, question map[string]any
	hardwareID     string
	address        string
	appVersion     string
	isVM           bool
}

func (s *subject) newCall() *randomCall {
	c := &randomCall{
		hardwareID: pick(s, "a", "a", "a", "b", "b", "c", "a2", "None"),
		address:    pick(s, "192.0.2.1", "198.51.100.7", "203.0.113.9"),
		appVersion: pick(s, "", "1.0", "2.5"), isVM: s.oneIn(5),
	}
	client := map[string]any{"hardware_id": c.hardwareID, "app_version": c.appVersion, "is_vm": c.isVM}
	if s.oneIn(2) {
		disks := map[string]string{"a": "disk-1", "a2": "disk-1", "b": "disk-2"}
		client["components"] = map[string]any{"cpu": "cpu-1", "disk": disks[c.hardwareID]}
	}
	s.some(8, client, "product", "default", "product-of-"+s.customer)
	c.call, c.question = maps.Clone(client), client
	c.question["address"] = c.address
	s.names(c)
	return c
}

// names says by which members the call names the license, and who has signed in.
func (s *subject) names(c *randomCall) {
	by := pick(s, s.key, s.key, s.key, s.oldKey, s.enrollment)
	if by == "" {
		by = s.key
	}
	if s.email != "" && !s.oneIn(5) {
		c.call["user_token"], c.question["user"] = s.token, s.email
		switch s.IntN(3) {
		case 0:
			c.call["license_id"], c.question["license_id"] = s.id, s.id
			return
		case 1:
			c.question["license_id"] = s.id // the only one that the user may have
			return
		}
	}
	c.call["license_key"], c.question["license_key"] = by, by
}

// with are the bodies of a call and of the question about it, with members that both have.
func (c *randomCall) with(operation string, members map[string]any) (call, question map[string]any) {
	call, question = maps.Clone(c.call), maps.Clone(c.question)
	maps.Copy(call, members)
	maps.Copy(question, members)
	question["operation"] = operation
	return call, question
}

// byDevice is the question for a call by a token of the device, which names the license by its id.
func (s *subject) byDevice(c *randomCall, operation string) map[string]any {
	return map[string]any{
		"license_id": s.id, "hardware_id": c.hardwareID, "operation": operation, "app_version": c.appVersion,
		"is_vm": c.isVM, "address": c.address,
	}
}

func (c *randomCall) remote() string { return c.address + ":1234" }

func (s *subject) posts(c *randomCall, endpoint string, body map[string]any, headers ...string) func() answer {
	return func() answer {
		return s.ask(from(c.remote(), s.public), http.MethodPost, "/api/v1/license/"+endpoint, bodyOf(body),
			append([]string{"X-API-Key", s.auth.apiKey}, headers...)...)
	}
}

// randomCalls are the calls of devices; a call that is nil cannot be made now.
var randomCalls = []func(s *subject, c *randomCall) (question map[string]any, ask func() answer){
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		members := map[string]any{}
		s.some(4, members, "require_entitlements", []string{"x"}, []string{"y"}, []string{"x", "y"})
		s.some(3, members, "consume", map[string]any{"exports": 1}, map[string]any{"exports": 2})
		call, question := c.with("validate", members)
		return question, s.posts(c, "validate", call)
	},
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		call, question := c.with("activate", nil)
		return question, s.posts(c, "activate", call)
	},
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		members := map[string]any{"amount": pick(s, 1, 1, 2, -1)}
		members[pick(s, "counter", "entitlement")] = pick(s, "exports", "x")
		call, question := c.with("consume", members)
		return question, s.posts(c, "consume", call)
	},
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		members := map[string]any{"session_id": pick(s, "one", "two")}
		s.some(3, members, "entitlement", "x", "y")
		s.some(4, members, "borrow_until", s.in(-1, 1, 3))
		call, question := c.with("lease", members)
		return question, func() answer {
			got := s.posts(c, "leases", call)()
			if got.status < http.StatusMultipleChoices {
				s.lease, s.leaseHardware = got, c.hardwareID
			}
			return got
		}
	},
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		call, question := c.with("file", nil)
		return question, s.posts(c, "license-file", call)
	},
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		question := s.byDevice(c, "token")
		if s.email != "" && !s.oneIn(5) {
			question["user_token"] = s.token
		}
		return question, func() answer { return s.checkDevice(question) }
	},
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		if s.email != "" {
			return nil, nil // whose user is that of the seat, whoever has signed in
		}
		question := s.byDevice(c, "token")
		beat := map[string]any{"app_version": c.appVersion, "is_vm": c.isVM}
		return question, s.posts(c, "heartbeat", beat, s.bearer(s.id, c.hardwareID)...)
	},
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		if s.lease.body == nil {
			return nil, nil
		}
		question := map[string]any{
			"license_id": s.id, "hardware_id": s.leaseHardware, "operation": "lease", "address": c.address,
			"lease_id": s.lease.body["lease_id"],
		}
		return question, s.posts(c, "leases/"+s.lease.body["lease_id"].(string)+"/renew", nil,
			"Authorization", "Bearer "+s.lease.body["lease_token"].(string))
	},
}
