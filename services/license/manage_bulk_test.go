package license_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license"
)

// many makes n licenses of a customer and returns their ids.
func (w *world) many(customer string, n int, rest string) (ids []string) {
	w.t.Helper()
	row := fmt.Sprintf(`{"customer_id":%q%s}`, customer, rest)
	made := w.bulk(`{"licenses":[` + strings.Repeat(row+",", n-1) + row + `]}`)
	w.must(made, http.StatusCreated)
	for _, l := range made.body["created"].([]any) {
		ids = append(ids, l.(map[string]any)["license_id"].(string))
	}
	return ids
}

func (w *world) bulkChange(body string, headers ...string) answer {
	w.t.Helper()
	return w.manage(http.MethodPost, "/bulk", body, headers...)
}

// results are the outcomes of a bulk change by license.
func results(a answer) map[string]map[string]any {
	found := map[string]map[string]any{}
	for _, r := range a.body["results"].([]any) {
		result := r.(map[string]any)
		found[result["license_id"].(string)] = result
	}
	return found
}

// atChunk does something when so many licenses of a bulk change are done.
type atChunk struct {
	slog.Handler
	done int
	then func()
}

// Handle implements slog.Handler.
func (h *atChunk) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if r.Message == "bulk change" && a.Key == "done" && a.Value.Int64() == int64(h.done) {
			h.then()
		}
		return true
	})
	return h.Handler.Handle(ctx, r)
}

