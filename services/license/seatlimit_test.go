package license_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license"
)

const handedOn = 4

func eachSeatLimitedWorld(t *testing.T, test func(w *world)) {
	testkit.EachEngine(t, license.Migrations, func(t *testing.T, d *db.DB) {
		test(newWorld(t, d, func(c *license.Config) { c.SeatRateLimit = handedOn }))
	})
}

// cycle has a device take a seat and leave it.
func (w *world) cycle(key, hardwareID string) answer {
	w.t.Helper()
	w.post("activate", device(key, hardwareID))
	return w.post("deactivate", device(key, hardwareID))
}

// TestM6SeatsAreHandedOnSoOften: whoever has one seat fills no table by passing it on, and an hour later goes on.
func TestM6SeatsAreHandedOnSoOften(t *testing.T) {
	eachSeatLimitedWorld(t, func(w *world) {
		id, key := w.create(1, 30)
		_, other := w.create(2, 30)
		w.activate(other, "pc")
		before := w.rows()
		for i := range 3 * handedOn {
			got := w.cycle(key, fmt.Sprint("pc-", i))
			switch {
			case i < handedOn:
				w.want(got, http.StatusOK, "")
			case i == handedOn:
				w.want(got, http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
				if got.header.Get("Retry-After") != "3600" {
					w.t.Errorf("%v", got.header)
				}
			default: // the seat is still taken
				w.want(got, http.StatusNotFound, "DEVICE_NOT_FOUND")
			}
		}
		const most = 2*handedOn + 2 // two events of each time, and what is waiting to be sent
		for table, n := range w.rows() {
			if grown := n - before[table]; grown > most {
				w.t.Errorf("%s has %d rows more", table, grown)
			}
		}
		for i := range 2 * handedOn { // others have a limit of their own, by their seats
			w.want(w.cycle(other, fmt.Sprint("pc-", i)), http.StatusOK, "")
		}
		w.deactivate(id, fmt.Sprint("pc-", handedOn)) // administrators have none
		w.activate(key, "pc")
		w.clock.Advance(time.Hour)
		w.want(w.post("deactivate", device(key, "pc")), http.StatusOK, "")
	})
}

// TestM6DevicesAreRenamedSoOften: a device that is recognized under one id after the other leaves as little.
func TestM6DevicesAreRenamedSoOften(t *testing.T) {
	for _, endpoint := range []string{"validate", "activate"} {
		eachSeatLimitedWorld(t, func(w *world) {
			id, key := w.with(`"device_match":"all"`)
			same := components("c", "d")
			w.want(w.post("activate", says(key, "id", same)), http.StatusCreated, "")
			for i := range handedOn {
				if got := w.post(endpoint, says(key, fmt.Sprint("id-", i), same)); got.status >= 300 {
					w.t.Errorf("%d %s", got.status, got.raw)
				}
			}
			before := w.get(id)["version"]
			w.want(w.post(endpoint, says(key, "id-next", same)), http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
			if after := w.get(id)["version"]; after != before {
				w.t.Errorf("version %v became %v", before, after)
			}
			last := w.post("validate", device(key, fmt.Sprint("id-", handedOn-1)))
			if last.body["valid"] != true {
				w.t.Errorf("the id of before: %s", last.raw)
			}
		})
	}
}
