package license_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
)

// mixed is the APIs of two processes, all of which know one license.
type mixed struct {
	*world
	both    []*world
	springs []*springs
}

func newMixed(w *world) *mixed {
	w.unlimitedCalls()
	here := w.licenseSpring("")
	there := *here
	there.world = w.replica()
	return &mixed{world: w, both: []*world{w, there.world}, springs: []*springs{here, &there}}
}

// race makes forty calls at once, in turns by the APIs and at the processes, and counts those that went well, by API.
func (m *mixed) race(apis ...func(process, i int) int) []int {
	m.t.Helper()
	good := make([]atomic.Int32, len(apis))
	m.together(40, http.StatusOK, func(i int) answer {
		api := i % len(apis)
		got := answer{status: apis[api](i/len(apis)%2, i)}
		if got.status == http.StatusOK || got.status == http.StatusCreated {
			good[api].Add(1)
		}
		return got
	})
	counts := make([]int, len(apis))
	for i := range good {
		counts[i] = int(good[i].Load())
	}
	return counts
}

func sum(counts []int) (all int) {
	for _, n := range counts {
		all += n
	}
	return all
}

// The last seats, and the last credits of an organisation, go to as many devices as there are, by whatever API they ask
// and wherever. Only devices with a seat were charged for.
func TestSeatsAndCreditsAreExactThroughAllAPIs(t *testing.T) {
	for _, test := range []struct{ seats, credits int }{{seats: 7, credits: 100}, {seats: 100, credits: 5}} {
		t.Run(fmt.Sprintf("%d seats, %d credits", test.seats, test.credits), func(t *testing.T) {
			eachWorldInTurn(t, func(w *world) {
				m := newMixed(w)
				id, key := w.create(test.seats, 0)
				organisation := w.organisation(test.credits)
				master := w.master(organisation, "linux", `,"license_id":"`+id+`"`).body["master_key"].(string)
				var slaves []string
				for range 10 {
					slaves = append(slaves, w.slaveKey(master))
				}
				in := m.race(
					func(process, i int) int {
						return m.both[process].post("activate", device(key, fmt.Sprint("pc-", i))).status
					},
					func(process, i int) int {
						return m.springs[process].post("activate_license", key, fmt.Sprint("pc-", i), "").Code
					},
					func(process, i int) int { return m.both[process].delegated(master, fmt.Sprint("pc-", i)).status },
					func(process, i int) int {
						return m.both[process].delegated(slaves[i/4], fmt.Sprint("pc-", i)).status
					},
				)
				seated, charged := min(test.seats, 20+min(20, test.credits)), in[2]+in[3]
				if shown := w.seatsTaken(id); sum(in) != seated || shown != float64(seated) {
					t.Errorf("%v got in, %v seats taken, want %d", in, shown, seated)
				}
				used := w.delegation(http.MethodGet, "/organisations/"+organisation, "").body["used_credit"]
				if used != float64(charged) || test.credits < 20 && charged != test.credits {
					t.Errorf("%v credits used for %d devices", used, charged)
				}
			})
		})
	}
}

// A counter lets exactly as much be consumed as its limit says.
func TestACounterIsExactThroughAllAPIs(t *testing.T) {
	const limit = 17
	eachWorldInTurn(t, func(w *world) {
		m := newMixed(w)
		id, key := w.metered(fmt.Sprintf(`[{"name":"consumptions","limit":%d}]`, limit))
		counted := m.race(
			func(process, _ int) int {
				return m.both[process].consume(key, `"counter":"consumptions"`).status
			},
			func(process, _ int) int { return m.springs[process].post("add_consumption", key, "pc", "").Code },
			func(process, i int) int {
				body := fmt.Sprintf(`"consume":{"consumptions":1},"operation_id":"op-%d"`, i)
				return m.both[process].post("validate", with(key, body)).status
			},
		)
		if sum(counted) != limit {
			t.Errorf("%v were counted, want %d in all", counted, limit)
		}
		w.wantUsed(id, "consumptions", limit)
	})
}

// A floating license has never more leases than slots.
func TestSlotsAreExactThroughAllAPIs(t *testing.T) {
	const slots = 7
	eachWorldInTurn(t, func(w *world) {
		m := newMixed(w)
		id, key := w.floating(fmt.Sprintf(`{"slots":%d,"activation":"none"}`, slots))
		leased := m.race(
			func(process, i int) int { return m.both[process].checkOut(key, fmt.Sprint("pc-", i)).status },
			func(process, i int) int {
				return m.springs[process].post("activate_license", key, fmt.Sprint("pc-", i), "").Code
			},
		)
		shown := w.manage(http.MethodGet, "/"+id+"/leases", "")
		inUse := shown.body["slots"].(map[string]any)["in_use"]
		if sum(leased) != slots || inUse != float64(slots) || len(shown.body["leases"].([]any)) != slots {
			t.Errorf("%v leases were given, %v in use, want %d: %s", leased, inUse, slots, shown.raw)
		}
	})
}
