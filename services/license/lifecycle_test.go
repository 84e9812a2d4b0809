package license_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lifecycle is a license of the service beside what it should be.
type lifecycle struct {
	*world
	id, key string
	seated  map[string]bool
	seats   int
	active  bool
	// suspended and trial are what their names say.
	suspended, trial bool
	start, end       time.Time
	grace            time.Duration
	// told is the last status that came by time and was told of.
	told string
	// leases are by their devices, and until is when they end.
	leases map[string]answer
	until  map[string]time.Time
	// used is what the counter shows.
	used int
	// events are the types of those that should have been published, in their order.
	events []string
}

func (l *lifecycle) status() string {
	switch {
	case !l.active:
		return "inactive"
	case l.suspended:
		return "suspended"
	case l.clock.Now().Before(l.start):
		return "not_started"
	case !l.clock.Now().Before(l.usableUntil()):
		return "expired"
	case !l.clock.Now().Before(l.end):
		return "in_grace"
	}
	return "active"
}

func (l *lifecycle) usableUntil() time.Time { return l.end.Add(l.grace) }

// announce notes what is told of by the first call that meets it.
func (l *lifecycle) announce() {
	for l.active {
		switch status := l.status(); {
		case status == l.told || status == "suspended" || status == "not_started":
			return
		case l.told == "not_started":
			l.told, l.events = "active", append(l.events, "license.started")
		case status == "active":
			return
		default:
			l.told, l.events = status, append(l.events, "license."+status)
		}
	}
}

// moves changes when the license ends, which is told of again then.
func (l *lifecycle) moves(change func()) {
	before := l.usableUntil()
	if change(); l.told != "not_started" && !l.usableUntil().Equal(before) {
		l.told = ""
	}
}

// leased reports whether a device has a lease that has not ended.
func (l *lifecycle) leased(device string) bool { return l.clock.Now().Before(l.until[device]) }

// live counts the leases that have not ended.
func (l *lifecycle) live() (n int) {
	for device := range l.until {
		if l.leased(device) {
			n++
		}
	}
	return n
}

// calls has a device make a call and demands its code, and that of its explanation.
func (l *lifecycle) calls(operation, device, more string, want any) answer {
	l.t.Helper()
	explained := l.explain(as(l.key, device, more+`,"operation":"`+operation+`"`))
	got := l.post(endpoints[operation], as(l.key, device, more))
	if got.body["error_code"] != want || explained.body["error_code"] != want {
		l.t.Fatalf("%s: %s, explained as %v, want %v", operation, got.raw, explained.body["error_code"], want)
	}
	return got
}

// use is the code with which a device is refused the use of the license, nil for none.
func (l *lifecycle) use(device string) any {
	if want := codes[l.status()]; want != nil || l.seated[device] {
		return want
	}
	return "DEVICE_NOT_ACTIVATED"
}

// What all policies of the test say.
const (
	hoursOfGrace = 48
	slots        = 2
	counted      = 5
)

// codes are what a device is answered while the license has a status.
var codes = map[string]any{
	"inactive": "LICENSE_INACTIVE", "suspended": "LICENSE_SUSPENDED", "not_started": "LICENSE_NOT_STARTED",
	"expired": "LICENSE_EXPIRED", "active": nil, "in_grace": nil,
}

