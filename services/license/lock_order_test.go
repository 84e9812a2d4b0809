package license_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license"
)

// eachCrowd has a test with many calls at once fail where the database ended a transaction because of a deadlock, which
// callers do not see as long as it is carried out again.
func eachCrowd(t *testing.T, test func(w *world)) {
	testkit.EachEngine(t, license.Migrations, func(t *testing.T, d *db.DB) {
		lost := lostLocks(d)
		w := newWorld(t, d)
		w.unlimitedCalls()
		test(w)
		if n := lost.Load(); n > 0 && d.Engine() == db.Postgres {
			t.Errorf("%d statements were ended by deadlocks", n)
		}
	})
}

// atOnce makes calls at the same time and returns their answers in their order.
func (w *world) atOnce(calls ...func() answer) []answer {
	answers := make([]answer, len(calls))
	var all sync.WaitGroup
	for i, call := range calls {
		all.Go(func() { answers[i] = w.persist(call) })
	}
	all.Wait()
	return answers
}

// TestBundlesAtOnce: however many change at once, no bundle is in a bundle, and each has its products.
func TestBundlesAtOnce(t *testing.T) {
	eachCrowd(t, func(w *world) {
		for i := range 5 {
			w.must(w.products(http.MethodPost, "", fmt.Sprintf(`{"code":"p%d"}`, i)), http.StatusCreated)
		}
		var calls []func() answer
		for i := range 40 {
			calls = append(calls, func() answer {
				switch one, other := fmt.Sprintf("p%d", i%5), fmt.Sprintf("p%d", (i+1+i/10)%5); {
				case i%8 == 6:
					return w.products(http.MethodDelete, "/"+one, "")
				case i%8 == 7:
					return w.products(http.MethodPost, "",
						fmt.Sprintf(`{"code":"b%d","bundle":[%q,%q]}`, i, other, one))
				default:
					return w.products(http.MethodPatch, "/"+one, fmt.Sprintf(`{"bundle":[%q]}`, other))
				}
			})
		}
		w.atOnce(calls...)
		bundles := map[string][]any{}
		for _, p := range w.products(http.MethodGet, "", "").body["products"].([]any) {
			p := p.(map[string]any)
			bundles[p["code"].(string)] = p["bundle"].([]any)
		}
		for code, bundle := range bundles {
			for _, inner := range bundle {
				if of, known := bundles[inner.(string)]; !known || len(of) > 0 {
					w.t.Errorf("%s has %v, which has %v (is there: %v)", code, inner, of, known)
				}
			}
		}
	})
}

// rowsFrom is n rows of a call, from one on, forward or backward; form makes a row of its number.
func rowsFrom(n, first, step int, form string) string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf(form, (first+i*step+n)%n)
	}
	return strings.Join(rows, ",")
}

// TestBulkCreatesAtOnce: calls that make the same products and customers, and bring the same keys, in another order.
func TestBulkCreatesAtOnce(t *testing.T) {
	for name, form := range map[string]string{
		"products":  `{"customer_id":"a","product":"Made %d"}`,
		"customers": `{"customer_id":"customer-%d"}`,
		"keys":      `{"customer_id":"a","license_key":"OLIVE-TREE-%02d-AB"}`,
	} {
		t.Run(name, func(t *testing.T) {
			eachCrowd(t, func(w *world) {
				create := func(first, step int) func() answer {
					return func() answer { return w.bulk(`{"licenses":[` + rowsFrom(30, first, step, form) + `]}`) }
				}
				created := 0.0
				for _, done := range w.atOnce(create(0, 1), create(29, -1), create(15, 1), create(14, -1)) {
					if done.status != http.StatusCreated && done.status != http.StatusMultiStatus {
						w.t.Fatalf("%d %s", done.status, done.raw)
					}
					created += done.body["created_count"].(float64)
				}
				if want := map[bool]float64{true: 30, false: 120}[name == "keys"]; created != want {
					w.t.Errorf("%v created, want %v", created, want)
				}
			})
		})
	}
}

// wantNone5xx wants answers that are no failures of ours, whatever the rows came to.
func (w *world) wantNone5xx(answers []answer) {
	w.t.Helper()
	for _, a := range answers {
		if a.status >= http.StatusInternalServerError {
			w.t.Errorf("%d %s", a.status, a.raw)
		}
	}
}

