package license_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/event"
)

// floating makes a license with floating terms, given as JSON, and a thousand seats.
func (w *world) floating(terms string) (id, key string) {
	w.t.Helper()
	body := fmt.Sprintf(`{"customer_id":"acme","max_devices":1000,"features":["export"],"floating":%s}`, terms)
	made := w.manage(http.MethodPost, "", body)
	if made.status != http.StatusCreated {
		w.t.Fatalf("%d %s", made.status, made.raw)
	}
	return made.body["license_id"].(string), made.body["license_key"].(string)
}

func (w *world) checkOut(key, hardwareID string, more ...string) answer {
	w.t.Helper()
	body := fmt.Sprintf(`{"license_key":%q,"hardware_id":%q`, key, hardwareID)
	for _, member := range more {
		body += "," + member
	}
	return w.post("leases", body+"}")
}

func (w *world) onLease(method string, lease answer, operation string) answer {
	w.t.Helper()
	path := "/api/v1/license/leases/" + lease.body["lease_id"].(string) + operation
	return w.call(method, path, "", "Authorization", "Bearer "+lease.body["lease_token"].(string))
}

func (w *world) renew(lease answer) answer { return w.onLease(http.MethodPost, lease, "/renew") }

func (w *world) release(lease answer) answer { return w.onLease(http.MethodDelete, lease, "") }

func slotsOf(a answer) string {
	slots, _ := a.body["slots"].(map[string]any)
	return fmt.Sprintf("%v of %v", slots["in_use"], slots["total"])
}

func TestALeaseFromCheckoutToRelease(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":1,"activation":"none"}`)
		first := w.checkOut(key, "pc-1", `"session_id":"ada"`)
		w.want(first, http.StatusCreated, "")
		if slotsOf(first) != "1 of 1" || first.body["created"] != true {
			t.Errorf("%s", first.raw)
		}
		full := w.checkOut(key, "pc-2")
		w.want(full, http.StatusForbidden, "LEASE_LIMIT_EXCEEDED")
		details := full.body["details"].(map[string]any)
		if details["slots"] != 1.0 || details["in_use"] != 1.0 || details["earliest_end"] != first.body["expires_at"] {
			t.Errorf("details %v", details)
		}
		w.clock.Advance(10 * time.Minute)
		again := w.checkOut(key, "pc-1", `"session_id":"ada"`)
		w.want(again, http.StatusOK, "")
		renewed := w.renew(first)
		w.want(renewed, http.StatusOK, "")
		if again.body["lease_id"] != first.body["lease_id"] || again.body["created"] != false ||
			renewed.body["expires_at"] == first.body["expires_at"] {
			t.Errorf("%s then %s", again.raw, renewed.raw)
		}
		list := w.manage(http.MethodGet, "/"+id+"/leases", "")
		entry := list.body["leases"].([]any)[0].(map[string]any)
		if entry["hardware_id"] != "pc-1" || entry["session_id"] != "ada" || slotsOf(list) != "1 of 1" {
			t.Errorf("%s", list.raw)
		}
		gone := w.release(first)
		w.want(gone, http.StatusOK, "")
		w.want(w.release(first), http.StatusOK, "")
		ended := w.renew(first)
		w.want(ended, http.StatusConflict, "LEASE_RELEASED")
		if slotsOf(gone) != "0 of 1" || ended.body["details"].(map[string]any)["slot_free"] != true {
			t.Errorf("%s, then %s", gone.raw, ended.raw)
		}
		w.clock.Advance(10 * time.Second)
		w.want(w.checkOut(key, "pc-2"), http.StatusCreated, "")
		w.await(func(e event.Event) bool { return e.Type == "license.lease.released" && e.Subject == id })
	})
}
