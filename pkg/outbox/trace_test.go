package outbox

import (
	"context"
	"net/http"
	"testing"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/trace"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// An event carries the trace of the request that made the change, through the table to the bus.
func TestEventsCarryTheTraceOfTheirChange(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o, pub := New(d, "test"), &publisher{}
		for _, sent := range []http.Header{{"Traceparent": {parent}}, {}} {
			err := d.Tx(trace.FromHeader(t.Context(), sent), func(ctx context.Context, tx *gorm.DB) error {
				_, err := o.Add(ctx, tx, "lic-1", noon, &eventsv1.LicenseActivated{LicenseId: "lic-1"})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		relay(t, o, pub)
		awaitSent(t, o)
		if got := []string{pub.events[0].Trace, pub.events[1].Trace}; got[0] != parent || got[1] != "" {
			t.Errorf("published with the traces %q", got)
		}
	})
}
