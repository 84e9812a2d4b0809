package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
)

// floating makes a license with floating terms, given as JSON, and a thousand seats.
func (w *world) floating(terms string) (id, key string) {
	w.t.Helper()
	body := fmt.Sprintf(`{"customer_id":"acme","max_devices":1000,"features":["export"],"floating":%s}`, terms)
	made := w.manage(http.MethodPost, "", body)
	w.must(made, http.StatusCreated)
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

// TestAnEndedLeaseTellsOfTheSlotsOfItsEntitlement: anyone who renews too late hears whether there is a slot, and so
// does the support desk, which asks about the renewal.
func TestAnEndedLeaseTellsOfTheSlotsOfItsEntitlement(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":9,"activation":"none"},"entitlements":[{"code":"x","slots":1}]`)
		late := w.checkOut(key, "pc-1", `"entitlement":"x"`)
		w.want(late, http.StatusCreated, "")
		renewal := fmt.Sprintf(`{"license_id":%q,"hardware_id":"pc-1","operation":"lease","lease_id":%q}`, id,
			late.body["lease_id"])
		w.agrees(w.explain(renewal), w.renew(late))
		w.want(w.release(late), http.StatusOK, "")
		for _, free := range []bool{true, false} {
			ended := w.renew(late)
			w.want(ended, http.StatusConflict, "LEASE_RELEASED")
			explained := w.explain(renewal)
			w.agrees(explained, ended)
			for _, said := range []any{ended.body["details"], explained.failed()["observed"]} {
				if said.(map[string]any)["slot_free"] != free {
					t.Errorf("free: %v, said %v", free, said)
				}
			}
			w.checkOut(key, "pc-2", `"entitlement":"x"`)
		}
		full := w.checkOut(key, "pc-3", `"entitlement":"x"`)
		w.want(full, http.StatusForbidden, "LEASE_LIMIT_EXCEEDED")
		if full.body["details"].(map[string]any)["entitlement"] != "x" ||
			!strings.Contains(full.body["error"].(string), "of this entitlement") {
			t.Errorf("of the license eight slots are free: %s", full.raw)
		}
		for member, code := range map[string]string{
			`"hardware_id":"pc-2"`: "LEASE_NOT_FOUND", `"hardware_id":"pc-1","user":"ada"`: "VALIDATION_ERROR",
		} {
			other := strings.Replace(renewal, `"hardware_id":"pc-1"`, member, 1)
			if got := w.ask(w.admin, http.MethodPost, "/api/v1/admin/explain", other); got.body["error_code"] != code {
				t.Errorf("%s: %s", member, got.raw)
			}
		}
	})
}

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

// TestALeaseFromBeforeTheClockWasSetBack is renewed and given back as any other.
func TestALeaseFromBeforeTheClockWasSetBack(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.floating(`{"slots":1,"activation":"none"}`)
		lease := w.checkOut(key, "pc-1")
		w.want(lease, http.StatusCreated, "")
		w.clock.Advance(-14 * 24 * time.Hour)
		w.want(w.renew(lease), http.StatusOK, "")
		w.want(w.release(lease), http.StatusOK, "")
	})
}

func TestALeaseCountsAsASeatWhereNoneIsNeeded(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.floating(`{"slots":5,"activation":"none"}`)
		valid := func() any { return w.post("validate", device(key, "pc-1")).body["valid"] }
		if valid() != false {
			t.Error("a device without a lease is valid")
		}
		lease := w.checkOut(key, "pc-1")
		if valid() != true {
			t.Error("a device with a lease is not valid")
		}
		w.release(lease)
		if valid() != false {
			t.Error("a device that gave its lease back is valid")
		}
		w.checkOut(key, "pc-1")
		w.clock.Advance(15 * time.Minute)
		if valid() != false {
			t.Error("a device whose lease has expired is valid")
		}
	})
}

