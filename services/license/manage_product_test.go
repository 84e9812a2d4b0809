package license_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/event"
)

// products asks what ada asks at admin; path goes on below /api/v1/admin/products.
func (w *world) products(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.ask(w.admin, method, "/api/v1/admin/products"+path, body, headers...)
}

func TestProducts(t *testing.T) {
	eachWorld(t, func(w *world) {
		now := w.clock.Now().UTC().Format(time.RFC3339Nano)
		made := w.products("POST", "", `{"code":"editor","metadata":{"n": 1.50}}`)
		w.want(made, http.StatusCreated, "")
		want := map[string]any{
			"product_id": made.body["product_id"], "code": "editor", "name": "editor", "bundle": []any{},
			"authorization_method": "key",
			"is_active":            true,
			"min_version":          nil, "metadata": map[string]any{"n": 1.5}, "version": 1.0, "created_at": now,
			"updated_at": now,
		}
		if diff := cmp.Diff(want, made.body); diff != "" {
			w.t.Errorf("made (-want +got):\n%s", diff)
		}
		w.clock.Advance(time.Minute)
		changed := w.products("PATCH", "/editor", `{"name":"The Editor","min_version":"2.0"}`, "If-Match", `"1"`)
		w.want(changed, http.StatusOK, "")
		want["name"], want["min_version"], want["version"] = "The Editor", "2.0", 2.0
		want["updated_at"] = w.clock.Now().UTC().Format(time.RFC3339Nano)
		shown := w.products("GET", "/editor", "")
		for what, got := range map[string]answer{"answered": changed, "shown": shown} {
			if diff := cmp.Diff(want, got.body); diff != "" || got.header.Get("ETag") != `"2"` {
				w.t.Errorf("%s, ETag %s (-want +got):\n%s", what, got.header.Get("ETag"), diff)
			}
		}
		w.want(w.products("PATCH", "/editor", `{"min_version":null}`), http.StatusOK, "")
		for _, told := range []string{"product.created", "product.updated"} {
			w.eventually(told)
		}
		for _, action := range []string{"product.create", "product.update"} {
			if e := w.audited(action); !strings.Contains(string(e.Data), "editor") {
				w.t.Errorf("%s does not name the product: %s", action, e.Data)
			}
		}
		w.want(w.products("DELETE", "/editor", "", "If-Match", `"3"`), http.StatusOK, "")
		w.want(w.products("GET", "/editor", ""), http.StatusNotFound, "PRODUCT_NOT_FOUND")
		w.audited("product.delete")
		w.eventually("product.deleted")
	})
}

func TestProductsThatAreRefused(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.products("POST", "", `{"code":"editor","name":"Editor"}`), http.StatusCreated, "")
		w.want(w.manage("POST", "", `{"customer_id":"a","product":"editor"}`), http.StatusCreated, "")
		w.want(w.products("POST", "", `{"code":"whole","bundle":["default"]}`), http.StatusCreated, "")
		before := w.products("GET", "", "")
		long := strings.Repeat("x", 256)
		for _, bad := range []string{
			`{}`, `{"code":""}`, `{"code":"a b"}`, `{"code":"."}`, `{"code":".."}`, `{"code":"a/b"}`,
			`{"code":"` + long[:65] + `"}`,
			`{"code":"x","name":"` + long + `"}`, `{"code":"x","name":" "}`,
			`{"code":"x","authorization_method":"magic"}`,
			`{"code":"x","min_version":"` + long + `"}`, `{"code":"x","metadata":[]}`, `{"code":"x","product_id":"y"}`,
			`{"code":7}`, `{"code":"x","bundle":["nothing"]}`, `{"code":"x","bundle":["whole"]}`,
		} {
			w.want(w.products("POST", "", bad), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		nested := w.products("POST", "", `{"code":"x","bundle":["whole"]}`)
		if !strings.Contains(nested.raw, "whole is a bundle itself") {
			w.t.Errorf("%s", nested.raw)
		}
		for _, bad := range []string{`{"code":"other"}`, `{"name":null}`, `{"name":""}`, `{"is_active":null}`,
			`{"metadata":7}`} {
			for _, code := range []string{"editor", "nothing"} {
				w.want(w.products("PATCH", "/"+code, bad), http.StatusBadRequest, "VALIDATION_ERROR")
			}
		}
		w.want(w.products("POST", "", `{"code":"editor"}`), http.StatusConflict, "PRODUCT_EXISTS")
		w.want(w.products("POST", "", `{"code":"other","name":"Editor"}`), http.StatusConflict, "PRODUCT_EXISTS")
		w.want(w.products("PATCH", "/default", `{"name":"Editor"}`), http.StatusConflict, "PRODUCT_EXISTS")
		w.want(w.products("PATCH", "/editor", `{"name":"x"}`, "If-Match", `"9"`), http.StatusPreconditionFailed,
			"VERSION_MISMATCH")
		w.want(w.products("DELETE", "/editor", "", "If-Match", `"9"`), http.StatusPreconditionFailed,
			"VERSION_MISMATCH")
		w.want(w.products("DELETE", "/editor", ""), http.StatusConflict, "PRODUCT_IN_USE")
		w.want(w.products("DELETE", "/default", ""), http.StatusConflict, "PRODUCT_IN_USE")
		for _, none := range []string{"nothing", "Editor", "a%20b", "%00", "%2e%2e"} {
			w.want(w.products("GET", "/"+none, ""), http.StatusNotFound, "PRODUCT_NOT_FOUND")
			w.want(w.products("DELETE", "/"+none, ""), http.StatusNotFound, "PRODUCT_NOT_FOUND")
			w.want(w.products("GET", "/"+none+"/releases", ""), http.StatusNotFound, "PRODUCT_NOT_FOUND")
		}
		if diff := cmp.Diff(before.body, w.products("GET", "", "").body); diff != "" {
			w.t.Errorf("a refused call was carried out:\n%s", diff)
		}
	})
}

