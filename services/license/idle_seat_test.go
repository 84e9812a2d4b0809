package license_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func TestIdleSeatsAreFreed(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"device_idle_minutes":10,"max_devices":2`)
		for _, hw := range []string{"a", "b"} {
			w.want(w.post("activate", device(key, hw)), http.StatusCreated, "")
		}
		w.passes(9 * time.Minute)
		w.want(w.post("activate", device(key, "c")), http.StatusForbidden, errcode.DeviceLimitExceeded)
		w.passes(time.Minute)
		w.want(w.post("activate", device(key, "c")), http.StatusCreated, "")
		w.inUse(id, 1)
		for _, hw := range []string{"a", "b"} {
			w.want(w.post("validate", device(key, hw)), http.StatusOK, errcode.DeviceNotActivated)
		}
		w.eventually(eventsv1.TypeDeviceCulled)
	})
}

// passes has time pass in which sightings of devices are written.
func (w *world) passes(d time.Duration) {
	w.t.Helper()
	from := w.clock.Now()
	w.clock.Advance(d)
	w.exec(`INSERT INTO seen_periods (began_at, until) VALUES (?, ?)
		ON CONFLICT (began_at) DO UPDATE SET until = excluded.until`, from, w.clock.Now())
}

// TestTimeWithoutSightingsIsNotIdle: no process writes when devices were seen while all are down, the database is away,
// or in maintenance mode, in which devices go on to be validated.
func TestTimeWithoutSightingsIsNotIdle(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"device_idle_minutes":10,"max_devices":1`)
		full := func() {
			w.t.Helper()
			w.want(w.post("activate", device(key, "other")), http.StatusForbidden, errcode.DeviceLimitExceeded)
			w.want(w.explain(as(key, "other", `,"operation":"activate"`)), http.StatusOK, errcode.DeviceLimitExceeded)
			w.inUse(id, 1)
		}
		w.want(w.post("activate", device(key, "desk")), http.StatusCreated, "")
		w.passes(4 * time.Minute)
		w.clock.Advance(48 * time.Hour)
		w.replica() // frees idle seats when it starts
		full()
		w.passes(5 * time.Minute)
		full()
		w.passes(time.Minute)
		w.want(w.post("activate", device(key, "other")), http.StatusCreated, "")
	})
}

// TestWhoGotASeatIsNotIdle, however long the device was not seen before that.
func TestWhoGotASeatIsNotIdle(t *testing.T) {
	same := components("c", "d")
	for name, comes := range map[string]func(w *world, id, key string){
		"by a transfer": func(w *world, id, key string) {
			w.must(w.post("activate", says(key, "back", same)), http.StatusCreated)
			w.deactivate(id, "back")
			w.passes(time.Hour)
			w.must(w.post("activate", device(key, "desk")), http.StatusCreated)
			w.transfer(id, "desk", "back")
		},
		"recognized under another id": func(w *world, _, key string) {
			w.must(w.post("activate", says(key, "desk", same)), http.StatusCreated)
			w.passes(9 * time.Minute)
			w.must(w.post("activate", says(key, "back", same)), http.StatusCreated)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				id, key := w.with(`"device_idle_minutes":10,"max_devices":1,"device_match":"two"`)
				comes(w, id, key)
				w.seen(id, "back")
				w.passes(9 * time.Minute)
				w.want(w.post("activate", device(key, "other")), http.StatusForbidden, errcode.DeviceLimitExceeded)
				w.inUse(id, 1)
			})
		})
	}
}

// seen waits until a device of a license was last seen now.
func (w *world) seen(id, hardwareID string) {
	w.t.Helper()
	testkit.Eventually(w.t, patience, func() error {
		shown := w.manage(http.MethodGet, "/"+id+"/devices", "")
		for _, d := range shown.body["devices"].([]any) {
			d := d.(map[string]any)
			at, err := time.Parse(time.RFC3339, d["last_seen_at"].(string))
			if d["hardware_id"] == hardwareID && err == nil && w.clock.Now().Sub(at) < time.Minute {
				return nil
			}
		}
		return fmt.Errorf("%s was not seen: %s", hardwareID, shown.raw)
	})
}

// TestSeatsOfBorrowersAreNotFreed: who borrowed a lease is not seen until it ends, and runs all the same.
func TestSeatsOfBorrowersAreNotFreed(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"device_idle_minutes":10,"max_devices":1,
			"floating":{"slots":1,"overflow":"refuse","borrow_max_hours":48}`)
		w.want(w.post("activate", device(key, "laptop")), http.StatusCreated, "")
		until := w.clock.Now().Add(24 * time.Hour).Format(time.RFC3339)
		w.want(w.checkOut(key, "laptop", fmt.Sprintf(`"borrow_until":%q`, until)), http.StatusCreated, "")
		w.passes(23 * time.Hour)
		w.want(w.post("activate", device(key, "other")), http.StatusForbidden, errcode.DeviceLimitExceeded)
		w.inUse(id, 1)
		w.passes(time.Hour)
		w.want(w.post("activate", device(key, "other")), http.StatusCreated, "")
	})
}

// TestWhatWasBorrowedAndGivenBackHoldsItsSeat: its device goes on without the server all the same.
func TestWhatWasBorrowedAndGivenBackHoldsItsSeat(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"device_idle_minutes":10,"max_devices":1,"floating":{"slots":1,"borrow_max_hours":48}`)
		w.want(w.post("activate", device(key, "laptop")), http.StatusCreated, "")
		w.want(w.release(w.borrow(key, "laptop", 24)), http.StatusOK, "")
		w.passes(23 * time.Hour)
		w.want(w.post("activate", device(key, "other")), http.StatusForbidden, errcode.DeviceLimitExceeded)
		w.inUse(id, 1)
		w.passes(time.Hour)
		w.want(w.post("activate", device(key, "other")), http.StatusCreated, "")
	})
}