func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// Each action does what the call for one license does; a dry run says it before and does nothing.
func TestBulkActions(t *testing.T) {
	for _, test := range []struct{ name, terms, action, params, member, to string }{
		{"renew", `,"expires_at":"2099-01-01T00:00:00Z"`,
			"renew", `{"days":10}`, "expires_at", `"2099-01-11T00:00:00Z"`},
		{"suspend", ``, "suspend", `{"reason":"unpaid"}`, "suspension_reason", `"unpaid"`},
		{"deactivate", ``, "deactivate", `{"reason":"gone"}`, "is_active", `false`},
		{"convert", `,"is_trial":true`, "convert", `{"max_devices":7}`, "is_trial", `false`},
		{"update", ``, "update", `{"max_devices":9}`, "max_devices", `9`},
		{"change-policy", ``, "change-policy", `{"policy":"school"}`, "policy", `"school"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				w.want(w.ask(w.admin, "POST", "/api/v1/admin/policies", `{"code":"school","grace_hours":24}`),
					http.StatusCreated, "")
				ids := w.many("acme", 3, test.terms)
				body := fmt.Sprintf(`{"action":%q,"params":%s,"license_ids":%s`, test.action, test.params, text(ids))
				before := w.get(ids[0])["version"]
				for dryRun, version := range map[string]any{"": before, `,"dry_run":true`: before} {
					tried := w.bulkChange(body + dryRun + "}")
					w.want(tried, http.StatusOK, "")
					change, _ := results(tried)[ids[0]]["change"].(map[string]any)[test.member].(map[string]any)
					if text(change["to"]) != test.to || tried.body["dry_run"] != true ||
						w.get(ids[0])["version"] != version {
						t.Errorf("dry run: %s", tried.raw)
					}
				}
				done := w.bulkChange(body + `,"dry_run":false}`)
				w.want(done, http.StatusOK, "")
				for _, id := range ids {
					change, _ := results(done)[id]["change"].(map[string]any)[test.member].(map[string]any)
					if text(change["to"]) != test.to || text(w.get(id)[test.member]) != test.to {
						t.Errorf("%s: %s", id, done.raw)
					}
				}
				if done.body["ok_count"] != 3.0 || done.body["failed_count"] != 0.0 {
					t.Errorf("%s", done.raw)
				}
			})
		})
	}
}

// A dry run counts the places of the group, those of devices too, that the run would give away.
func TestBulkIntoAGroup(t *testing.T) {
	for name, limit := range map[string]string{"licenses": `,"max_licenses":2`, "devices": `,"max_devices":5`} {
		t.Run(name, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				w.unlimitedCalls()
				group, ids := w.group(limit), w.many("a", 3, `,"max_devices":2`)
				for _, id := range ids {
					key := w.manage(http.MethodPost, "/"+id+"/reveal-key", "").body["license_key"].(string)
					for _, pc := range []string{"one", "two"} {
						w.want(w.post("activate", device(key, pc)), http.StatusCreated, "")
					}
				}
				body := fmt.Sprintf(`{"action":"update","params":{"group_id":%q},"license_ids":%s`, group, text(ids))
				tried := w.bulkChange(body + "}")
				done := w.bulkChange(body + `,"dry_run":false}`)
				if done.status != http.StatusMultiStatus || done.body["ok_count"] != 2.0 {
					t.Errorf("%d %s", done.status, done.raw)
				}
				if told := strings.Replace(tried.raw, `"dry_run":true`, `"dry_run":false`, 1); told != done.raw {
					t.Errorf("the dry run tells\n%s\nwant\n%s", tried.raw, done.raw)
				}
			})
		})
	}
}

func TestBulkOfAnUnknownGroup(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.bulkChange(fmt.Sprintf(`{"action":"renew","filter":{"group_id":%q}}`, unknown)), http.StatusOK, "")
	})
}

// lostLocks counts the statements that the database ended because transactions waited for each other: those who call
// try again, and hide it. Nothing may use the database yet.
func lostLocks(d *db.DB) *atomic.Int64 {
	var lost atomic.Int64
	count := func(tx *gorm.DB) {
		if db.IsRetryable(tx.Error) {
			lost.Add(1)
		}
	}
	on := d.Read(context.Background()).Callback()
	_ = on.Create().After("*").Register("count", count) // names that are free never fail
	_ = on.Query().After("*").Register("count", count)
	_ = on.Update().After("*").Register("count", count)
	_ = on.Row().After("*").Register("count", count)
	_ = on.Raw().After("*").Register("count", count)
	return &lost
}

// While licenses move into a group, devices take seats on them, and neither waits for what the other has.
func TestBulkIntoAGroupBesideActivations(t *testing.T) {
	testkit.EachEngine(t, license.Migrations, func(t *testing.T, d *db.DB) {
		lost := lostLocks(d)
		w := newWorld(t, d)
		w.unlimitedCalls()
		from, to := w.group(""), w.group("")
		move := w.many("a", 50, `,"max_devices":null,"group_id":"`+from+`"`)
		stay := w.many("a", 50, `,"max_devices":null,"group_id":"`+to+`"`)
		keys := make([]string, len(stay))
		for i, id := range stay {
			keys[i] = w.manage(http.MethodPost, "/"+id+"/reveal-key", "").body["license_key"].(string)
		}
		moved := func(ids []string, group string) {
			body := fmt.Sprintf(`{"action":"update","params":{"group_id":%q},"license_ids":%s,"dry_run":false}`,
				group, text(ids))
			if done := w.bulkChange(body); done.status != http.StatusOK {
				t.Errorf("the move: %d %s", done.status, done.raw)
			}
		}
		var all sync.WaitGroup
		var over atomic.Bool
		all.Go(func() {
			for range 2 {
				moved(slices.Concat(move, stay), to) // the group is locked when those that stay are visited
				moved(move, from)
			}
			over.Store(true)
		})
		for caller := range 4 {
			all.Go(func() {
				for n := caller; !over.Load(); n += 4 {
					body := device(keys[len(keys)-1-n%len(keys)], fmt.Sprint("pc-", n))
					got := w.persist(func() answer { return w.post("activate", body) })
					if got.status != http.StatusCreated {
						t.Errorf("an activation: %d %s", got.status, got.raw)
					}
				}
			})
		}
		all.Wait()
		if n := lost.Load(); n > 0 {
			t.Errorf("%d statements were ended by deadlocks", n)
		}
	})
}

// Suspended and deactivated licenses come back by the filter of their status.
func TestBulkByFilter(t *testing.T) {
	eachWorld(t, func(w *world) {
		mine, others := w.many("acme", 4, ""), w.many("other", 2, "")
		w.want(w.bulkChange(`{"action":"suspend","params":{"reason":"x"},"filter":{"customer_id":"acme"},`+
			`"dry_run":false}`), http.StatusOK, "")
		if w.get(mine[3])["status"] != "suspended" || w.get(others[0])["status"] != "active" {
			t.Error("not exactly the licenses of the filter are suspended")
		}
		done := w.bulkChange(`{"action":"reinstate","filter":{"status":"suspended"},"dry_run":false}`)
		if done.body["ok_count"] != 4.0 || w.get(mine[0])["status"] != "active" {
			t.Errorf("%s", done.raw)
		}
		if none := w.bulkChange(`{"action":"reinstate","filter":{"status":"suspended"},` +
			`"dry_run":false}`); none.body["ok_count"] != 0.0 {
			t.Errorf("%s", none.raw)
		}
	})
}

func TestBulkByMetadata(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.many("acme", 2, "")
		tagged := w.many("acme", 1, `,"metadata":{"order":"A-1"},"is_trial":true`)
		for filter, want := range map[string]float64{
			`{"metadata":{"order":"A-1"}}`:                   1,
			`{"metadata":{"order":"A-1"},"is_trial":true}`:   1,
			`{"metadata":{"order":"A-1"},"is_trial":false}`:  0,
			`{"metadata":{"order":"A-1","shop":"internet"}}`: 0,
		} {
			got := w.bulkChange(`{"action":"suspend","params":{"reason":"x"},"filter":` + filter + `}`)
			if got.body["ok_count"] != want {
				t.Errorf("%s: %s", filter, got.raw)
			}
		}
		w.want(w.bulkChange(`{"action":"suspend","params":{"reason":"x"},"filter":{"metadata":{"order":"A-1"}},`+
			`"dry_run":false}`), http.StatusOK, "")
		if w.get(tagged[0])["status"] != "suspended" {
			t.Error("the license of the filter is not suspended")
		}
	})
}

// What cannot change fails alone, and leaves nothing behind.
func TestBulkRefusalsStandAlone(t *testing.T) {
	eachWorld(t, func(w *world) {
		good, perpetual := w.many("a", 1, `,"expires_in_days":5`)[0], w.many("a", 1, "")[0]
		body := fmt.Sprintf(`{"action":"renew","params":{"days":1},"license_ids":[%q,%q,%q,"x",%q],"dry_run":false}`,
			good, perpetual, unknown, strings.ToUpper(good))
		done := w.bulkChange(body)
		w.want(done, http.StatusMultiStatus, "")
		got := results(done)
		want := map[string]any{
			good:      nil,
			perpetual: "LICENSE_PERPETUAL",
			unknown:   "LICENSE_NOT_FOUND",
			"x":       "LICENSE_NOT_FOUND",
		}
		for id, code := range want {
			if got[id] == nil || got[id]["error_code"] != code || (got[id]["ok"] == true) != (code == nil) {
				t.Errorf("%s: %v, want %v", id, got[id], code)
			}
		}
		if len(got) != 4 || done.body["failed_count"] != 3.0 || w.get(perpetual)["version"] != 1.0 ||
			w.get(good)["version"] != 2.0 {
			t.Errorf("%s", done.raw)
		}
	})
}

// A call that broke off after some chunks is repeated with its key: what is done stays as it is, the rest is done, and
// each license has one event. The licenses that a filter found at first are those that change, also when it would find
// others now.
func TestBulkGoesOnAfterItBrokeOff(t *testing.T) {
	eachWorld(t, func(w *world) {
		ids := w.many("acme", 450, `,"expires_at":"2099-01-01T00:00:00Z"`)
		const body = `{"action":"renew","params":{"days":1},"filter":{"expires_before":"2099-01-01T12:00:00Z"},` +
			`"dry_run":false}`
		ctx, leave := context.WithCancel(t.Context())
		w.log = slog.New(&atChunk{Handler: testkit.Log(t).Handler(), done: 200, then: leave})
		req := httptest.NewRequestWithContext(ctx, http.MethodPost, managed+"/bulk", strings.NewReader(body))
		req.Header.Set("Idempotency-Key", "renewal")
		broken := httptest.NewRecorder()
		w.replica().admin.ServeHTTP(broken, req)
		if broken.Code != http.StatusServiceUnavailable {
			t.Errorf("broken off: %d %s", broken.Code, broken.Body)
		}
		if _, changed := w.list(url.Values{"expires_after": {"2099-01-02"}}); changed != 200 {
			t.Errorf("%d licenses are changed, want 200", changed)
		}
		other := strings.Replace(body, "1", "2", 1)
		w.want(w.bulkChange(other, "Idempotency-Key", "renewal"), http.StatusUnprocessableEntity,
			"IDEMPOTENCY_KEY_REUSED")
		var done answer
		testkit.Eventually(t, patience, func() error { // the key is given back once the database knows it
			if done = w.bulkChange(body, "Idempotency-Key", "renewal"); done.status != http.StatusOK {
				return fmt.Errorf("%d %s", done.status, done.raw)
			}
			return nil
		})
		if done.body["ok_count"] != 450.0 || done.header.Get("Idempotency-Replayed") != "" {
			t.Errorf("%v of %d licenses are done, replayed %q",
				done.body["ok_count"], len(ids), done.header.Get("Idempotency-Replayed"))
		}
		again := w.bulkChange(body, "Idempotency-Key", "renewal")
		if again.raw != done.raw || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("the repeated answer differs, or is not marked")
		}
		for _, id := range []string{ids[0], ids[199], ids[200], ids[449]} {
			if l := w.get(id); l["expires_at"] != "2099-01-02T00:00:00Z" || l["version"] != 2.0 {
				t.Errorf("%s ends at %v with version %v", id, l["expires_at"], l["version"])
			}
		}
		testkit.Eventually(t, patience, func() error {
			w.mu.Lock()
			defer w.mu.Unlock()
			renewals := map[string]string{} // a relay may publish one twice
			for _, e := range w.published {
				if e.Type == "license.renewed" {
					if id := renewals[e.Subject]; id != "" && id != e.ID {
						t.Fatalf("%s has several events", e.Subject)
					}
					renewals[e.Subject] = e.ID
				}
			}
			if len(renewals) != 450 {
				return fmt.Errorf("events of %d licenses", len(renewals))
			}
			return nil
		})
	})
}

func TestApplyPolicy(t *testing.T) {
	eachWorld(t, func(w *world) {
		policies := func(method, path, body string) answer {
			return w.ask(w.admin, method, "/api/v1/admin/policies"+path, body)
		}
		w.want(policies("POST", "", `{"code":"school","max_devices":5}`), http.StatusCreated, "")
		of, other := w.many("a", 2, `,"policy":"school"`), w.many("a", 1, "")[0]
		w.want(policies("PATCH", "/school", `{"max_devices":8}`), http.StatusOK, "")
		tried := policies("POST", "/school/apply", "")
		change := results(tried)[of[0]]["change"]
		if text(change) != `{"max_devices":{"from":5,"to":8}}` || tried.body["ok_count"] != 2.0 ||
			w.get(of[0])["max_devices"] != 5.0 {
			t.Errorf("%s", tried.raw)
		}
		w.want(policies("POST", "/school/apply", `{"dry_run":false}`), http.StatusOK, "")
		if w.get(of[1])["max_devices"] != 8.0 || w.get(other)["version"] != 1.0 {
			t.Error("the policy was not applied to its licenses alone")
		}
		again := policies("POST", "/school/apply", `{"dry_run":false}`)
		if text(results(again)[of[0]]["change"]) != `{}` || w.get(of[0])["version"] != 2.0 {
			t.Errorf("%s", again.raw)
		}
		w.want(policies("POST", "/none/apply", ""), http.StatusNotFound, "POLICY_NOT_FOUND")
	})
}

func TestBulkInput(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t, license.Migrations...))
	ids := strings.Repeat(`"x",`, 10_000) + `"x"`
	for _, bad := range []string{
		`{}`, `{"action":"renew"}`, `{"action":"explode","license_ids":["x"]}`, `{"action":7,"license_ids":["x"]}`,
		`{"action":"renew","license_ids":["x"],"filter":{"status":"active"}}`, `{"action":"renew","filter":{}}`,
		`{"action":"renew","filter":{"status":"happy"}}`, `{"action":"renew","filter":{"customer_id":""}}`,
		`{"action":"renew","filter":{"metadata":{}}}`, `{"action":"renew","filter":{"metadata":{"a":""}}}`,
		`{"action":"renew","filter":{"metadata":{"a":1}}}`,
		`{"action":"renew","filter":{"metadata":{"a":"1","b":"1","c":"1","d":"1"}}}`,
		`{"action":"renew","filter":{"color":"red"}}`, `{"action":"renew","filter":{"group_id":"x"}}`,
		`{"action":"renew","params":{"days":0},"license_ids":["x"]}`,
		`{"action":"renew","params":{"weeks":1},"license_ids":["x"]}`,
		`{"action":"reinstate","params":{"days":1},"license_ids":["x"]}`,
		`{"action":"suspend","params":{},"license_ids":["x"]}`, `{"action":"change-policy","license_ids":["x"]}`,
		`{"action":"change-policy","params":{"policy":"none"},"license_ids":["x"]}`,
		`{"action":"update","params":[],"license_ids":["x"]}`,
		`{"action":"update","params":{"license_key":"a"},"license_ids":["x"]}`,
		`{"action":"renew","license_ids":[` + ids + `]}`,
		`{"action":"renew","license_ids":["` + strings.Repeat("x", 300) + `"]}`,
		`{"action":"renew","license_ids":["a\u0000"]}`,
		`{"action":"deactivate","params":{"reason":"` + strings.Repeat("x", 300) + `"},"license_ids":["x"]}`,
	} {
		w.want(w.bulkChange(bad), http.StatusBadRequest, "VALIDATION_ERROR")
	}
	if got := w.bulkChange(`{"action":"renew","license_ids":[]}`); got.status != http.StatusOK ||
		len(got.body["results"].([]any)) != 0 {
		t.Errorf("%s", got.raw)
	}
}

// A change that is too long to be shown ten thousand times is named without its values.
func TestBulkChangesAreShort(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t, license.Migrations...))
	id := w.many("a", 1, "")[0]
	body := fmt.Sprintf(`{"action":"update","params":{"metadata":{"x":%q}},"license_ids":[%q]}`,
		strings.Repeat("x", 3000), id)
	if got := w.bulkChange(body); text(results(got)[id]["change"]) != `{"metadata":{}}` {
		t.Errorf("%s", got.raw)
	}
}