var steps = []func(l *lifecycle, device string, n int){
	func(l *lifecycle, device string, _ int) {
		want := codes[l.status()]
		switch {
		case want != nil:
		case l.seated[device]:
			want = "ALREADY_ACTIVATED"
		case len(l.seated) >= l.seats:
			want = "DEVICE_LIMIT_EXCEEDED"
		default:
			l.seated[device] = true
			l.events = append(l.events, "license.activated")
		}
		l.calls("activate", device, "", want)
	},
	func(l *lifecycle, device string, _ int) {
		want := l.use(device)
		if want == nil && !l.leased(device) && l.live() >= slots {
			want = "LEASE_LIMIT_EXCEEDED"
		}
		got := l.calls("lease", device, "", want)
		if want != nil {
			return
		}
		l.leases[device], l.until[device] = got, l.clock.Now().Add(24*time.Hour)
		if end := l.usableUntil(); end.Before(l.until[device]) {
			l.until[device] = end
		}
	},
	func(l *lifecycle, device string, _ int) {
		if l.leased(device) {
			l.want(l.release(l.leases[device]), http.StatusOK, "")
			delete(l.until, device)
		}
	},
	func(l *lifecycle, device string, n int) {
		want, amount := l.use(device), 1+n%3
		switch {
		case want != nil:
		case l.used+amount > counted:
			want = "CONSUMPTION_LIMIT_EXCEEDED"
		default:
			l.used += amount
		}
		l.calls("consume", device, fmt.Sprintf(`,"counter":"exports","amount":%d`, amount), want)
	},
	func(l *lifecycle, _ string, n int) {
		if n%3 == 0 {
			reset := l.manage(http.MethodPost, "/"+l.id+"/counters/exports/reset", `{"reason":"goodwill"}`)
			l.want(reset, http.StatusOK, "")
			l.used = 0
		}
	},
	func(l *lifecycle, _ string, n int) {
		if grace := hoursOf(12 * (n % 5)); grace != l.grace {
			l.update(l.id, fmt.Sprintf(`{"grace_hours":%d}`, int(grace.Hours())))
			l.events = append(l.events, "license.updated")
			l.moves(func() { l.grace = grace })
		}
	},
	func(l *lifecycle, _ string, n int) {
		if n%4 == 0 {
			start := l.clock.Now().Add(hoursOf(12 * n))
			change := fmt.Sprintf(`{"starts_at":%q}`, start.UTC().Format(time.RFC3339))
			if !start.Before(l.end) {
				l.want(l.manage(http.MethodPatch, "/"+l.id, change), http.StatusBadRequest, "VALIDATION_ERROR")
				return
			}
			l.start = start
			l.update(l.id, change)
			l.events, l.told = append(l.events, "license.updated"), "not_started"
		}
	},
	func(l *lifecycle, device string, _ int) {
		if got := l.post("deactivate", as(l.key, device, "")); (got.status == http.StatusOK) != l.seated[device] {
			l.t.Fatalf("deactivate: %s, the device has a seat: %v", got.raw, l.seated[device])
		}
		if l.seated[device] {
			delete(l.seated, device)
			delete(l.until, device)
			l.events = append(l.events, "device.deactivated")
		}
	},
	func(l *lifecycle, _ string, _ int) {
		if !l.suspended {
			l.does("suspend", `{"reason":"unpaid"}`, "license.suspended")
			l.suspended = true
		}
	},
	func(l *lifecycle, _ string, _ int) {
		if l.suspended {
			l.does("reinstate", `{}`, "license.reinstated")
			l.suspended = false
		}
	},
	func(l *lifecycle, _ string, n int) {
		l.does("renew", fmt.Sprintf(`{"days":%d}`, n), "license.renewed")
		l.moves(func() { l.end = l.end.Add(hoursOf(24 * n)) })
	},
	func(l *lifecycle, _ string, n int) {
		if on := n%2 == 0; on != l.active {
			l.update(l.id, fmt.Sprintf(`{"is_active":%v}`, on))
			l.active = on
			l.events = append(l.events, map[bool]string{true: "license.reactivated", false: "license.deactivated"}[on])
		}
	},
	func(l *lifecycle, _ string, n int) {
		if seats := 1 + n%3; seats != l.seats {
			event := "license.updated"
			if l.trial { // it was sold, and its time begins
				event = "license.converted"
				l.moves(func() { l.end = l.clock.Now().Add(30 * 24 * time.Hour) })
			}
			l.does("change-policy", fmt.Sprintf(`{"policy":"seats-%d"}`, seats), event)
			l.seats, l.trial = seats, false
			l.start, l.grace = time.Time{}, hoursOf(hoursOfGrace) // a policy replaces all terms but a running end
		}
	},
	func(l *lifecycle, _ string, _ int) {
		got := l.manage(http.MethodPost, "/"+l.id+"/convert", `{}`)
		if (got.status == http.StatusOK) != l.trial {
			l.t.Fatalf("convert: %s, it is a trial: %v", got.raw, l.trial)
		}
		if l.trial {
			l.trial, l.events = false, append(l.events, "license.converted")
		}
	},
	func(l *lifecycle, _ string, n int) { l.clock.Advance(time.Duration(n) * 36 * time.Hour) },
}