// TestImportsAtOnce: imports, dry runs among them, name the same in another order, beside others that name it.
func TestImportsAtOnce(t *testing.T) {
	for name, rest := range map[string]string{
		"keys":      `"license_key":"OLIVE-TREE-%02[1]d-AB","customer_id":"acme"`,
		"products":  `"license_key":"OLIVE-TREE-%02[1]d-@","customer_id":"acme","product":"Made %[1]d"`,
		"customers": `"license_key":"OLIVE-TREE-%02[1]d-@","customer_id":"c%[1]d","customer":{"name":"@%[1]d"}`,
		"users": `"license_key":"OLIVE-TREE-%02[1]d-@","customer_id":"acme","product":"studio",` +
			`"users":[{"email":"u%[1]d@acme.example"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			eachCrowd(t, func(w *world) {
				w.studio()
				imports := func(by string, first, step int, options string) func() answer {
					rows := rowsFrom(10, first, step, "{"+strings.ReplaceAll(rest, "@", by)+"}")
					return func() answer { return w.importing(rows, options) }
				}
				create := func() answer {
					return w.bulk(`{"licenses":[` + rowsFrom(10, 9, -1,
						`{"license_key":"OLIVE-TREE-%02[1]d-AB","customer_id":"c%[1]d","product":"Made %[1]d"}`) + `]}`)
				}
				w.wantNone5xx(w.atOnce(imports("AB", 0, 1, forReal), imports("CD", 9, -1, forReal), create,
					imports("EF", 9, -1, ""), imports("GH", 5, 1, forReal), imports("IJ", 4, -1, "")))
			})
		})
	}
}

// TestImportsOfLicensesThatAreHere: at the same time as a dry run, a bulk change, activations and an erasure.
func TestImportsOfLicensesThatAreHere(t *testing.T) {
	eachCrowd(t, func(w *world) {
		groups := [2]string{w.group(""), w.group("")}
		row := func(group string, seats int) string {
			return `{"license_key":"OLIVE-TREE-%02[1]d-AB","customer_id":"c%[1]d","group_id":"` + group +
				fmt.Sprintf(`","max_devices":%d,"customer":{"phone":"%d"}}`, seats, seats)
		}
		made := w.importing(rowsFrom(20, 0, 1, row(groups[0], 50)), forReal)
		w.must(made, http.StatusOK)
		var ids []string
		for _, r := range made.body["results"].([]any) {
			ids = append(ids, r.(map[string]any)["license_id"].(string))
		}
		imports := func(step int, group string, seats int, options string) func() answer {
			rows := rowsFrom(20, 20, step, row(group, seats))
			return func() answer { return w.importing(rows, `,"existing":"update"`+options) }
		}
		calls := []func() answer{
			imports(1, groups[1], 51, forReal), imports(-1, groups[0], 52, forReal), imports(-1, groups[1], 53, ""),
			func() answer {
				return w.bulkChange(`{"action":"update","params":{"group_id":"` + groups[1] + `"},"license_ids":` +
					text(ids) + forReal + `}`)
			},
			func() answer { return w.customers(http.MethodPost, "/c7/erase", "") },
		}
		for i := range 10 {
			calls = append(calls, func() answer {
				return w.post("activate", device(fmt.Sprintf("OLIVE-TREE-%02d-AB", 2*i), "pc"))
			})
		}
		w.wantNone5xx(w.atOnce(calls...))
	})
}

// TestACallThatADeadlockEnded is carried out again, with an Idempotency-Key and without: its caller hears nothing.
func TestACallThatADeadlockEnded(t *testing.T) {
	for name, headers := range map[string][]string{"plain": nil, "with a key": {"Idempotency-Key", "1"}} {
		t.Run(name, func(t *testing.T) {
			d := testkit.Open(t, db.Config{URL: testkit.Postgres(t)}, license.Migrations...)
			lost := lostLocks(d)
			w := newWorld(t, d)
			w.studio()
			id, _ := w.with(`"product":"studio"`)
			user := w.ada("")
			done := make(chan answer, 1)
			err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
				// The other one is to end: it looks for circles, and this one does not.
				err := tx.Exec("SET LOCAL deadlock_timeout = '1h'").Error
				if err == nil {
					err = tx.Exec("SELECT 1 FROM users WHERE id = ? FOR UPDATE", user).Error
				}
				if err != nil {
					return err
				}
				go func() { done <- w.manage(http.MethodPut, "/"+id+"/users/"+user, "", headers...) }()
				testkit.Eventually(t, 10*time.Second, func() error {
					var waiting int
					err := d.Read(t.Context()).Raw(`SELECT count(*) FROM pg_stat_activity
						WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting).Error
					if err == nil && waiting == 0 {
						err = errors.New("nobody waits")
					}
					return err
				})
				return tx.Exec("SELECT 1 FROM licenses WHERE id = ? FOR UPDATE", id).Error
			})
			if err != nil {
				t.Fatal(err)
			}
			w.want(<-done, http.StatusOK, "")
			if n := lost.Load(); n != 1 {
				t.Errorf("%d statements were ended by deadlocks, want 1", n)
			}
		})
	}
}
