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
)

// Two settings of TestRandomLicenses: how many licenses it tries, and which. A run that fails names the latter.
const (
	envLicenses = "LATCHKEY_TEST_LICENSES"
	envSeed     = "LATCHKEY_TEST_SEED"
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
// explanations, the license as it is shown, and the lists by status agree about it.
func TestRandomLicenses(t *testing.T) {
	seed := setting(t, envSeed, 1)
	eachEngine(t, func(t *testing.T, d *db.DB) {
		licenses := setting(t, envLicenses, enough)
		if d.Engine() == db.Postgres {
			licenses /= 4
		}
		w := randomWorld(t, d)
		springs := w.licenseSpring("")
		answered := map[any]int{}
		for i := range licenses {
			s := subject{
				world: w, licenseSpring: springs, Rand: rand.New(rand.NewPCG(seed, i)),
				customer: fmt.Sprintf("customer-%d", i),
			}
			s.story = []string{fmt.Sprintf("license %d of %s=%d:", i, envSeed, seed)}
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

const (
	// enough is the number of random licenses without a setting.
	enough = 160
	// kinds is how many different codes so many answer with at least.
	kinds = 25
)

// randomWorld is a world where no job runs, with policies. It checks no document, because thousands of calls are made
// there.
func randomWorld(t *testing.T, d *db.DB) *world {
	w := newStillWorld(t, d, withCountries(t, map[string]string{"192.0.2.0/24": "DE", "198.51.100.0/24": "FR"}))
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
	for range 6 {
		question, ask := pick(s, slices.Concat(randomCalls, randomDialectCalls)...)(s, c)
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

// beforeStatus are refusals for what comes before the license itself is asked, whatever its status.
var beforeStatus = []any{
	"LICENSE_NOT_FOUND", "ENROLLMENT_KEY_INVALID", "HARDWARE_ID_NOT_UNIQUE", "INVALID_CREDENTIALS", "USER_LOCKED",
	"USER_NOT_ASSIGNED", "LEASE_EXPIRED", "LEASE_RELEASED", "LEASE_EVICTED",
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
