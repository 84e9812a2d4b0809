package license_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// customers asks what ada asks at admin; path goes on below /api/v1/admin/customers.
func (w *world) customers(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.ask(w.admin, method, "/api/v1/admin/customers"+path, body, headers...)
}

const adaLovelace = `{"name":"Ada Lovelace","email":"Ada@Example.com","company":"Engines","phone":"+44 1",` +
	`"metadata":{"vip":true},` +
	`"address":{"line1":"1 Street","city":"London","country":"GB"}}`

func TestCustomersAreMadeByTheirFirstLicense(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.customers("GET", "/acme", ""), http.StatusNotFound, "CUSTOMER_NOT_FOUND")
		id := w.manage("POST", "", `{"customer_id":"acme"}`).body["license_id"].(string)
		w.want(w.manage("POST", "/bulk-create",
			`{"licenses":[{"customer_id":"acme"},{"customer_id":"b"},{"customer_id":""}]}`), 207, "")
		got := w.customers("GET", "/acme", "")
		w.want(got, http.StatusOK, "")
		if got.body["name"] != nil || got.body["version"] != 1.0 || got.header.Get("ETag") != `"1"` {
			w.t.Errorf("%s", got.raw)
		}
		w.want(w.manage("DELETE", "/"+id, ""), http.StatusOK, "")
		want := map[string]any{
			"total": 2.0, "active": 1.0, "inactive": 1.0, "in_grace": 0.0, "not_started": 0.0, "expired": 0.0,
			"suspended": 0.0,
		}
		if diff := cmp.Diff(want, w.customers("GET", "/acme", "").body["licenses"]); diff != "" {
			w.t.Error(diff)
		}
		w.want(w.manage("PATCH", "/"+id, `{"customer_id":"moved"}`), http.StatusOK, "")
		w.want(w.customers("GET", "/moved", ""), http.StatusOK, "")
		if list := w.customers("GET", "", ""); list.body["total"] != 3.0 {
			w.t.Errorf("%s", list.raw)
		}
	})
}

func TestARefusedLicenseMakesNoCustomer(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.manage("POST", "", `{"customer_id":"a","license_key":"the-key-of-a-license"}`), http.StatusCreated, "")
		w.want(w.manage("POST", "", `{"customer_id":"b","license_key":"the-key-of-a-license"}`), http.StatusConflict,
			"LICENSE_KEY_EXISTS")
		w.want(w.customers("GET", "/b", ""), http.StatusNotFound, "CUSTOMER_NOT_FOUND")
	})
}

func TestPutAndChangeCustomers(t *testing.T) {
	eachWorld(t, func(w *world) {
		made := w.customers("PUT", "/ada@example.com", adaLovelace)
		w.want(made, http.StatusCreated, "")
		again := w.customers("PUT", "/ada@example.com", adaLovelace)
		w.want(again, http.StatusOK, "")
		if diff := cmp.Diff(made.body, again.body); diff != "" || made.body["version"] != 1.0 {
			w.t.Errorf("%s %s", made.raw, diff)
		}
		w.clock.Advance(time.Minute)
		changed := w.customers("PATCH", "/ada@example.com", `{"phone":null,"company":"Analytical"}`, "If-Match", `"1"`)
		w.want(changed, http.StatusOK, "")
		want := made.body
		want["phone"], want["company"], want["version"] = nil, "Analytical", 2.0
		want["updated_at"] = w.clock.Now().UTC().Format(time.RFC3339Nano)
		if diff := cmp.Diff(want, changed.body); diff != "" {
			w.t.Error(diff)
		}
		same := w.customers("PATCH", "/ada@example.com", `{"company":"Analytical"}`)
		if same.body["version"] != 2.0 {
			w.t.Errorf("a change of nothing: %s", same.raw)
		}
		w.want(w.customers("PATCH", "/ada@example.com", `{}`, "If-Match", `"1"`), http.StatusPreconditionFailed,
			"VERSION_MISMATCH")
		replaced := w.customers("PUT", "/ada@example.com", `{"name":"A"}`)
		w.want(replaced, http.StatusOK, "")
		if replaced.body["email"] != nil || replaced.body["version"] != 3.0 {
			w.t.Errorf("%s", replaced.raw)
		}
		if entry := string(w.audited("customer.update").Data); strings.Contains(entry, "Analytical") {
			w.t.Errorf("the audit log holds what is known of a person: %s", entry)
		}
		w.audited("customer.create")
	})
}

