package store_test

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// occupy makes n licenses, changed as wished, with a device each and returns their keys.
func occupy(t *testing.T, r *replica, n int, change ...func(*licensing.License)) []string {
	t.Helper()
	rows, made := make([]licensing.NewRow, n), make([]string, n)
	for i := range rows {
		made[i] = fmt.Sprintf("KEY-%08d", i)
		rows[i] = licensing.NewRow{Key: made[i], License: licensing.License{
			ID:         licenseNumber(i),
			CustomerID: fmt.Sprintf("customer %d", i),
			Product:    "p",
			Terms:      licensing.Terms{Type: "standard", MaxDevices: 5, Features: []string{"export"}},
			IsActive:   true,
			Version:    1,
			CreatedAt:  noon,
			UpdatedAt:  noon,
		}}
		for _, c := range change {
			c(&rows[i].License)
		}
	}
	if _, err := r.store.Create(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	for _, key := range made {
		if _, err := r.Activate(t.Context(), key, client("device of "+key)); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

// licenseNumber is the id of the i-th license that occupy makes.
func licenseNumber(i int) string { return fmt.Sprintf("01890000-0000-7000-8000-%012d", i) }

// TestAtItsBoundALookupAnswersFromTheDatabase: with room for a tenth of the licenses, and little memory for the
// process, every answer is right and the bound holds.
func TestAtItsBoundALookupAnswersFromTheDatabase(t *testing.T) {
	const many, bound = 300, 32 << 10
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		made := occupy(t, r, many)
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(16 << 20))
		lookup := store.NewLookup(d, keys(t, d, 1), r.clock,
			store.CacheOptions{Bytes: bound, Link: r.link.From("license")})
		r.rules(lookup)
		cached := 0
		for range 2 {
			for _, key := range made {
				v, err := r.Validate(t.Context(), key, client("device of "+key))
				if err != nil || !v.Valid {
					t.Fatalf("%s: %+v, %v", key, v, err)
				}
				if v.Cached {
					cached++
				}
			}
			if n := lookup.Bytes(); n > bound {
				t.Errorf("%d bytes are kept, the bound is %d", n, bound)
			}
		}
		if cached > many/2 {
			t.Errorf("%d of %d answers came from memory, there is no room for so many", cached, 2*many)
		}
	})
}

// TestTheBytesOfALookupAreThoseOfTheHeap: a bound in bytes is worth what the estimate is.
func TestTheBytesOfALookupAreThoseOfTheHeap(t *testing.T) {
	const many = 2000
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		made := occupy(t, r, many)
		lookup := store.NewLookup(d, keys(t, d, 1), clock.NewFake(noon),
			store.CacheOptions{Bytes: 1 << 30, Link: r.link.From("license")})
		before := heap()
		for _, key := range made {
			l, _, _, err := lookup.LicenseByKey(t.Context(), licensing.NormalizeKey(key))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := lookup.ActiveDevice(t.Context(), l.ID, "device of "+key); err != nil {
				t.Fatal(err)
			}
		}
		grown, counted := heap()-before, lookup.Bytes()
		t.Logf("%d bytes of heap for a license, %d counted", grown/many, counted/many)
		if counted < grown*3/4 || counted > grown*3/2 {
			t.Errorf("%d bytes were counted, the heap has grown by %d", counted, grown)
		}
		runtime.KeepAlive(lookup)
	})
}

// heap is the memory in use once garbage is gone.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestAnEventThatComesLateDropsNothingNewer: a backlog of events of this process's own changes must not make its
// answers cold.
func TestAnEventThatComesLateDropsNothingNewer(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		made := create(t, r, seats(3))
		for _, hardwareID := range []string{"desk", "lap"} {
			if _, err := r.Activate(t.Context(), made.Key, client(hardwareID)); err != nil {
				t.Fatal(err)
			}
		}
		cached := func() bool {
			t.Helper()
			v, err := r.Validate(t.Context(), made.Key, client("lap"))
			if err != nil || !v.Valid {
				t.Fatal(v, err)
			}
			return v.Cached
		}
		cached()
		events, _, err := r.outbox.List(t.Context(), made.License.ID, noon.AddDate(-1, 0, 0), nil, 100, math.MaxInt)
		if err != nil || len(events) < 3 {
			t.Fatal(events, err)
		}
		for _, e := range events {
			r.lookup.OnEvent(e)
		}
		if !cached() {
			t.Error("an event of a change that memory shows already has dropped it")
		}
		newer := events[0]
		newer.Data = []byte(`{"hardware_id":"lap","version":4}`)
		r.lookup.OnEvent(newer)
		if cached() {
			t.Error("a newer change has dropped nothing")
		}
	})
}
