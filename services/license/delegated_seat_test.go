package license_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/license"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
)

// Both APIs want the last seats of one license at once, at two processes: the seats are never more than the license
// has, and only devices with one were charged for.
func TestDelegatedKeysAndLicenseKeysShareTheSeats(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		w.unlimitedCalls()
		id, key := w.create(7, 0)
		organisation := w.organisation(100)
		master := w.master(organisation, "linux", `,"license_id":"`+id+`"`).body["master_key"].(string)
		both := []*world{w, w.replica()}
		var mu sync.Mutex
		byLicense, byDelegation := 0, 0
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				at, hardwareID := both[i/2%2], fmt.Sprintf("pc-%d", i)
				got := at.persist(func() answer {
					if i%2 == 0 {
						return at.post("activate", device(key, hardwareID))
					}
					return at.delegated(master, hardwareID)
				})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case got.status == http.StatusCreated && i%2 == 0:
					byLicense++
				case got.status == http.StatusCreated:
					byDelegation++
				case !strings.Contains(got.raw, errcode.DeviceLimitExceeded):
					t.Errorf("%d %s", got.status, got.raw)
				}
			})
		}
		all.Wait()
		used := w.delegation(http.MethodGet, "/organisations/"+organisation, "").body["used_credit"]
		shown := w.seatsTaken(id)
		if byLicense+byDelegation != 7 || shown != 7.0 || used != float64(byDelegation) {
			t.Errorf("%d and %d seats, %v shown, %v charged", byLicense, byDelegation, shown, used)
		}
	})
}

// seatsTaken is what the license counts.
func (w *world) seatsTaken(id string) any {
	w.t.Helper()
	return w.manage(http.MethodPatch, "/"+id, `{}`).body["current_devices"]
}

// A master key that leaked makes a bounded number of slaves, exactly so when forty calls at two processes want the last
// ones. Slaves that activated a device without a charge count, too.
func TestSlavesAreBounded(t *testing.T) {
	const room = 7
	eachWorldInTurn(t, func(w *world) {
		organisation := w.organisation(1)
		made := w.master(organisation, "linux", "")
		master := made.body["master_key"].(string)
		w.wantCredits(w.delegated(w.slaveKey(master), "pc-1"), 1, 1)
		w.wantCredits(w.delegated(w.slaveKey(master), "pc-1"), 1, 1)
		w.slaves(organisation, made.body["master"].(string), 1+delegation.SpareSlaves-2-room)
		both := []*world{w, w.replica()}
		ask := func(i int) answer {
			return both[i%2].call(http.MethodPost, "/slaves", object("masterKey", master))
		}
		if made := w.together(40, http.StatusOK, ask); made != room {
			t.Errorf("%d slaves were made, want %d", made, room)
		}
		w.wantRefused(ask(0), http.StatusBadRequest, errcode.SlaveLimitExceeded)
		listed := w.delegation(http.MethodGet, "/organisations/"+organisation+"/slaves?per_page=1", "")
		if listed.body["total"] != 1.0+delegation.SpareSlaves {
			t.Errorf("slaves: %s", listed.raw)
		}
		slave := listed.body["slaves"].([]any)[0].(map[string]any)["slave"].(string)
		w.want(w.delegation(http.MethodDelete, "/slaves/"+slave, ""), http.StatusOK, "")
		w.want(ask(0), http.StatusOK, "") // a revoked one has made room
		w.wantRefused(ask(1), http.StatusBadRequest, errcode.SlaveLimitExceeded)
	})
}

// slaves adds n slaves of a master, unused.
func (w *world) slaves(organisation, master string, n int) {
	w.t.Helper()
	rows := make([]map[string]any, n)
	for i := range rows {
		id := fmt.Sprintf("%024x", i)
		rows[i] = map[string]any{
			"id": id, "organisation_id": organisation, "master_id": master, "comment": "",
			"key_sha256": []byte(id), "created_at": w.clock.Now(),
		}
	}
	insert := func(_ context.Context, tx *gorm.DB) error {
		return tx.Table("delegated_slaves").CreateInBatches(rows, 100).Error
	}
	if err := w.db.Tx(w.t.Context(), insert); err != nil {
		w.t.Fatal(err)
	}
}

func TestARepeatedSlaveIsMadeOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		master := w.masterKey(w.organisation(1), "linux")
		ask := func() answer {
			return w.call(http.MethodPost, "/slaves", object("masterKey", master), "Idempotency-Key", "one")
		}
		first, again := ask(), ask()
		if again.raw != first.raw || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s, %s", first.raw, again.raw)
		}
	})
}

// A device that lost its seat to an administrator takes it again at no cost.
func TestADeviceThatComesBackIsNotChargedFor(t *testing.T) {
	eachWorld(t, func(w *world) {
		made := w.master(w.organisation(1), "linux", "")
		master, id := made.body["master_key"].(string), made.body["license_id"].(string)
		first := w.wantCredits(w.delegated(master, "pc-1"), 1, 1)
		w.want(w.manage(http.MethodPost, "/"+id+"/devices/deactivate", `{"hardware_id":"pc-1"}`), http.StatusOK, "")
		if again := w.wantCredits(w.delegated(master, "pc-1"), 1, 1); again != first {
			t.Errorf("another token: %s", again)
		}
		if n := w.seatsTaken(id); n != 1.0 {
			t.Errorf("%v devices", n)
		}
	})
}

