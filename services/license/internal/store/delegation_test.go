package store_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// TestWhetherThereAreMasters is asked once a second at most, and known at once where the first one is made.
func TestWhetherThereAreMasters(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		deps := store.Deps{
			DB: d, Outbox: r.outbox, Keys: keys(t, d, 1), Clock: r.clock, Committed: func(event.Event) {},
		}
		here, there := store.New(deps), store.New(deps)
		want := func(s *store.Store, want bool) {
			t.Helper()
			if some, err := s.HasMasters(t.Context()); err != nil || some != want {
				t.Errorf("%v, %v, want %v", some, err, want)
			}
		}
		want(here, false)
		want(there, false)
		o := delegation.Organisation{ID: "5c80f8f9fe12df25ad48c25b", Name: "o", CreatedAt: r.clock.Now()}
		if err := here.CreateOrganisation(t.Context(), o, nil, &eventsv1.AuditRecorded{}); err != nil {
			t.Fatal(err)
		}
		m := delegation.Master{
			ID: "29f45dfa37864357d8c02aa4", OrganisationID: o.ID, LicenseID: create(t, r, seats(1)).License.ID,
			Product: "default", OperatingSystem: "linux", CreatedAt: r.clock.Now(),
		}
		err := here.CreateMaster(t.Context(), m, delegation.SumOf("key"), &eventsv1.AuditRecorded{})
		if err != nil {
			t.Fatal(err)
		}
		want(here, true)
		want(there, false)
		r.clock.Advance(time.Second)
		want(there, true)
	})
}
