package license_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
)

// merged are the members of several bodies.
func merged(all ...map[string]any) map[string]any {
	body := map[string]any{}
	for _, members := range all {
		maps.Copy(body, members)
	}
	return body
}

// called are the hardware ids of the devices of a license with their former ones, in no order.
func (w *world) called(id string) (ids []string) {
	w.t.Helper()
	listed := w.manage(http.MethodGet, "/"+id+"/devices", "")
	w.must(listed, http.StatusOK)
	for _, d := range listed.body["devices"].([]any) {
		d := d.(map[string]any)
		ids = append(ids, fmt.Sprint(d["hardware_id"], " ", d["former_hardware_ids"]))
	}
	slices.Sort(ids)
	return ids
}

func (w *world) wantCalled(id string, want ...string) {
	w.t.Helper()
	if got := w.called(id); !slices.Equal(got, want) {
		w.t.Errorf("the devices are %q, want %q", got, want)
	}
}

// TestARefusalRebindsNothing, whatever the call is refused for: a device that is recognized by its components takes the
// id of a call that is allowed.
func TestARefusalRebindsNothing(t *testing.T) {
	same := components("c", "d")
	for name, call := range map[string]struct {
		endpoint, code   string
		refused, allowed map[string]any
	}{
		"an entitlement": {
			"validate", "ENTITLEMENT_MISSING",
			map[string]any{"require_entitlements": []string{"q"}},
			map[string]any{"require_entitlements": []string{"e"}},
		},
		"a counter in validate": {
			"validate", "CONSUMPTION_LIMIT_EXCEEDED",
			map[string]any{"consume": map[string]int{"n": 4}}, map[string]any{"consume": map[string]int{"n": 3}},
		},
		"a counter": {
			"consume", "CONSUMPTION_LIMIT_EXCEEDED",
			map[string]any{"counter": "n", "amount": 4}, map[string]any{"counter": "n", "amount": 3},
		},
		"an undo": {
			"consume/undo", "OPERATION_NOT_FOUND",
			map[string]any{"operation_id": "unknown"}, map[string]any{"operation_id": "known"},
		},
		"a lease": {
			"leases", "ENTITLEMENT_MISSING", map[string]any{"entitlement": "q"}, map[string]any{"entitlement": "e"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				w.unlimitedCalls()
				id, key := w.with(`"max_devices":1,"device_match":"two","features":["e"],` +
					`"counters":[{"name":"n","limit":4}],"floating":{"slots":1}`)
				w.must(w.post("activate", says(key, "old", same)), http.StatusCreated)
				w.must(w.post("consume", says(key, "old", map[string]any{"counter": "n", "operation_id": "known"})),
					http.StatusOK)
				version := w.get(id)["version"]
				for i := range 6 {
					got := w.post(call.endpoint, says(key, fmt.Sprint("new", i), merged(same, call.refused)))
					if got.body["error_code"] != call.code {
						w.t.Fatalf("%d %s, want %s", got.status, got.raw, call.code)
					}
				}
				w.wantCalled(id, "old []")
				w.wantUsed(id, "n", 1)
				if now := w.get(id)["version"]; now != version {
					w.t.Errorf("the version is %v, was %v", now, version)
				}
				for range 2 {
					w.must(w.post("validate", device(key, "old")), http.StatusOK)
				}
				got := w.post(call.endpoint, says(key, "new", merged(same, call.allowed)))
				if got.status != http.StatusOK && got.status != http.StatusCreated {
					w.t.Fatalf("%d %s", got.status, got.raw)
				}
				w.wantCalled(id, "new [old]")
			})
		})
	}
}

// TestWhatADeviceCountedFollowsIt, when it is recognized under another id, and its seat, when that is transferred to a
// device that has counted before.
func TestWhatADeviceCountedFollowsIt(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		id, key := w.with(`"max_devices":2,"device_match":"two","counters":[{"name":"c","per_device":true}]`)
		same := components("c", "d")
		use := func(hardwareID, operation string) answer {
			return w.post("consume", says(key, hardwareID, map[string]any{
				"counter": "c", "amount": 5, "operation_id": operation,
			}))
		}
		parts := func(want string) {
			w.t.Helper()
			if got := fmt.Sprint(w.counted(id, "c")["devices"]); got != want {
				w.t.Errorf("the parts of devices are %s, want %s", got, want)
			}
		}
		undone := func(hardwareID, operation string) {
			w.t.Helper()
			got := w.post("consume/undo", says(key, hardwareID, map[string]any{"operation_id": operation}))
			w.want(got, http.StatusOK, "")
			if fmt.Sprint(got.body["refunded"]) != "map[c:5]" {
				w.t.Errorf("%s", got.raw)
			}
		}
		w.must(w.post("activate", says(key, "old", same)), http.StatusCreated)
		w.must(w.post("activate", device(key, "laptop")), http.StatusCreated)
		first := use("old", "first")
		w.must(first, http.StatusOK)
		w.must(use("old", "second"), http.StatusOK)
		w.must(use("laptop", "own"), http.StatusOK)
		w.must(w.post("validate", says(key, "new", same)), http.StatusOK)
		for _, hardwareID := range []string{"old", "new"} {
			if again := use(hardwareID, "first"); again.raw != first.raw {
				w.t.Errorf("by %s: %s, want %s", hardwareID, again.raw, first.raw)
			}
		}
		w.want(use("laptop", "first"), http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")
		parts("[map[hardware_id:new used:10] map[hardware_id:laptop used:5]]")
		undone("old", "first")
		w.deactivate(id, "laptop")
		w.transfer(id, "new", "laptop")
		parts("[map[hardware_id:laptop used:10]]")
		undone("laptop", "second")
		undone("laptop", "own")
		w.wantUsed(id, "c", 0)
	})
}
