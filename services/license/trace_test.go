package license_test

import (
	"net/http"
	"testing"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/trace"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
)

// A caller finds the events of his call by his trace, also when he called another service that asked this one.
func TestEventsCarryTheCallersTrace(t *testing.T) {
	const client, administrator = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
	eachWorld(t, func(w *world) {
		id, key := w.create(3, 0)
		if e := w.eventually("license.created"); e.Trace != "" {
			w.t.Errorf("%s has the trace %q, nobody sent one", e.Type, e.Trace)
		}
		w.want(w.post("activate", device(key, "desk"), "traceparent", client), http.StatusCreated, "")
		w.want(w.post("deactivate", device(key, "desk"), "traceparent", client), http.StatusOK, "")
		for _, e := range []event.Event{w.eventually("license.activated"), w.eventually("device.deactivated")} {
			if e.Trace != client {
				w.t.Errorf("%s has the trace %q", e.Type, e.Trace)
			}
		}
		ctx, nine := trace.FromHeader(t.Context(), http.Header{"Traceparent": {administrator}}), int32(9)
		if _, err := w.admin.UpdateLicense(ctx, connect.NewRequest(&licensev1.UpdateLicenseRequest{LicenseId: id, MaxDevices: &nine})); err != nil {
			w.t.Fatal(err)
		}
		for _, e := range []string{w.eventually("license.updated").Trace, w.audited("license.update").Trace} {
			if e != administrator {
				w.t.Errorf("the change has the trace %q", e)
			}
		}
	})
}
