package license_test

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license"
)

// Two settings of TestRandomLicenses: how many licenses it tries, and which. A run that fails names the latter.
const (
	howMany = "LATCHKEY_TEST_LICENSES"
	whose   = "LATCHKEY_TEST_SEED"
)

func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func hoursOf(n int) time.Duration { return time.Duration(n) * time.Hour }

// TestRandomLicenses: whatever the terms and the state of a license, at any instant, all calls of a device, their
// explanations, the license as it is shown, and the lists by status are of one mind about it.
func TestRandomLicenses(t *testing.T) {
	seed := setting(t, whose, 1)
	testkit.EachEngine(t, license.Migrations, func(t *testing.T, d *db.DB) {
		licenses := setting(t, howMany, enough)
		if d.Engine() == db.Postgres {
			licenses /= 4
		}
		w := randomWorld(t, d)
		answered := map[any]int{}
		for i := range licenses {
			s := subject{world: w, Rand: rand.New(rand.NewPCG(seed, i)), customer: fmt.Sprintf("customer-%d", i)}
			s.story = []string{fmt.Sprintf("license %d of %s=%d:", i, whose, seed)}
			s.create()
			s.settle()
			for range 3 {
				s.step(answered)
			}
			s.unblock()
		}
		if len(answered) < kinds && licenses >= enough {
			t.Errorf("only %d kinds of answers: the licenses are not random enough: %v", len(answered), answered)
		}
	})
}

// kinds is how many codes so many random licenses bring about at least.
const kinds, enough = 25, 160

// randomWorld is a world where no job runs, with policies. It checks no document, because thousands of calls are made
// there.
func randomWorld(t *testing.T, d *db.DB) *world {
	w := newStillWorld(t, d)
	w.log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	w.unlimitedCalls()
	w.build()
	w.public, w.admin = w.engine, w.front(ada)
	w.clock.Set(time.Date(2030, time.January, 30, 12, 0, 0, 0, time.UTC))
	for _, policy := range []string{
		`{"code":"seats","max_devices":2,"grace_hours":1,"features":["z"]}`,
		`{"code":"metered","counters":[{"name":"exports","limit":2,"reset":"daily"}]}`,
		`{"code":"pool","floating":{"slots":1,"activation":"none"},"entitlements":[{"code":"x","slots":1}]}`,
	} {
		w.want(w.policies(http.MethodPost, "", policy), http.StatusCreated, "")
	}
	return w
}

// settle gives the device "a" a seat where it gets one, and takes one from "b".
func (s *subject) settle() {
	s.t.Helper()
	c := s.newCall()
	for _, hardwareID := range pick(s, nil, []string{"a"}, []string{"a", "b"}) {
		c.call["hardware_id"], c.question["hardware_id"] = hardwareID, hardwareID
		call, question := c.with("activate", nil)
		s.compare(question, s.posts(c, "activate", call), map[string]any{})
	}
	if s.oneIn(3) {
		s.alters("/devices/deactivate", map[string]any{"hardware_id": pick(s, "a", "b")})
	}
}

// step lets things happen to the license, and then has a device make some calls.
func (s *subject) step(answered map[any]int) {
	s.t.Helper()
	for range s.IntN(3) {
		pick(s, happenings...)(s)
	}
	s.clock.Advance(hoursOf(pick(s, 0, 0, 0, 1, 1, 2, 3, 24)))
	c := s.newCall()
	codes, passed := map[any]bool{}, map[string]any{}
	for range 5 {
		question, ask := pick(s, randomCalls...)(s, c)
		if ask == nil {
			continue
		}
		code := s.compare(question, ask, passed)
		codes[code] = true
		answered[code]++
	}
	s.statusAgrees(codes)
}

