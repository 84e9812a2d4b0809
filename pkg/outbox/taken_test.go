package outbox

import (
	"context"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// What waits from one look to the next is not taken, whoever should have sent it.
func TestTakenTellsWhatWaits(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o := New(d, "latchkey/test")
		taken, other := o.Taken(), o.Taken()
		check := func(what string, look func(context.Context) bool, want bool) {
			t.Helper()
			if got := look(t.Context()); got != want {
				t.Errorf("%s: %v", what, got)
			}
		}
		check("nothing was ever written", taken, true)
		add(t, d, o, "a", 2)
		check("nobody knows yet how long it waits", other, false)
		check("it waited before", other, false)
		refuses := &publisher{before: func(context.Context, []event.Event) error { return errRefused }}
		if err := o.Flush(t.Context(), refuses); err == nil {
			t.Fatal("a refused event was sent")
		}
		check("it was refused", other, false)
		if err := o.Flush(t.Context(), &publisher{}); err != nil {
			t.Fatal(err)
		}
		add(t, d, o, "b", 1)
		check("what waited has gone, and something else came", other, true)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		check("the database does not answer: as before", func(context.Context) bool { return other(gone) }, true)
		check("it waited twice", other, false)
	})
}