func TestCustomersThatAreRefused(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.customers("PUT", "/a", adaLovelace), http.StatusCreated, "")
		before := w.customers("GET", "/a", "")
		long := strings.Repeat("x", 256)
		for _, bad := range []string{
			`{"email":"nobody"}`, `{"email":"Ada <ada@example.com>"}`, `{"name":"` + long + `"}`,
			`{"address":{"country":"Germany"}}`,
			`{"address":{"street":"x"}}`, `{"address":[]}`, `{"metadata":[]}`, `{"customer_id":"b"}`,
			`{"erased_at":null}`, `{"nmae":"x"}`, `[]`,
			`{"name":"a\u0000b"}`, `{} {}`, `{"metadata":{"x":"` + strings.Repeat("y", 64<<10) + `"}}`,
		} {
			for _, method := range []string{"PUT", "PATCH"} {
				w.want(w.customers(method, "/a", bad), http.StatusBadRequest, "VALIDATION_ERROR")
				w.want(w.customers(method, "/none", bad), http.StatusBadRequest, "VALIDATION_ERROR")
			}
		}
		w.want(w.customers("PUT", "/"+long, `{}`), http.StatusBadRequest, "VALIDATION_ERROR")
		w.want(w.customers("PUT", "/%00", `{}`), http.StatusBadRequest, "VALIDATION_ERROR")
		for _, id := range []string{"none", "%00", "%ff", long} {
			w.want(w.customers("GET", "/"+id, ""), http.StatusNotFound, "CUSTOMER_NOT_FOUND")
			w.want(w.customers("PATCH", "/"+id, `{}`), http.StatusNotFound, "CUSTOMER_NOT_FOUND")
		}
		w.want(w.customers("PUT", "/new", `{}`, "If-Match", `"1"`), http.StatusPreconditionFailed, "VERSION_MISMATCH")
		w.want(w.customers("GET", "/new", ""), http.StatusNotFound, "CUSTOMER_NOT_FOUND")
		for _, bad := range []string{"?page=0", "?per_page=101", "?cursor=x", "?name=x", "?search=" + long,
			"?search=%00"} {
			w.want(w.customers("GET", bad, ""), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		if diff := cmp.Diff(before.body, w.customers("GET", "/a", "").body); diff != "" {
			w.t.Errorf("a refused call was carried out:\n%s", diff)
		}
	})
}

func TestListCustomers(t *testing.T) {
	eachWorld(t, func(w *world) {
		for i := range 5 {
			body := fmt.Sprintf(`{"email":"p%d@EXAMPLE.com","company":"Übung %d"}`, i, i)
			w.want(w.customers("PUT", fmt.Sprintf("/c-%d", i), body), http.StatusCreated, "")
			w.clock.Advance(time.Second)
		}
		ids := func(query url.Values) (ids []string, cursor any) {
			list := w.customers("GET", "?"+query.Encode(), "")
			w.want(list, http.StatusOK, "")
			for _, c := range list.body["customers"].([]any) {
				ids = append(ids, c.(map[string]any)["customer_id"].(string))
			}
			return ids, list.body["next_cursor"]
		}
		for search, want := range map[string]string{
			"c-": "c-4 c-3 c-2 c-1 c-0", "c-3": "c-3", "P2@example": "c-2", "übung 1": "c-1", "C-": "",
			"p": "c-4 c-3 c-2 c-1 c-0", "%": "",
		} {
			if got, _ := ids(url.Values{"search": {search}}); strings.Join(got, " ") != want {
				w.t.Errorf("%s: %v", search, got)
			}
		}
		first, cursor := ids(url.Values{"per_page": {"2"}})
		second, _ := ids(url.Values{"per_page": {"2"}, "cursor": {cursor.(string)}})
		if got := strings.Join(append(first, second...), " "); got != "c-4 c-3 c-2 c-1" {
			w.t.Error(got)
		}
		if got, _ := ids(url.Values{"customer_id": {"c-2"}}); strings.Join(got, " ") != "c-2" {
			w.t.Error(got)
		}
	})
}

// TestCustomersOfOlderLicenses: licenses that an older program made have customers as soon as somebody asks.
func TestCustomersOfOlderLicenses(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, id := range []string{"asked", "changed", "put", "listed"} {
			w.want(w.manage("POST", "", `{"customer_id":"`+id+`"}`), http.StatusCreated, "")
		}
		created := w.customers("GET", "/asked", "").body["created_at"]
		forget := func(_ context.Context, tx *gorm.DB) error { return tx.Exec("DELETE FROM customers").Error }
		if err := w.db.Tx(w.t.Context(), forget); err != nil {
			w.t.Fatal(err)
		}
		w.clock.Advance(time.Hour)
		if got := w.customers("GET", "/asked", ""); got.body["created_at"] != created {
			w.t.Errorf("%s, made %v", got.raw, created)
		}
		w.want(w.customers("PATCH", "/changed", `{"name":"x"}`), http.StatusOK, "")
		w.want(w.customers("PUT", "/put", `{"name":"x"}`), http.StatusOK, "")
		w.replica() // which makes the others when it starts
		testkit.Eventually(w.t, patience, func() error {
			if list := w.customers("GET", "", ""); list.body["total"] != 4.0 {
				return errors.New(list.raw)
			}
			return nil
		})
	})
}

