package license_test

import (
	"net/http"
	"testing"

	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// TestNoSeatIsTransferredToABlockedDevice, by whatever id of it the block and the transfer name it.
func TestNoSeatIsTransferredToABlockedDevice(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		id, key := w.with(`"max_devices":2,"device_match":"two"`)
		same := components("c", "d")
		w.must(w.post("activate", device(key, "desk")), http.StatusCreated)
		w.must(w.post("activate", says(key, "old", same)), http.StatusCreated)
		w.must(w.post("validate", says(key, "new", same)), http.StatusOK)
		w.deactivate(id, "new")
		for _, blocked := range []string{"old", "unknown"} {
			w.must(w.blocks(http.MethodPost, "", `{"hardware_id":"`+blocked+`","reason":"stolen"}`), http.StatusCreated)
		}
		for _, to := range []string{"old", "new", "unknown"} {
			w.want(w.manage(http.MethodPost, "/"+id+"/transfer",
				`{"from_hardware_id":"desk","to_hardware_id":"`+to+`","force":true}`),
				http.StatusForbidden, errcode.DeviceBlocked)
		}
		w.want(w.post("validate", device(key, "desk")), http.StatusOK, "")
		w.transfer(id, "desk", "other")
	})
}
