package license_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// TestNothingIsBlockedTwice while a block of the same, on the same licenses, is in force.
func TestNothingIsBlockedTwice(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.with(`"max_devices":1`)
		end := w.clock.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		what := []string{
			`"hardware_id":"desk"`, `"network":"192.0.2.0/24"`, `"component":{"name":"disk","value":"d"}`,
			`"component":{"name":"disk","value":"other"}`, `"component":{"name":"board","value":"d"}`,
		}
		for _, blocked := range what {
			for _, on := range []string{"", `,"license_id":"` + id + `"`, `,"product":"default"`} {
				body := fmt.Sprintf(`{%s%s,"reason":"x","until":%q}`, blocked, on, end)
				first := w.blocks(http.MethodPost, "", body)
				w.must(first, http.StatusCreated)
				second := w.blocks(http.MethodPost, "", body)
				w.want(second, http.StatusConflict, errcode.BlockExists)
				details, _ := second.body["details"].(map[string]any)
				if details["block_id"] != first.body["block_id"] {
					w.t.Errorf("%s names not %v", second.raw, first.body["block_id"])
				}
			}
		}
		w.clock.Advance(time.Hour)
		w.want(w.blocks(http.MethodPost, "", `{"hardware_id":"desk","reason":"x"}`), http.StatusCreated, "")
	})
}
