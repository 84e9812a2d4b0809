package auth_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"gorm.io/gorm"

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

// TestErasureOfTelemetryThatWaits: the address leaves the telemetry that another process has stored for later, too.
func TestErasureOfTelemetryThatWaits(t *testing.T) {
	eachEngine(t, func(w *harness) {
		var waiting []event.Event
		for _, subject := range []string{licenseID, "another"} {
			e, err := event.New("latchkey/auth", subject, w.clock.Now(), &eventsv1.LicenseTokenRefused{
				LicenseId: subject, HardwareId: "waits-" + subject, Ip: "203.0.113.77",
			})
			w.must(err)
			waiting = append(waiting, e)
		}
		payload, err := event.EncodeBatch(waiting)
		w.must(err)
		const putAside = `INSERT INTO telemetry_spill (events, bytes, payload, claim, claimed_until)
			VALUES (2, ?, ?, '018f4b1e-0000-7000-8000-000000000001', ?)`
		w.must(w.db.Tx(w.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec(putAside, len(payload), string(payload), time.Now().Add(time.Minute)).Error
		}))
		w.erase(licenseID)
		testkit.Eventually(w.T, patience, func() error {
			var stored string
			w.must(w.db.Read(w.Context()).Raw(`SELECT payload FROM telemetry_spill`).Scan(&stored).Error)
			events, err := event.Decode([]byte(stored))
			w.must(err)
			for i, address := range []string{"", "203.0.113.77"} {
				var m eventsv1.LicenseTokenRefused
				w.must(events[i].Into(&m))
				if m.GetIp() != address || m.GetHardwareId() != "waits-"+events[i].Subject {
					return fmt.Errorf("about %s: %v", events[i].Subject, &m)
				}
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