// TestALicenseNamesItsProduct by code or name; another text makes a product.
func TestALicenseNamesItsProduct(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.products("POST", "", `{"code":"editor","name":"The Editor"}`), http.StatusCreated, "")
		for text, want := range map[string]string{
			"editor": "editor", "The Editor": "editor", "default": "default", "pro": "pro",
			"Pro Suite 2.0 (EU)": "Pro-Suite-2.0-EU", "Прога": "product",
			strings.Repeat("é x", 80): strings.TrimSuffix(strings.Repeat("x-", 28), "-"),
		} {
			for range 2 {
				made := w.manage("POST", "", fmt.Sprintf(`{"customer_id":"a","product":%q}`, text))
				w.want(made, http.StatusCreated, "")
				if got := made.body["product"]; got != want ||
					w.get(made.body["license_id"].(string))["product"] != want {
					w.t.Errorf("%q became %v, want %s", text, got, want)
				}
			}
		}
		for _, empty := range []string{`""`, `" "`} {
			w.want(w.manage("POST", "", `{"customer_id":"a","product":`+empty+`}`), http.StatusBadRequest,
				"VALIDATION_ERROR")
		}
		if none := w.manage("POST", "", `{"customer_id":"a","product":null}`); none.body["product"] != "default" {
			w.t.Errorf("without a product: %s", none.raw)
		}
		other := w.manage("POST", "", `{"customer_id":"a","product":"Другая"}`).body["product"].(string)
		if !strings.HasPrefix(other, "product-") || len(other) != len("product-12345678") {
			w.t.Errorf("the second text of no letters became %q", other)
		}
		if p := w.products("GET", "/Pro-Suite-2.0-EU", ""); p.body["name"] != "Pro Suite 2.0 (EU)" {
			w.t.Errorf("%s", p.raw)
		}
		w.await(func(e event.Event) bool {
			return e.Type == "product.created" && strings.Contains(string(e.Data), "Pro Suite 2.0 (EU)")
		})
	})
}

