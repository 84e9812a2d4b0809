package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestAUserHasAHundredLicenses at most, because each sign-in names all; one that is taken away makes room.
func TestAUserHasAHundredLicenses(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.studio()
		user := w.ada("")
		row := `{"customer_id":"acme","product":"studio"}`
		made := w.bulk(`{"licenses":[` + strings.Repeat(row+",", 100) + row + `]}`)
		w.must(made, http.StatusCreated)
		assign := func(method string, i int) answer {
			id := made.body["created"].([]any)[i].(map[string]any)["license_id"]
			return w.manage(method, fmt.Sprintf("/%v/users/%s", id, user), "")
		}
		for i := range 100 {
			w.must(assign(http.MethodPut, i), http.StatusOK)
		}
		refused := assign(http.MethodPut, 100)
		w.want(refused, http.StatusBadRequest, "VALIDATION_ERROR")
		if !strings.Contains(refused.raw, "100 licenses; take one away") {
			t.Error(refused.raw)
		}
		w.want(assign(http.MethodPut, 99), http.StatusOK, "") // it has that one
		w.want(assign(http.MethodDelete, 0), http.StatusOK, "")
		w.want(assign(http.MethodPut, 100), http.StatusOK, "")
	})
}