func TestACustomerIsMadeOnce(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for j := range 5 {
					made := w.persist(func() answer { return w.manage("POST", "", `{"customer_id":"a"}`) })
					w.want(made, http.StatusCreated, "")
					body := fmt.Sprintf(`{"name":"n%d-%d"}`, i, j)
					if put := w.persist(func() answer { return w.customers("PUT", "/a", body) }); put.status >= 300 {
						w.t.Errorf("%s", put.raw)
					}
				}
			})
		}
		all.Wait()
		got := w.customers("GET", "/a", "")
		if licenses := got.body["licenses"].(map[string]any); licenses["total"] != 40.0 ||
			got.body["version"].(float64) < 40 {
			w.t.Errorf("%s", got.raw)
		}
		if list := w.customers("GET", "", ""); list.body["total"] != 1.0 {
			w.t.Errorf("%s", list.raw)
		}
	})
}

// TestATotalIsExactUpToABound: beyond it the answer says how many there are at least, and the cursor goes on.
func TestATotalIsExactUpToABound(t *testing.T) {
	eachStillWorld(t, func(w *world) {
		const bound = 10_000
		add := func(from, to int) {
			id := `printf('00000000-0000-7000-8000-%012x', i)`
			if w.db.Engine() == db.Postgres {
				id = `('00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid`
			}
			err := w.db.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
				made := tx.Exec(fmt.Sprintf(`WITH RECURSIVE n(i) AS (
						SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d)
					INSERT INTO customers (id, customer_id, created_at, updated_at)
					SELECT %s, 'c-' || i, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP FROM n`, from, to, id)).Error
				dated := tx.Exec(`UPDATE customers SET created_at = ?`, w.clock.Now()).Error
				return errors.Join(made, dated)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		add(1, bound)
		all := w.customers(http.MethodGet, "?per_page=100&page=100", "")
		if all.body["total"] != float64(bound) || all.body["total_pages"] != 100.0 || all.body["next_cursor"] != nil {
			t.Errorf("%v of %v pages", all.body["total"], all.body["total_pages"])
		}
		add(bound+1, bound+1)
		more := w.customers(http.MethodGet, "?per_page=100&page=100", "")
		if more.body["total"] != nil || more.body["total_pages"] != nil || more.body["total_at_least"] != bound+1.0 {
			t.Errorf("%v, at least %v", more.body["total"], more.body["total_at_least"])
		}
		last := w.customers(http.MethodGet, "?per_page=100&cursor="+more.body["next_cursor"].(string), "")
		if n := len(last.body["customers"].([]any)); n != 1 || last.body["next_cursor"] != nil {
			t.Errorf("%d behind the bound: %s", n, last.raw)
		}
	})
}

// persist asks as a client does that a busy server tells to try again.
func (w *world) persist(ask func() answer) answer {
	w.t.Helper()
	got := ask()
	for w.t.Context().Err() == nil && got.status == http.StatusServiceUnavailable {
		got = ask()
	}
	return got
}

// TestLicensesAreFoundByTheEmailOfTheirCustomer: also where so many begin like it that not all are looked up first.
func TestLicensesAreFoundByTheEmailOfTheirCustomer(t *testing.T) {
	eachWorld(t, func(w *world) {
		mine, _ := w.create(1, 0)
		w.want(w.customers(http.MethodPut, "/acme", `{"email":"Ada@Example.com"}`), http.StatusOK, "")
		w.many("other", 3, "")
		found := func(search string) (ids []string) {
			page := w.manage(http.MethodGet, "?search="+url.QueryEscape(search), "").body["licenses"].([]any)
			for _, l := range page {
				ids = append(ids, l.(map[string]any)["license_id"].(string))
			}
			return ids
		}
		for _, search := range []string{"ada@example.com", "ADA@", "a"} {
			if got := found(search); len(got) != 1 || got[0] != mine {
				t.Errorf("%s: %v, want %s", search, got, mine)
			}
		}
		if got := found("da@example.com"); len(got) != 0 {
			t.Errorf("the middle of an address found %v", got)
		}
		for range 21 {
			w.many("ada@", 100, "")
		}
		if got := w.manage(http.MethodGet, "?search=ada@", "").body["total"]; got != 2101.0 {
			t.Errorf("%v licenses, want 2101", got)
		}
	})
}

// TestCustomersOfAnyID: in a path an id is percent-encoded, a slash too.
func TestCustomersOfAnyID(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, id := range []string{"acme/berlin", "https://example.com/a+b?c=d", "a%2Fb", "/", "50 % + x", "Ünï/¢"} {
			path := "/api/v1/admin/customers/" + url.PathEscape(id)
			w.want(w.ask(w.front(ada), http.MethodPut, path, `{"name":"x"}`), http.StatusCreated, "")
			if got := w.ask(w.front(ada), http.MethodGet, path, ""); got.body["customer_id"] != id {
				t.Errorf("%s: %s", path, got.raw)
			}
			w.want(w.ask(w.front(ada), http.MethodPatch, path, `{"company":"y"}`), http.StatusOK, "")
			w.want(w.ask(w.front(ada), http.MethodPost, path+"/erase", ""), http.StatusOK, "")
			w.want(w.ask(w.front(ada), http.MethodGet, path, ""), http.StatusNotFound, errcode.CustomerNotFound)
		}
	})
}
