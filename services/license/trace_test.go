package license_test

import (
	"net/http"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/event"
)

// A caller finds the events of a call by its trace, also when it called another service that asked this one.
func TestEventsCarryTheCallersTrace(t *testing.T) {
	const client, administrator = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
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
		w.want(w.manage(http.MethodPatch, "/"+id, `{"max_devices":9}`, "traceparent", administrator), http.StatusOK, "")
		for _, e := range []string{w.eventually("license.updated").Trace, w.audited("license.update").Trace} {
			if e != administrator {
				w.t.Errorf("the change has the trace %q", e)
			}
		}
	})
}