// does asks for an action of an administrator, which is announced once.
func (l *lifecycle) does(action, body, event string) {
	l.t.Helper()
	l.alter(l.id, action, body)
	l.events = append(l.events, event)
}

// agrees compares what the service says with what the license should be.
func (l *lifecycle) agrees() {
	l.t.Helper()
	for _, device := range []string{"a", "b", "c"} {
		want := l.use(device)
		if got := l.post("validate", as(l.key, device, "")); got.body["error_code"] != want ||
			got.body["valid"] != (want == nil) {
			l.t.Fatalf("validate: %s, want %v", got.raw, want)
		}
	}
	l.announce()
	shown := l.get(l.id)
	want := []any{l.status(), l.active, l.trial, float64(l.seats), float64(len(l.seated)),
		l.end.UTC().Format(time.RFC3339)}
	got := []any{
		shown["status"], shown["is_active"], shown["is_trial"], shown["max_devices"], shown["current_devices"],
		shown["expires_at"],
	}
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Fatalf("(-want +got):\n%s", diff)
	}
	leases := l.manage(http.MethodGet, "/"+l.id+"/leases", "").body["leases"].([]any)
	if used := l.counted(l.id, "exports")["used"]; len(leases) != l.live() || used != float64(l.used) {
		l.t.Fatalf("%d leases, want %d; %v used, want %d", len(leases), l.live(), used, l.used)
	}
	for status := range codes {
		ids, _ := l.list(url.Values{"status": {status}, "per_page": {"100"}})
		if slices.Contains(ids, l.id) != (status == l.status()) {
			l.t.Fatalf("the list of %s licenses is wrong about one that is %s", status, l.status())
		}
	}
}

// TestTheLifeOfALicense takes licenses through random steps, and compares all that is told of them with a model after
// each.
func TestTheLifeOfALicense(t *testing.T) {
	eachStillWorld(t, func(w *world) {
		w.unlimitedCalls()
		for seats := 1; seats <= 3; seats++ {
			made := w.policies(http.MethodPost, "",
				fmt.Sprintf(`{"code":"seats-%d","max_devices":%d,"duration_days":30,"grace_hours":%d,`+
					`"floating":{"slots":%d,"lease_seconds":86400},"counters":[{"name":"exports","limit":%d}]}`,
					seats, seats, hoursOfGrace, slots, counted))
			w.want(made, http.StatusCreated, "")
		}
		for seed := range uint64(4) {
			l := lifecycle{
				world:  w,
				seated: map[string]bool{},
				seats:  2,
				active: true,
				trial:  true,
				grace:  hoursOf(hoursOfGrace),
				leases: map[string]answer{},
				until:  map[string]time.Time{},
				events: []string{"license.created"},
			}
			w.clock.Set(w.clock.Now().Truncate(time.Second))
			l.id, l.key = w.with(`"is_trial":true,"policy":"seats-2"`)
			l.end = w.clock.Now().Add(30 * 24 * time.Hour)
			random := rand.New(rand.NewPCG(seed, 2026))
			for range 60 {
				step := steps[random.IntN(len(steps))]
				step(&l, []string{"a", "b", "c"}[random.IntN(3)], 1+random.IntN(20))
				l.agrees()
			}
			var told []string
			err := w.db.Read(t.Context()).
				Raw("SELECT type FROM outbox WHERE subject = ? AND type <> 'audit.recorded' AND "+
					"type NOT LIKE 'license.lease%' AND type NOT LIKE 'license.counter.%' ORDER BY seq", l.id).
				Scan(&told).Error
			if diff := cmp.Diff(l.events, told); err != nil || diff != "" {
				t.Fatalf("events (-want +got):\n%s %v", diff, err)
			}
		}
	})
}
