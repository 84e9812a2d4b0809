package license_test

import (
	"net/http"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// deletes are what an administrator may delete while something else refers to it, by the column that does. Each makes
// both, and tells the path.
var deletes = map[string]struct {
	make   func(w *world) (path string)
	status int
	code   string
}{
	"licenses.product_id": {func(w *world) string {
		w.makeProduct("editor", "")
		w.with(`"product":"editor"`)
		return "products/editor"
	}, http.StatusConflict, errcode.ProductInUse},
	"policies.product_id": {func(w *world) string {
		w.makeProduct("viewer", "")
		w.want(w.policies(http.MethodPost, "", `{"code":"p","name":"P","product":"viewer"}`), http.StatusCreated, "")
		return "products/viewer"
	}, http.StatusConflict, errcode.ProductInUse},
	"users.product_id": {func(w *world) string {
		w.studio()
		w.ada("")
		return "products/studio"
	}, http.StatusConflict, errcode.ProductInUse},
	"trials.product_id": {func(w *world) string {
		w.makeProduct("tried", "")
		w.trialPolicy("try", "tried", "")
		s := w.licenseSpring("")
		s.object(s.trial("tried", "ada@example.com"))
		return "products/tried"
	}, http.StatusConflict, errcode.ProductInUse},
	"products.bundle": {func(w *world) string {
		w.makeProduct("part", "")
		w.makeProduct("suite", `,"bundle":["part"]`)
		return "products/part"
	}, http.StatusConflict, errcode.ProductInUse},
	"releases.product_id": {func(w *world) string {
		w.makeProduct("released", "")
		release := `{"version":"1.0","released_at":"2026-01-01T00:00:00Z"}`
		w.want(w.products(http.MethodPost, "/released/releases", release),
			http.StatusCreated, "")
		return "products/released"
	}, http.StatusOK, ""},
	"licenses.group_id": {func(w *world) string {
		group := w.group("")
		w.inGroup(group)
		return "groups/" + group
	}, http.StatusOK, ""},
	"license_users.user_id": {func(w *world) string {
		w.makeProduct("signed", `,"authorization_method":"user"`)
		made := w.users(http.MethodPost, "", `{"product":"signed","customer_id":"acme","email":"bob@example.com"}`)
		w.must(made, http.StatusCreated)
		id, _ := w.with(`"product":"signed"`)
		user := made.body["user_id"].(string)
		w.want(w.manage(http.MethodPut, "/"+id+"/users/"+user, ""), http.StatusOK, "")
		return "users/" + user
	}, http.StatusOK, ""},
}

// undeleted are the tables of which no administrator deletes a row; what refers to a device goes with it.
var undeleted = map[string]bool{
	"licenses": true, "devices": true, "customers": true, "integrations": true, "delegated_organisations": true,
	"delegated_masters": true,
}

func (w *world) makeProduct(product, more string) {
	w.t.Helper()
	w.must(w.products(http.MethodPost, "", `{"code":"`+product+`"`+more+`}`), http.StatusCreated)
}

// TestDeletesMindWhatRefersToThem: each foreign key of the schema is looked at.
func TestDeletesMindWhatRefersToThem(t *testing.T) {
	eachWorld(t, func(w *world) {
		for column, tc := range deletes {
			path := tc.make(w)
			got := w.ask(w.admin, http.MethodDelete, "/api/v1/admin/"+path, "")
			if code, _ := got.body["error_code"].(string); got.status != tc.status || code != tc.code {
				w.t.Errorf("%s: %d %s", column, got.status, got.raw)
			}
		}
		for _, key := range w.foreignKeys() {
			if _, tried := deletes[key.Of]; !tried && !undeleted[key.Parent] {
				w.t.Errorf("no delete is tried for %s, which refers to %s", key.Of, key.Parent)
			}
		}
	})
}

type foreignKey struct{ Of, Parent string }

func (w *world) foreignKeys() (all []foreignKey) {
	w.t.Helper()
	query := `SELECT m.name || '.' || f."from" AS of, f."table" AS parent
		FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'`
	if w.db.Engine() == db.Postgres {
		query = `SELECT conrelid::regclass::text || '.' || attname AS "of", confrelid::regclass::text AS parent
			FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
			WHERE contype = 'f' AND connamespace = current_schema()::regnamespace`
	}
	if err := w.db.Read(w.t.Context()).Raw(query).Scan(&all).Error; err != nil || len(all) == 0 {
		w.t.Fatalf("%d foreign keys: %v", len(all), err)
	}
	return all
}

// TestCodesDifferInCase, also where a bundle has one of them.
func TestCodesDifferInCase(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.makeProduct("editor", "")
		w.makeProduct("Editor", "")
		w.makeProduct("suite", `,"bundle":["editor"]`)
		w.want(w.products(http.MethodPatch, "/Editor", `{"bundle":["default"]}`), http.StatusOK, "")
		w.want(w.products(http.MethodDelete, "/Editor", ""), http.StatusOK, "")
		w.want(w.products(http.MethodDelete, "/editor", ""), http.StatusConflict, "PRODUCT_IN_USE")
	})
}
