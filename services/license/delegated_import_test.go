package license_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/license"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
)

// A vendor moves to Latchkey with the keys that its partners and their customers have: they go on, devices that were
// activated before cost one credit and no more, and the import may be repeated.
func TestDelegatedKeysOfAnotherSystem(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		organisation := w.organisation(3)
		masterKey := strings.Repeat("master0123", 6)
		made := w.master(organisation, "linux", `,"master_key":"`+masterKey+`"`)
		if made.body["master_key"] != masterKey {
			t.Errorf("the master has another key: %s", made.raw)
		}
		used, spare := strings.Repeat("used012345", 14)+"==", strings.Repeat("spare01234", 14)+"="
		slaves := "/masters/" + made.body["master"].(string) + "/slaves"
		body := fmt.Sprintf(`{"slaves":[{"slave_key":%q,"comment":"company X","runtime_key":"pc-1"},{"slave_key":%q}]}`,
			used, spare)
		first := w.delegation(http.MethodPost, slaves, body)
		w.want(first, http.StatusOK, "")
		again := w.delegation(http.MethodPost, slaves, body)
		w.want(again, http.StatusOK, "")
		if first.body["created_count"] != 2.0 || again.body["unchanged_count"] != 2.0 {
			t.Errorf("%s\nthen %s", first.raw, again.raw)
		}
		w.credits(organisation, 1)

		token := w.delegated(used, "pc-1")
		w.want(token, http.StatusCreated, "")
		w.wantRefused(w.delegated(used, "pc-2"), http.StatusBadRequest, errcode.SlaveKeyUsed)
		w.want(w.delegated(spare, "pc-2"), http.StatusCreated, "")
		w.want(w.delegated(masterKey, "pc-3"), http.StatusCreated, "")
		w.credits(organisation, 3)
		w.want(w.call(http.MethodPost, "/slaves", object("masterKey", masterKey)), http.StatusOK, "")

		// What is refused writes nothing.
		other := w.master(organisation, "windows", "")
		refused := w.delegation(http.MethodPost, "/masters/"+other.body["master"].(string)+"/slaves", fmt.Sprintf(
			`{"slaves":[{"slave_key":%q},{"slave_key":"short"},{"slave_key":%q,"runtime_key":"pc-9"},`+
				`{"slave_key":%q},{"slave_key":"0000000000000000000000000000000000000000"}]}`,
			used, strings.Repeat("new0123456", 5), strings.Repeat("é", 50)))
		w.want(refused, http.StatusMultiStatus, "")
		if refused.body["failed_count"] != 5.0 || !strings.Contains(refused.raw, errcode.CreditExhausted) {
			t.Errorf("refused: %s", refused.raw)
		}
		w.want(w.delegation(http.MethodPost, slaves, `{"slaves":[]}`), http.StatusBadRequest, errcode.ValidationError)
		w.want(w.delegation(http.MethodPost, "/organisations/"+organisation+"/masters",
			`{"product":"default","operating_system":"mac","master_key":"`+masterKey+`"}`), http.StatusBadRequest,
			errcode.ValidationError)
		w.credits(organisation, 3)
		if n := w.delegation(http.MethodGet, "/organisations/"+organisation+"/slaves", "").body["total"]; n != 3.0 {
			t.Errorf("%v slaves, want 3", n)
		}
	})
}

// A slave with a member of a wrong type, or without its key, is refused alone.
func TestASlaveOfAWrongTypeIsRefusedAlone(t *testing.T) {
	eachWorld(t, func(w *world) {
		master := w.master(w.organisation(3), "linux", "").body["master"].(string)
		got := w.delegation(http.MethodPost, "/masters/"+master+"/slaves", fmt.Sprintf(
			`{"slaves":[{"slave_key":5},{"comment":"no key"},"text",{"slave_key":%q}]}`,
			strings.Repeat("key0123456", 5)))
		w.want(got, http.StatusMultiStatus, "")
		results, _ := got.body["results"].([]any)
		var outcomes []string
		for _, r := range results {
			outcomes = append(outcomes, fmt.Sprint(r.(map[string]any)["outcome"]))
		}
		if want := "failed failed failed created"; strings.Join(outcomes, " ") != want {
			t.Errorf("got %v, want %s: %s", outcomes, want, got.raw)
		}
	})
}

