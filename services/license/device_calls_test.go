package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// TestABlockHoldsForAllCalls: a device that has its seat and its lease gets nothing more once it is blocked.
func TestABlockHoldsForAllCalls(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.floating(`{"slots":2}`)
		activated := w.post("activate", device(key, "desk"))
		w.want(activated, http.StatusCreated, "")
		held := w.checkOut(key, "desk")
		w.want(held, http.StatusCreated, "")
		w.want(w.blocks("POST", "", `{"hardware_id":"desk","reason":"x"}`), http.StatusCreated, "")
		label := says(key, "desk", map[string]any{"label": "x"})
		path := "/api/v1/license/devices/" + activated.body["device_id"].(string)
		for name, got := range map[string]answer{
			"lease": w.checkOut(key, "desk"),
			"renew": w.renew(held),
			"file":  w.post("license-file", device(key, "desk")),
			"label": w.call(http.MethodPatch, path, label, "X-API-Key", w.auth.apiKey),
		} {
			t.Log(name)
			w.want(got, http.StatusForbidden, errcode.DeviceBlocked)
		}
	})
}

// TestABlockHoldsForTheDevice: whatever a device calls itself, by a former id, by a new one, or by one that it gets
// later, what blocks one of its ids blocks it.
func TestABlockHoldsForTheDevice(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, blocked := range []string{"first", "second"} {
			id, key := w.with(`"max_devices":1,"device_match":"two"`)
			same := components("c-"+id, "d-"+id)
			w.want(w.post("activate", says(key, "first", same)), http.StatusCreated, "")
			w.want(w.post("validate", says(key, "second", same)), http.StatusOK, "")
			made := w.blocks("POST", "", fmt.Sprintf(`{"hardware_id":%q,"reason":"x","license_id":%q}`, blocked, id))
			w.want(made, http.StatusCreated, "")
			before := w.get(id)
			for _, sent := range []string{"first", "second", "third"} {
				for _, call := range []string{"validate", "activate", "license-file", "leases", "consume"} {
					members := map[string]any{"components": same["components"]}
					if call == "consume" {
						members["counter"] = "exports"
					}
					w.want(w.post(call, says(key, sent, members)), http.StatusForbidden, errcode.DeviceBlocked)
				}
			}
			if after := w.get(id); after["version"] != before["version"] {
				w.t.Errorf("refused calls changed the license: %v, %v", before, after)
			}
			w.want(w.blocks("DELETE", "/"+made.body["block_id"].(string), ""), http.StatusOK, "")
			w.want(w.post("validate", says(key, "third", same)), http.StatusOK, "")
		}
	})
}

// TestLeasesAndCountersOfARecognizedDevice: a device keeps its lease and its counts under whatever id it is known by.
func TestLeasesAndCountersOfARecognizedDevice(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"max_devices":1,"device_match":"two","floating":{"slots":1},` +
			`"counters":[{"name":"exports","per_device":true}]`)
		same := components("c", "d")
		w.want(w.post("activate", says(key, "first", same)), http.StatusCreated, "")
		held := w.post("leases", says(key, "first", nil))
		w.want(held, http.StatusCreated, "")
		w.want(w.post("validate", says(key, "second", same)), http.StatusOK, "")
		w.want(w.renew(held), http.StatusOK, "")
		for _, sent := range []string{"first", "second"} {
			again := w.post("leases", says(key, sent, nil))
			w.want(again, http.StatusOK, "")
			if again.body["lease_id"] != held.body["lease_id"] || again.body["hardware_id"] != "second" {
				w.t.Errorf("%s: %s", sent, again.raw)
			}
			w.want(w.post("consume", says(key, sent, map[string]any{"counter": "exports"})), http.StatusOK, "")
			w.want(w.post("validate", says(key, sent, map[string]any{"consume": map[string]any{"exports": 1}})),
				http.StatusOK, "")
		}
		w.want(w.post("leases", says(key, "third", same)), http.StatusOK, "")
		w.want(w.post("deactivate", says(key, "third", nil)), http.StatusOK, "")
		leases := w.manage(http.MethodGet, "/"+id+"/leases", "")
		if slots := leases.body["slots"].(map[string]any); slots["in_use"] != 0.0 {
			w.t.Errorf("the device left its seat: %s", leases.raw)
		}
	})
}

// TestALeaseIsASeatForCounters: where leases need no seat, a device consumes by its lease, and does so no more without
// one.
func TestALeaseIsASeatForCounters(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.with(`"floating":{"slots":1,"activation":"none"},"counters":[{"name":"exports"}]`)
		consume := func() answer {
			return w.post("consume", says(key, "pc", map[string]any{"counter": "exports", "operation_id": "job"}))
		}
		metered := says(key, "pc", map[string]any{"consume": map[string]any{"exports": 1}})
		undo := says(key, "pc", map[string]any{"operation_id": "job"})
		w.want(consume(), http.StatusForbidden, errcode.DeviceNotActivated)
		w.want(w.checkOut(key, "pc"), http.StatusCreated, "")
		w.want(consume(), http.StatusOK, "")
		w.want(w.post("validate", metered), http.StatusOK, "")
		w.want(w.post("consume/undo", undo), http.StatusOK, "")
		w.clock.Advance(time.Hour)
		w.want(w.post("consume/undo", undo), http.StatusForbidden, errcode.DeviceNotActivated)
		w.want(w.post("validate", metered), http.StatusOK, errcode.DeviceNotActivated)
	})
}

// TestADeactivationWithoutAReason has null for it in the audit log.
func TestADeactivationWithoutAReason(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		w.must(w.post("activate", device(key, "pc")), http.StatusCreated)
		w.must(w.manage(http.MethodPost, "/"+id+"/devices/deactivate", `{"hardware_id":"pc"}`), http.StatusOK)
		w.await(func(e event.Event) bool {
			data := string(e.Data)
			return strings.Contains(data, "device.deactivate") && strings.Contains(data, `\"reason\":null`)
		})
	})
}
