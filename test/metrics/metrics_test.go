package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/obs"
)

func TestTypesFollowFromNames(t *testing.T) {
	checked := 0
	for _, program := range programs() {
		registered, err := made(t.Context(), t.TempDir(), program)
		if err != nil {
			t.Fatal(err)
		}
		known := map[string]obs.Description{}
		for _, d := range registered.Descriptions() {
			if d.Help == "" {
				t.Errorf("%s: nobody says what %s shows", program.Name, d.Name)
			}
			known[d.Name] = d
		}
		w := httptest.NewRecorder()
		registered.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		for line := range strings.Lines(w.Body.String()) {
			fields := strings.Fields(line) // # TYPE name type
			if len(fields) != 4 || fields[1] != "TYPE" || !strings.HasPrefix(fields[2], "latchkey_") {
				continue
			}
			checked++
			if d, ok := known[fields[2]]; !ok || d.Type() != fields[3] {
				t.Errorf("%s: %s is a %s; its description says %q", program.Name, fields[2], fields[3], d.Type())
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d metrics were answered", checked)
	}
}
