package auth_test

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// TestErasure: the address from which a license of an erased customer was used leaves the event log.
func TestErasure(t *testing.T) {
	eachEngine(t, func(w *harness) {
		client := w.client()
		first := w.issue(client)
		var second pair
		w.refresh(first.Refresh).is(200, "").into(&second)
		w.verify(second.Access).is(200, "")
		w.refresh(first.Refresh).is(401, errcode.InvalidToken)
		if n := w.withAddress(); n != 1 {
			w.Fatalf("%d events with an address, want 1", n)
		}
		w.erase("") // the customer itself, of whom nothing is here
		w.erase(licenseID)
		testkit.Eventually(w.T, patience, func() error {
			if w.withAddress() > 0 {
				return errors.New("the address is still there")
			}
			return nil
		})
	})
}

// withAddress is the number of events in the log that hold an address.
func (w *harness) withAddress() (n int) {
	w.Helper()
	const with = `SELECT count(*) FROM outbox WHERE CAST(data AS text) LIKE '%"ip":"%'
		AND CAST(data AS text) NOT LIKE '%"ip":""%'`
	w.must(w.db.Read(w.Context()).Raw(with + " AND type = 'license.token.reused'").Scan(&n).Error)
	return n
}

// erase publishes what the license service tells of an erasure.
func (w *harness) erase(license string) {
	w.Helper()
	e, err := event.New("latchkey/license", license, w.clock.Now(), &eventsv1.CustomerErased{
		LicenseId: license, ErasedAs: "erased-1", Salt: "s", Previous: "p", ErasedAt: timestamppb.New(w.clock.Now()),
	})
	w.must(err)
	w.must(w.bus.Publish(w.Context(), []event.Event{e}))
}