// TestALeaseStartsALicense: what this process keeps of the license in memory is dropped.
func TestALeaseStartsALicense(t *testing.T) {
	eachWorld(t, func(w *world) {
		made := w.manage(http.MethodPost, "", `{"customer_id":"acme","duration_days":30,"starts":"first_activation",
			"floating":{"slots":5,"activation":"none"}}`)
		id, key := made.body["license_id"].(string), made.body["license_key"].(string)
		if v := w.post("validate", device(key, "pc-1")); v.body["expires_at"] != nil {
			t.Errorf("%s", v.raw)
		}
		end := w.clock.Now().AddDate(0, 0, 30).Format(time.RFC3339Nano)
		w.want(w.checkOut(key, "pc-1"), http.StatusCreated, "")
		if v := w.post("validate", device(key, "pc-1")); v.body["expires_at"] != end || v.body["valid"] != true {
			t.Errorf("want the end %s: %s", end, v.raw)
		}
		w.await(func(e event.Event) bool { return e.Type == "license.started" && e.Subject == id })
	})
}

// TestASuspendedLicenseKeepsItsLeases to their ends, and gives no others.
func TestASuspendedLicenseKeepsItsLeases(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":2,"activation":"none"}`)
		lease := w.checkOut(key, "pc-1")
		w.want(w.manage(http.MethodPost, "/"+id+"/suspend", `{"reason":"unpaid"}`), http.StatusOK, "")
		w.want(w.checkOut(key, "pc-2"), http.StatusForbidden, "LICENSE_SUSPENDED")
		w.want(w.renew(lease), http.StatusForbidden, "LICENSE_SUSPENDED")
		if list := w.manage(http.MethodGet, "/"+id+"/leases", ""); slotsOf(list) != "1 of 2" {
			t.Errorf("%s", list.raw)
		}
		w.want(w.manage(http.MethodPost, "/"+id+"/reinstate", `{}`), http.StatusOK, "")
		w.want(w.renew(lease), http.StatusOK, "")
	})
}

func TestADeviceThatLeavesItsSeatGivesItsLeasesBack(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":2}`)
		w.want(w.checkOut(key, "pc-1"), http.StatusForbidden, "DEVICE_NOT_ACTIVATED")
		w.post("activate", device(key, "pc-1"))
		w.post("activate", device(key, "pc-2"))
		lease := w.checkOut(key, "pc-1")
		w.want(lease, http.StatusCreated, "")
		w.want(w.checkOut(key, "pc-2"), http.StatusCreated, "")
		w.want(w.manage(http.MethodPost, "/"+id+"/devices/deactivate", `{"hardware_id":"pc-1"}`), http.StatusOK, "")
		w.want(w.renew(lease), http.StatusConflict, "LEASE_RELEASED")
		if list := w.manage(http.MethodGet, "/"+id+"/leases", ""); slotsOf(list) != "1 of 2" {
			t.Errorf("%s", list.raw)
		}
		left := w.await(func(e event.Event) bool { return e.Type == "license.lease.released" && e.Subject == id })
		if !strings.Contains(string(left.Data), `"by":"deactivation"`) {
			t.Errorf("%s", left.Data)
		}
	})
}