func TestReleases(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.products("POST", "", `{"code":"editor"}`), http.StatusCreated, "")
		now := w.clock.Now().UTC().Format(time.RFC3339Nano)
		made := w.products("POST", "/editor/releases",
			`{"version":"2.0.0","channel":"beta","size":10,"url":"https://example.com/x"}`)
		w.want(made, http.StatusCreated, "")
		want := map[string]any{
			"version": "2.0.0", "released_at": now, "channel": "beta", "environment": nil,
			"url": "https://example.com/x", "size": 10.0,
			"sha256": nil, "md5": nil, "requires_version": nil, "release_notes_url": nil, "eula_url": nil,
			"enabled": true, "created_at": now,
		}
		if diff := cmp.Diff(want, made.body); diff != "" {
			w.t.Errorf("made (-want +got):\n%s", diff)
		}
		for _, same := range []string{"2.0.0", "2", "2.0", "v2.0.0", "2.0.0+build"} {
			w.want(w.products("POST", "/editor/releases", fmt.Sprintf(`{"version":%q}`, same)), http.StatusConflict,
				"RELEASE_EXISTS")
		}
		w.want(w.products("POST", "/nothing/releases", `{"version":"2.0.0"}`), http.StatusNotFound, "PRODUCT_NOT_FOUND")
		w.want(w.products("POST", "/editor/releases", `{"version":"1.0.0","released_at":"2025-01-01"}`),
			http.StatusCreated, "")
		changed := w.products("PATCH", "/editor/releases/v2.0", `{"channel":null,"enabled":false}`)
		want["channel"], want["enabled"] = nil, false
		if diff := cmp.Diff(want, changed.body); diff != "" {
			w.t.Errorf("changed (-want +got):\n%s", diff)
		}
		list := w.products("GET", "/editor/releases", "")
		if diff := cmp.Diff([]string{"2.0.0", "1.0.0"}, named(list, "releases", "version")); diff != "" {
			w.t.Errorf("-want +got:\n%s", diff)
		}
		for _, bad := range []string{
			`{}`, `{"version":"a/b"}`, `{"version":".."}`, `{"version":"3","size":-1}`,
			`{"version":"3","sha256":"xyz"}`, `{"version":"3","md5":"0"}`,
			`{"version":"3","url":"javascript:alert(1)"}`,
			`{"version":"3","url":"https://"}`, `{"version":"3","released_at":"0001-01-01T00:00:00Z"}`,
			`{"version":"3","created_at":"2026-01-01"}`, `{"version":3}`,
		} {
			w.want(w.products("POST", "/editor/releases", bad), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		w.want(w.products("DELETE", "/editor/releases/1.0.0", ""), http.StatusOK, "")
		for _, none := range []string{"1.0.0", "%00", "9"} {
			w.want(w.products("DELETE", "/editor/releases/"+none, ""), http.StatusNotFound, "RELEASE_NOT_FOUND")
			w.want(w.products("PATCH", "/editor/releases/"+none, `{}`), http.StatusNotFound, "RELEASE_NOT_FOUND")
		}
		for _, action := range []string{"release.create", "release.update", "release.delete"} {
			if e := w.audited(action); !strings.Contains(string(e.Data), "editor") {
				w.t.Errorf("%s does not name the product: %s", action, e.Data)
			}
		}
	})
}

// named is a member of all entries of a list.
func named(list answer, entries, member string) (values []string) {
	for _, entry := range list.body[entries].([]any) {
		values = append(values, entry.(map[string]any)[member].(string))
	}
	return values
}

// TestListsAreReadByPageAndByCursor in the same order, and to the same end.
func TestListsAreReadByPageAndByCursor(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.products("POST", "", `{"code":"a"}`), http.StatusCreated, "")
		for i := range 5 {
			w.want(w.products("POST", "", fmt.Sprintf(`{"code":"p%d"}`, i)), http.StatusCreated, "")
			w.want(w.products("POST", "/a/releases",
				fmt.Sprintf(`{"version":"%d","released_at":"2026-01-0%d"}`, i, 1+i/2)), http.StatusCreated, "")
		}
		for path, list := range map[string][2]string{"": {"products", "code"}, "/a/releases": {"releases", "version"}} {
			whole := named(w.products("GET", path, ""), list[0], list[1])
			var paged, followed []string
			for page := 1; page <= len(whole); page += 2 {
				paged = append(paged, named(w.products("GET", fmt.Sprintf("%s?per_page=2&page=%d", path, 1+page/2), ""),
					list[0], list[1])...)
			}
			next := ""
			for {
				part := w.products("GET", path+"?per_page=2"+next, "")
				w.want(part, http.StatusOK, "")
				followed = append(followed, named(part, list[0], list[1])...)
				if part.body["next_cursor"] == nil {
					break
				}
				next = "&cursor=" + part.body["next_cursor"].(string)
			}
			if !slices.Equal(whole, paged) || !slices.Equal(whole, followed) || len(whole) < 5 {
				w.t.Errorf("%s: whole %v, by page %v, by cursor %v", path, whole, paged, followed)
			}
			for _, bad := range []string{"x", "IHg", "ICA", "MSB4", "zzzzzzzzzzzzzz", "ICcn", "IAA"} {
				w.want(w.products("GET", path+"?cursor="+bad+"&page=1", ""), http.StatusBadRequest, "VALIDATION_ERROR")
			}
			w.want(w.products("GET", "/a/releases?cursor=IGE", ""), http.StatusBadRequest, "VALIDATION_ERROR")
		}
	})
}