// compare explains a call, makes it, and demands that both say the same; passed are the checks of the license alone as
// other calls saw them.
func (s *subject) compare(question map[string]any, ask func() answer, passed map[string]any) (code any) {
	s.t.Helper()
	explained := s.ask(s.admin, http.MethodPost, "/api/v1/admin/explain", text(question))
	called := ask()
	s.story = append(s.story, fmt.Sprintf("%s %s -> %d %v", s.clock.Now().UTC().Format("01-02 15:04"), text(question),
		called.status, called.body["error_code"]))
	if said := disagreement(explained, called); said != "" {
		s.fail("%s", said)
	}
	if explained.status != http.StatusOK {
		return called.body["error_code"]
	}
	for _, c := range explained.body["checks"].([]any) {
		check := c.(map[string]any)
		name := check["check"].(string)
		if !slices.Contains([]string{"active", "not_suspended", "product_active", "started", "not_expired"}, name) ||
			check["passed"] == nil {
			continue
		}
		if before, asked := passed[name]; asked && before != check["passed"] {
			s.fail("two calls see %s otherwise: %s", name, explained.raw)
		}
		passed[name] = check["passed"]
	}
	return called.body["error_code"]
}

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
		hardwareID: pick(s, "a", "a", "a", "b", "b", "c", "a2", "None"), address: pick(s, "192.0.2.1", "198.51.100.7"),
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

func (s *subject) posts(c *randomCall, endpoint string, body map[string]any, headers ...string) func() answer {
	return func() answer {
		from := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.RemoteAddr = c.address + ":1234"
			s.public.ServeHTTP(w, r)
		})
		return s.ask(from, http.MethodPost, "/api/v1/license/"+endpoint, bodyOf(body),
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
				s.lease, s.leaseHardware, s.leaseSess = got, c.hardwareID, members["session_id"].(string)
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
		return question, func() answer { return s.checkDevice(question) }
	},
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		question := s.byDevice(c, "token")
		beat := map[string]any{"app_version": c.appVersion, "is_vm": c.isVM}
		return question, s.posts(c, "heartbeat", beat, s.bearer(s.id, c.hardwareID)...)
	},
	func(s *subject, c *randomCall) (map[string]any, func() answer) {
		if s.lease.body == nil || s.email != "" || s.leaseEnded() {
			return nil, nil
		}
		question := map[string]any{
			"license_id": s.id, "hardware_id": s.leaseHardware, "session_id": s.leaseSess, "operation": "lease",
			"address": c.address,
		}
		return question, s.posts(c, "leases/"+s.lease.body["lease_id"].(string)+"/renew", nil,
			"Authorization", "Bearer "+s.lease.body["lease_token"].(string))
	},
}

// leaseEnded tells whether the last lease is over, and so can be renewed no more.
func (s *subject) leaseEnded() bool {
	live := s.manage(http.MethodGet, "/"+s.id+"/leases", "")
	return !slices.ContainsFunc(live.body["leases"].([]any), func(l any) bool {
		return l.(map[string]any)["lease_id"] == s.lease.body["lease_id"]
	})
}

// beforeStatus are refusals for what comes before the license itself is asked, whatever its status.
var beforeStatus = []any{
	"LICENSE_NOT_FOUND", "ENROLLMENT_KEY_INVALID", "HARDWARE_ID_NOT_UNIQUE", "INVALID_CREDENTIALS", "USER_LOCKED",
	"USER_NOT_ASSIGNED",
}

// statusAgrees compares how the license is shown and listed with how devices were answered.
func (s *subject) statusAgrees(answered map[any]bool) {
	s.t.Helper()
	status := s.get(s.id)["status"].(string)
	for code := range answered {
		allowed := code == codes[status] || slices.Contains(beforeStatus, code) ||
			code == "PRODUCT_INACTIVE" && status != "inactive" && status != "suspended"
		if codes[status] == nil {
			allowed = !slices.Contains(slices.Collect(maps.Values(codes)), code) || code == nil
		}
		if !allowed {
			s.fail("a license that is %s was answered with %v", status, code)
		}
	}
	for _, listed := range []string{status, pick(s, slices.Sorted(maps.Keys(codes))...)} {
		ids, _ := s.list(url.Values{"status": {listed}, "customer_id": {s.customer}})
		if slices.Contains(ids, s.id) != (listed == status) {
			s.fail("a license that is %s is among those that are %s: %v", status, listed, ids)
		}
	}
}