// TestALeaseTokenIsProofByItself: anyone who has the published keys can check it, and nothing else passes for it.
func TestALeaseTokenIsProofByItself(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":2,"activation":"none","borrow_max_hours":48}`)
		until := w.clock.Now().Add(47 * time.Hour).Truncate(time.Second)
		lease := w.checkOut(key, "pc-1", fmt.Sprintf(`"borrow_until":%q`, until.Format(time.RFC3339)))
		w.want(lease, http.StatusCreated, "")
		keys, err := token.ParseJWKS([]byte(w.call(http.MethodGet, "/api/v1/license/leases/keys", "").raw))
		if err != nil {
			t.Fatal(err)
		}
		raw := lease.body["lease_token"].(string)
		verify := func() (c claims.Lease, err error) {
			err = token.Verify(t.Context(), token.Keys(keys), w.clock, claims.AudienceLease, raw, &c)
			return c, err
		}
		w.clock.Advance(46 * time.Hour)
		c, err := verify()
		if err != nil || c.Subject != id || c.HardwareID != "pc-1" || c.ID != lease.body["lease_id"] ||
			!c.BorrowedUntil.Time.Equal(until) {
			t.Errorf("%+v, %v", c, err)
		}
		w.clock.Advance(time.Hour)
		if _, err := verify(); !token.Ended(err) {
			t.Errorf("a lease that has ended: %v", err)
		}
		w.want(w.renew(lease), http.StatusConflict, "LEASE_EXPIRED")
		other := w.checkOut(key, "pc-2")
		path := "/api/v1/license/leases/" + other.body["lease_id"].(string)
		w.want(w.call(http.MethodDelete, path, "", "Authorization", "Bearer "+raw), http.StatusUnauthorized,
			"INVALID_TOKEN")
		w.want(w.call(http.MethodDelete, path, ""), http.StatusUnauthorized, "INVALID_TOKEN")
		w.want(w.call(http.MethodDelete, path, "", "Authorization", "Bearer "+raw+"x"), http.StatusUnauthorized,
			"INVALID_TOKEN")
		w.want(w.call(http.MethodPost, path+"/renew", "", w.bearer(id, "pc-2")...), http.StatusUnauthorized,
			"INVALID_TOKEN")
		w.want(w.renew(other), http.StatusOK, "")
	})
}

func TestBadLeases(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, plain := w.create(5, 0)
		w.want(w.checkOut(plain, "pc-1"), http.StatusForbidden, "FLOATING_NOT_ALLOWED")
		w.want(w.checkOut("LIC-000000000000", "pc-1"), http.StatusNotFound, "LICENSE_NOT_FOUND")
		_, key := w.floating(`{"slots":5,"activation":"none"}`)
		ahead := w.clock.Now().Add(time.Hour).Format(time.RFC3339)
		w.want(w.checkOut(key, "pc-1", fmt.Sprintf(`"borrow_until":%q`, ahead)), http.StatusForbidden,
			"BORROWING_NOT_ALLOWED")
		w.want(w.checkOut(key, "unknown"), http.StatusBadRequest, "HARDWARE_ID_NOT_UNIQUE")
		for _, member := range []string{
			`"borrow_until":"soon"`, `"borrow_until":5`, `"session_id":{}`,
			`"entitlement":"` + strings.Repeat("x", 65) + `"`,
			`"operation_id":"` + strings.Repeat("x", 256) + `"`, `"operation_id":7`, `"session_id":"a\u0000b"`,
		} {
			w.want(w.checkOut(key, "pc-1", member), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		for _, terms := range []string{
			`{}`, `{"slots":0}`, `{"slots":100001}`, `{"slots":"5"}`, `[]`, `5`, `{"slots":1,"lease_seconds":0}`,
			`{"slots":1,"lease_seconds":86401}`, `{"slots":1,"overflow":"wait"}`, `{"slots":1,"borrow_max_hours":-1}`,
			`{"slots":1,"activation":"maybe"}`, `{"slots":1,"lease_secs":5}`, `{"slots":1.5}`,
		} {
			made := w.manage(http.MethodPost, "", `{"customer_id":"acme","floating":`+terms+`}`)
			w.want(made, http.StatusBadRequest, "VALIDATION_ERROR")
		}
	})
}

func TestAnOperationIsCarriedOutOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.floating(`{"slots":5,"activation":"none"}`)
		first := w.checkOut(key, "pc-1", `"operation_id":"op-1"`)
		again := w.checkOut(key, "pc-1", `"operation_id":"op-1"`)
		if first.raw != again.raw || again.status != http.StatusCreated {
			t.Errorf("%s, then %d %s", first.raw, again.status, again.raw)
		}
		w.want(w.checkOut(key, "pc-1", `"operation_id":"op-1"`, `"session_id":"other"`), http.StatusUnprocessableEntity,
			"IDEMPOTENCY_KEY_REUSED")
		w.want(w.checkOut(key, "pc-2", `"operation_id":"op-1"`), http.StatusCreated, "")
	})
}

