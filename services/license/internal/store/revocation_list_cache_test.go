package store_test

import (
	"context"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// TestTheRevocationListIsReadOnce a second, however many ask, and again when an event may have changed it.
func TestTheRevocationListIsReadOnce(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		s := store.New(store.Deps{DB: d, Outbox: r.outbox, Keys: keys(t, d, 1), Clock: r.clock})
		list := store.NewRevocations(s, r.clock)
		read := func() error {
			_, _, _, err := list.Revocations(t.Context(), r.clock.Now())
			return err
		}
		rename := func(from, to string) {
			t.Helper()
			err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
				return tx.Exec("ALTER TABLE " + from + " RENAME TO " + to).Error
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := read(); err != nil {
			t.Fatal(err)
		}
		rename("revocations", "hidden") // who reads it now is noticed
		for range 10 {
			if err := read(); err != nil {
				t.Fatal("read once more:", err)
			}
		}
		list.OnEvent(event.Event{Type: eventsv1.TypeLicenseConsumed})
		if err := read(); err != nil {
			t.Error("an event that revokes nothing:", err)
		}
		list.OnEvent(event.Event{Type: eventsv1.TypeLicenseSuspended})
		if err := read(); err == nil {
			t.Error("not read again after an event")
		}
		rename("hidden", "revocations")
		if err := read(); err != nil {
			t.Fatal(err)
		}
		rename("revocations", "hidden")
		r.clock.Advance(2 * time.Second)
		if err := read(); err == nil {
			t.Error("not read again after two seconds")
		}
	})
}
