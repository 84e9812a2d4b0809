package license_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestAMistypedCodeIsNamed: whoever mistypes a code that a body names is told of the one that may be meant.
func TestAMistypedCodeIsNamed(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.metered(`[{"name":"exports"},{"name":"api"}]`)
		w.studio()
		got := w.consume(key, `"counter":"export"`)
		w.want(got, http.StatusBadRequest, "COUNTER_NOT_FOUND")
		w.agrees(w.explain(with(key, `"operation":"consume","counter":"export"`)), got)
		for says, answer := range map[string]answer{
			"exports": got,
			"studio?": w.users(http.MethodPost, "",
				`{"product":"studios","customer_id":"acme","email":"a@example.com"}`),
			"studio": w.products(http.MethodPost, "", `{"code":"all","bundle":["default","studo"]}`),
		} {
			if answer.status != http.StatusBadRequest || !strings.Contains(answer.raw, "did you mean "+says) {
				t.Errorf("%s, want %s", answer.raw, says)
			}
		}
	})
}