func TestAnAdministratorEndsALease(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.floating(`{"slots":1,"activation":"none"}`)
		lease := w.checkOut(key, "pc-1")
		path := "/" + id + "/leases/" + lease.body["lease_id"].(string)
		w.want(w.manage(http.MethodDelete, path, ""), http.StatusOK, "")
		w.want(w.manage(http.MethodDelete, path, ""), http.StatusOK, "")
		w.want(w.manage(http.MethodDelete, "/"+id+"/leases/nonsense", ""), http.StatusNotFound, "LEASE_NOT_FOUND")
		w.want(w.manage(http.MethodGet, "/nonsense/leases", ""), http.StatusNotFound, "LICENSE_NOT_FOUND")
		w.want(w.renew(lease), http.StatusConflict, "LEASE_RELEASED")
		entry := w.await(func(e event.Event) bool {
			return e.Type == "audit.recorded" && strings.Contains(string(e.Data), "lease.release")
		})
		if !strings.Contains(string(entry.Data), "pc-1") {
			t.Errorf("%s", entry.Data)
		}
		terms := w.manage(http.MethodPatch, "/"+id, `{"floating":{"slots":7}}`)
		floating, _ := terms.body["floating"].(map[string]any)
		if floating["slots"] != 7.0 || floating["lease_seconds"] != 900.0 || floating["activation"] != "required" {
			t.Errorf("%s", terms.raw)
		}
		terms = w.manage(http.MethodPatch, "/"+id, `{"floating":null}`)
		if terms.body["floating"] != nil {
			t.Errorf("%s", terms.raw)
		}
	})
}

func TestLeasesOfAnEntitlement(t *testing.T) {
	eachWorld(t, func(w *world) {
		made := w.manage(http.MethodPost, "", `{"customer_id":"acme","floating":{"slots":3,"activation":"none"},
			"entitlements":[{"code":"cad","slots":1},{"code":"viewer"}]}`)
		w.want(made, http.StatusCreated, "")
		key := made.body["license_key"].(string)
		w.want(w.checkOut(key, "pc-1", `"entitlement":"nothing"`), http.StatusForbidden, "ENTITLEMENT_MISSING")
		first := w.checkOut(key, "pc-1", `"entitlement":"cad"`)
		w.want(first, http.StatusCreated, "")
		full := w.checkOut(key, "pc-2", `"entitlement":"cad"`)
		w.want(full, http.StatusForbidden, "LEASE_LIMIT_EXCEEDED")
		details := full.body["details"].(map[string]any)
		if details["slots"] != 1.0 || details["in_use"] != 1.0 || details["earliest_end"] != first.body["expires_at"] {
			t.Errorf("%v", details)
		}
		w.want(w.checkOut(key, "pc-2", `"entitlement":"viewer"`), http.StatusCreated, "")
		w.release(first)
		w.want(w.checkOut(key, "pc-2", `"entitlement":"cad"`), http.StatusOK, "")
	})
}

// TestKeysOfALeaseTokenFillNothing: renewals with one Idempotency-Key after another keep the last answer alone.
func TestKeysOfALeaseTokenFillNothing(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.floating(`{"slots":2,"activation":"none"}`)
		leases := []answer{w.checkOut(key, "pc-1"), w.checkOut(key, "pc-2")}
		renew := func(lease answer, key string) answer {
			return w.call(http.MethodPost, "/api/v1/license/leases/"+lease.body["lease_id"].(string)+"/renew", "",
				"Authorization", "Bearer "+lease.body["lease_token"].(string), "Idempotency-Key", key)
		}
		w.together(60, http.StatusOK, func(i int) answer { return renew(leases[i%2], fmt.Sprint("k-", i)) })
		for _, lease := range leases {
			last := renew(lease, "last")
			w.want(last, http.StatusOK, "")
			if again := renew(lease, "last"); string(again.raw) != string(last.raw) {
				t.Errorf("first %s\nagain %s", last.raw, again.raw)
			}
		}
		var kept int
		err := w.db.Read(t.Context()).Raw("SELECT count(*) FROM idempotency_keys WHERE scope LIKE 'lease %'").Row().
			Scan(&kept)
		if err != nil || kept != len(leases) {
			t.Errorf("%d answers are kept, want one for each lease; %v", kept, err)
		}
	})
}