func TestAMasterTakesNoDeactivatedLicense(t *testing.T) {
	eachWorld(t, func(w *world) {
		organisation := w.organisation(1)
		before := w.master(organisation, "linux", "")
		first := w.wantCredits(w.delegated(before.body["master_key"].(string), "pc-1"), 1, 1)
		id := before.body["license_id"].(string)
		w.want(w.manage(http.MethodDelete, "/"+id, ""), http.StatusOK, "")
		w.want(w.delegation(http.MethodDelete, "/masters/"+before.body["master"].(string), ""), http.StatusOK, "")
		refused := w.delegation(http.MethodPost, "/organisations/"+organisation+"/masters",
			`{"product":"default","operating_system":"linux","license_id":"`+id+`"}`)
		w.want(refused, http.StatusBadRequest, errcode.ValidationError)
		if !strings.Contains(refused.raw, "not deactivated") {
			t.Errorf("the refusal: %s", refused.raw)
		}

		after := w.master(organisation, "linux", "")
		master, license := after.body["master_key"].(string), after.body["license_id"].(string)
		second := w.wantCredits(w.delegated(master, "pc-1"), 1, 1) // costs nothing
		payload, err := base64.StdEncoding.DecodeString(second)
		if err != nil || license == id || second == first || !strings.Contains(string(payload[64:]), license) {
			t.Errorf("license %s after %s, token %q", license, id, payload)
		}
		if again := w.wantCredits(w.delegated(master, "pc-1"), 1, 1); again != second {
			t.Errorf("another token: %s, %s", second, again)
		}
		if n := w.seatsTaken(license); n != 1.0 {
			t.Errorf("%v devices", n)
		}
	})
}

// A comment of a slave names the end user: erasing the customer of the license takes it away, used or not, and the
// audit log never had it.
func TestErasureForgetsTheCommentsOfSlaves(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(9, 0)
		organisation := w.organisation(9)
		made := w.master(organisation, "linux", `,"license_id":"`+id+`"`)
		other := w.master(organisation, "windows", "").body["master_key"].(string)
		slave := func(master, comment string) string {
			got := w.call(http.MethodPost, "/slaves", object("masterKey", master, "comment", comment))
			w.want(got, http.StatusOK, "")
			return got.body["key"].(string)
		}
		used := slave(made.body["master_key"].(string), "for planted-person")
		w.wantCredits(w.delegated(used, "pc-1"), 9, 1)
		listed := w.delegation(http.MethodGet, "/organisations/"+organisation+"/slaves", "")
		revoked := listed.body["slaves"].([]any)[0].(map[string]any)["slave"].(string)
		w.want(w.delegation(http.MethodDelete, "/slaves/"+revoked, ""), http.StatusOK, "")
		slave(made.body["master_key"].(string), "for planted-person")
		slave(other, "of another license")
		if at := w.stored([]string{"planted-person"}); !slices.Equal(at, []string{"delegated_slaves: planted-person"}) {
			t.Errorf("before: %v", at)
		}
		w.want(w.customers(http.MethodPost, "/acme/erase", ""), http.StatusOK, "")
		if at := w.stored([]string{"planted-person"}); len(at) > 0 {
			t.Errorf("left: %v", at)
		}
		if at := w.stored([]string{"of another license"}); len(at) != 1 {
			t.Errorf("of another license: %v", at)
		}
	})
}

func TestAKeyForRepetitionsIsRefusedAsAllIs(t *testing.T) {
	eachWorld(t, func(w *world) {
		master := w.masterKey(w.organisation(1), "linux")
		ask := func(comment string) answer {
			return w.call(http.MethodPost, "/slaves", object("masterKey", master, "comment", comment),
				"Idempotency-Key", "one")
		}
		w.want(ask("a"), http.StatusOK, "")
		w.wantRefused(ask("b"), http.StatusBadRequest, errcode.IdempotencyKeyReused)
	})
}

func TestCreditsAreKeptInBounds(t *testing.T) {
	eachWorld(t, func(w *world) {
		organisation := w.organisation(2)
		master := w.masterKey(organisation, "linux")
		w.wantCredits(w.delegated(master, "pc-1"), 2, 1)
		credits := "/organisations/" + organisation + "/credits"
		for _, body := range []string{`{"amount":-2,"reason":"typo"}`, `{"amount":0,"reason":"typo"}`,
			`{"amount":1000000000,"reason":"typo"}`, `{"amount":1}`, `{"amount":1.5,"reason":"typo"}`,
			`{"amount":99999999999999999999,"reason":"typo"}`} {
			w.want(w.delegation(http.MethodPost, credits, body), http.StatusBadRequest, errcode.ValidationError)
		}
		w.want(w.delegation(http.MethodPost, credits, `{"amount":-1,"reason":"typo"}`), http.StatusOK, "")
		w.wantRefused(w.delegated(master, "pc-2"), http.StatusBadRequest, errcode.CreditExhausted)
		for _, id := range []string{"29f45dfa37864357d8c02aa4", "x", strings.ToUpper(organisation)} {
			w.want(w.delegation(http.MethodGet, "/organisations/"+id, ""), http.StatusNotFound,
				errcode.OrganisationNotFound)
		}
	})
}

func TestDialectsCanBeSwitchedOff(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d, func(c *license.Config) { c.Dialects = []string{"none"} })
		got := w.ask(w.engine, http.MethodPost, "/activate", `{}`)
		w.want(got, http.StatusNotFound, errcode.NotFound)
	})
}
