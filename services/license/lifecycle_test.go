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
	// suspended, trial and told of its end are what their names say.
	suspended, trial, told bool
	end                    time.Time
	// events are the types of those that should have been published, in their order.
	events []string
}

func (l *lifecycle) status() string {
	switch {
	case !l.active:
		return "inactive"
	case l.suspended:
		return "suspended"
	case !l.clock.Now().Before(l.end):
		return "expired"
	}
	return "active"
}

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
		explained := l.explain(as(l.key, device, `,"operation":"activate"`))
		if got := l.post("activate", as(l.key, device, "")); got.body["error_code"] != want ||
			explained.body["error_code"] != want {
			l.t.Fatalf("activate: %s, explained as %v, want %v", got.raw, explained.body["error_code"], want)
		}
	},
	func(l *lifecycle, device string, _ int) {
		if got := l.post("deactivate", as(l.key, device, "")); (got.status == http.StatusOK) != l.seated[device] {
			l.t.Fatalf("deactivate: %s, the device has a seat: %v", got.raw, l.seated[device])
		}
		if l.seated[device] {
			delete(l.seated, device)
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
		l.end, l.told = l.end.Add(time.Duration(n)*24*time.Hour), false
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
			l.does("change-policy", fmt.Sprintf(`{"policy":"seats-%d"}`, seats), "license.updated")
			l.seats, l.trial = seats, false
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

// does asks for an action of an administrator, which is told of once.
func (l *lifecycle) does(action, body, event string) {
	l.t.Helper()
	l.alter(l.id, action, body)
	l.events = append(l.events, event)
}

// agrees compares what the service says with what the license should be.
func (l *lifecycle) agrees() {
	l.t.Helper()
	for _, device := range []string{"a", "b", "c"} {
		want := codes[l.status()]
		if want == nil && !l.seated[device] {
			want = "DEVICE_NOT_ACTIVATED"
		}
		if got := l.post("validate", as(l.key, device, "")); got.body["error_code"] != want ||
			got.body["valid"] != (want == nil) {
			l.t.Fatalf("validate: %s, want %v", got.raw, want)
		}
	}
	if l.status() == "expired" && !l.told {
		l.told, l.events = true, append(l.events, "license.expired")
	}
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
	for _, status := range []string{"active", "expired", "suspended", "inactive"} {
		ids, _ := l.list(url.Values{"status": {status}, "per_page": {"100"}})
		if slices.Contains(ids, l.id) != (status == l.status()) {
			l.t.Fatalf("the list of %s licenses is wrong about one that is %s", status, l.status())
		}
	}
}

// TestTheLifeOfALicense takes licenses through random steps, and compares all that is told of them with a model after
// each.
func TestTheLifeOfALicense(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		for seats := 1; seats <= 3; seats++ {
			made := w.policies(http.MethodPost, "",
				fmt.Sprintf(`{"code":"seats-%d","max_devices":%d,"duration_days":30}`, seats, seats))
			w.want(made, http.StatusCreated, "")
		}
		for seed := range uint64(4) {
			l := lifecycle{
				world:  w,
				seated: map[string]bool{},
				seats:  2,
				active: true,
				trial:  true,
				events: []string{"license.created"},
			}
			w.clock.Set(w.clock.Now().Truncate(time.Second))
			l.id, l.key = w.with(`"is_trial":true,"policy":"seats-2"`)
			l.end = w.clock.Now().Add(30 * 24 * time.Hour)
			random := rand.New(rand.NewPCG(seed, 2026))
			for range 40 {
				step := steps[random.IntN(len(steps))]
				step(&l, []string{"a", "b", "c"}[random.IntN(3)], 1+random.IntN(20))
				l.agrees()
			}
			var told []string
			err := w.db.Read(t.Context()).
				Raw("SELECT type FROM outbox WHERE subject = ? AND type <> 'audit.recorded' ORDER BY seq", l.id).
				Scan(&told).Error
			if diff := cmp.Diff(l.events, told); err != nil || diff != "" {
				t.Fatalf("events (-want +got):\n%s %v", diff, err)
			}
		}
	})
}