// A slave that is here may still get its device; it is told apart from what is left as it is. Nothing is imported that
// would not work.
func TestASlaveGetsItsDeviceByASecondImport(t *testing.T) {
	eachWorld(t, func(w *world) {
		organisation := w.organisation(3)
		master := w.master(organisation, "linux", "").body["master"].(string)
		key, other := strings.Repeat("key0123456", 5), strings.Repeat("other01234", 5)
		imports := func(slave string, status int, want string) answer {
			t.Helper()
			got := w.delegation(http.MethodPost, "/masters/"+master+"/slaves", `{"slaves":[`+slave+`]}`)
			if got.status != status || !strings.Contains(got.raw, want) {
				t.Errorf("%d %s, want %d with %s", got.status, got.raw, status, want)
			}
			return got
		}
		withDevice := fmt.Sprintf(`{"slave_key":%q,"runtime_key":"late"}`, key)
		imports(fmt.Sprintf(`{"slave_key":%q}`, key), http.StatusOK, `"outcome":"created"`)
		imports(withDevice, http.StatusOK, `"outcome":"updated"`)
		imports(withDevice, http.StatusOK, `"outcome":"unchanged"`)
		w.credits(organisation, 1)
		for _, outcome := range []string{"created", "updated"} {
			w.await(func(e event.Event) bool {
				return e.Type == "audit.recorded" && strings.Contains(string(e.Data), "delegated.import_slave") &&
					strings.Contains(string(e.Data), outcome)
			})
		}
		made := imports(fmt.Sprintf(`{"slave_key":%q}`, other), http.StatusOK, `"outcome":"created"`)
		slave := made.body["results"].([]any)[0].(map[string]any)["slave"].(map[string]any)["slave"].(string)
		w.want(w.delegation(http.MethodDelete, "/slaves/"+slave, ""), http.StatusOK, "")
		imports(fmt.Sprintf(`{"slave_key":%q}`, other), http.StatusMultiStatus, "was revoked")
		w.want(w.delegation(http.MethodDelete, "/masters/"+master, ""), http.StatusOK, "")
		imports(withDevice, http.StatusNotFound, errcode.MasterNotFound)
	})
}

// credits wants so many credits to be used.
func (w *world) credits(organisation string, used int) {
	w.t.Helper()
	got := w.delegation(http.MethodGet, "/organisations/"+organisation, "").body["used_credit"]
	if got != float64(used) {
		w.t.Errorf("%v credits are used, want %d", got, used)
	}
}

// One export is imported by two people at once, at two processes: each key is made once.
func TestSlavesAreImportedOnce(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		organisation := w.organisation(10)
		made := w.master(organisation, "linux", "")
		path := "/masters/" + made.body["master"].(string) + "/slaves"
		both := []*world{w, w.replica()}
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				body := fmt.Sprintf(`{"slaves":[{"slave_key":%q,"runtime_key":"pc-%d"}]}`,
					strings.Repeat("key0123456", 5)+fmt.Sprint(i%5), i%5)
				w.want(w.persist(func() answer {
					return both[i%2].delegation(http.MethodPost, path, body)
				}), http.StatusOK, "")
			})
		}
		all.Wait()
		w.credits(organisation, 5)
		if n := w.delegation(http.MethodGet, "/organisations/"+organisation+"/slaves", "").body["total"]; n != 5.0 {
			t.Errorf("%v slaves, want 5", n)
		}
	})
}

// TestAnImportCountsSlavesOnce: an organisation may have very many, and others wait for it while they are counted. What
// there is room for is made all the same, and no more.
func TestAnImportCountsSlavesOnce(t *testing.T) {
	const room = 3
	testkit.EachEngine(t, license.Migrations, func(t *testing.T, d *db.DB) {
		var counts atomic.Int64
		count := func(tx *gorm.DB) {
			if sql := tx.Statement.SQL.String(); strings.Contains(sql, "count(*)") && strings.Contains(sql, "slaves") {
				counts.Add(1)
			}
		}
		err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Callback().Query().After("gorm:query").Register("count", count)
		})
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, d)
		organisation := w.organisation(1)
		master := w.master(organisation, "linux", "").body["master"].(string)
		w.slaves(organisation, master, 1+delegation.SpareSlaves-room)
		rows := make([]string, room+2)
		for i := range rows {
			rows[i] = fmt.Sprintf(`{"slave_key":%q}`, strings.Repeat("key0123456", 5)+fmt.Sprint(i))
		}
		got := w.delegation(http.MethodPost, "/masters/"+master+"/slaves", `{"slaves":[`+strings.Join(rows, ",")+`]}`)
		w.want(got, http.StatusMultiStatus, "")
		if got.body["created_count"] != float64(room) || !strings.Contains(got.raw, errcode.SlaveLimitExceeded) {
			t.Errorf("with room for %d: %s", room, got.raw)
		}
		if n := counts.Load(); n != 1 {
			t.Errorf("the slaves were counted %d times", n)
		}
	})
}
