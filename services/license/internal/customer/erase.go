package customer

import (
	"context"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/proto/erasure"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Erased is a license of an erased customer; Had tells that it belongs to another customer now.
type Erased struct {
	License licensing.License
	Had     bool
}

// Erase gives a customer that has the version, where that is not nil, an opaque id, and deletes what is known of it and
// of the persons on its licenses; the licenses, their devices and their counters stay. Which columns that is stands in
// store/erasure.go, which members of events and audit entries in proto/erasure. Other services carry out the same when
// they receive the events. Errors: ErrNotFound, VERSION_MISMATCH.
func (s *Customers) Erase(
	ctx context.Context, by *licensing.Actor, customerID string, version licensing.Versions,
) (Customer, error) {
	now := s.Clock.Now()
	opaque := "erased-" + uuid.Must(uuid.NewRandom()).String()
	return s.Store.EraseCustomer(ctx, customerID, func(c *Customer) (erasure.Rule, error) {
		if err := c.checkVersion(version); err != nil {
			return erasure.Rule{}, err
		}
		if !c.ErasedAt.IsZero() {
			opaque = c.CustomerID
		}
		rule := erasure.New(c.CustomerID, opaque, now)
		c.CustomerID, c.Profile, c.ErasedAt = opaque, Profile{}, now
		c.Version++
		c.UpdatedAt = now
		return rule, nil
	}, func(c *Customer, r erasure.Rule, licenses []Erased) map[string][]proto.Message {
		events := map[string][]proto.Message{c.ID: {erased(r, "", nil, false, now),
			audit.Entry(by, "customer.erase", nil, map[string]any{
				"customer_id": c.CustomerID, "licenses": len(licenses), "version": c.Version,
			})}}
		for i := range licenses {
			l := &licenses[i].License
			events[l.ID] = []proto.Message{erased(r, l.ID, l, licenses[i].Had, now)}
		}
		return events
	})
}

func erased(r erasure.Rule, licenseID string, l *licensing.License, had bool, now time.Time) *eventsv1.CustomerErased {
	e := &eventsv1.CustomerErased{
		LicenseId: licenseID,
		ErasedAs:  r.CustomerID,
		Salt:      r.Salt,
		Previous:  r.Previous,
		ErasedAt:  timestamppb.New(r.At),
		Had:       had,
	}
	if l != nil {
		e.Version, e.License = int32(l.Version), licensing.Snapshot(l, now)
	}
	return e
}
