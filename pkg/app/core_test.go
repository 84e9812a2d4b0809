package app

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestDocsDisabled: the setting takes the page away that shows the API, and the document stays.
func TestDocsDisabled(t *testing.T) {
	for disabled, want := range map[bool]int{false: http.StatusOK, true: http.StatusNotFound} {
		base := goodBase()
		base.DocsDisabled = disabled
		core, err := NewCore("auth", base, deps(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		engine := core.PublicEngine(Public{OpenAPI: []byte("openapi: 3.1.0\n")})
		for path, want := range map[string]int{"/docs": want, "/openapi.json": http.StatusOK} {
			w := httptest.NewRecorder()
			engine.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.Code != want {
				t.Errorf("disabled %v: %s answers %d, want %d", disabled, path, w.Code, want)
			}
		}
	}
}
