package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

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

// rowsFrom is 30 rows of a call, from one on, forward or backward; form makes a row of its number.
func rowsFrom(first, step int, form string) string {
	rows := make([]string, 30)
	for i := range rows {
		rows[i] = fmt.Sprintf(form, (first+i*step+30)%30)
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
					return func() answer { return w.bulk(`{"licenses":[` + rowsFrom(first, step, form) + `]}`) }
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
