//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// TestNoTextBecomesADeadLetter sends texts of every kind that the public API admits in every member that takes text,
// in the values and names of free objects too: all calls count in the figures, the audit log has every change, nothing
// is a dead letter.
func TestNoTextBecomesADeadLetter(t *testing.T) {
	each(t, func(w *harness) {
		const rounds = 40
		before := w.deadLetters()
		random := rand.New(rand.NewPCG(41, 3))
		text := func() string { return testkit.Text(random) }
		name := func() string { return fmt.Sprintf("%.60s", text()) } // of a member: up to 255 bytes
		made := w.want(w.admin(http.MethodPost, "/licenses",
			encode(map[string]any{"customer_id": text(), "product": text(),
				"max_devices": 1000, "features": []string{"a"}})), http.StatusCreated, "")
		id, key := made.text("license_id"), made.text("license_key")
		for i := range rounds {
			hardware := fmt.Sprintf("pc-%d %s", i, text())
			if len([]rune(hardware)) > 255 {
				hardware = string([]rune(hardware)[:250])
			}
			said := func() string {
				return encode(map[string]any{"license_key": key, "hardware_id": hardware, "device_name": text(),
					"app_version": text(), "session_id": text(),
					"os_info": map[string]any{"name": text(), "version": text()}})
			}
			w.want(w.license("activate", said()), http.StatusCreated, "")
			w.want(w.license("validate", said()), http.StatusOK, "")
			ask := encode(map[string]any{"license_id": id, "hardware_id": hardware})
			pair := w.want(w.call(http.MethodPost, w.AuthURL+"/api/v1/auth/token", ask, "X-API-Key", w.APIKey),
				http.StatusOK, "")
			beat := encode(map[string]any{"session_data": map[string]any{name(): text(), "list": []any{text(), 1e300}},
				"device_name": text()})
			w.want(w.call(http.MethodPost, w.LicenseURL+"/api/v1/license/heartbeat", beat, "Authorization",
				"Bearer "+pair.text("access_token")), http.StatusOK, "")
			w.want(w.license("deactivate", said()), http.StatusOK, "")
			// 404, or 400 where the key is blank
			w.license("validate", encode(map[string]any{"license_key": text(), "hardware_id": hardware,
				"app_version": text()}))
			w.want(w.admin(http.MethodPatch, "/licenses/"+id, encode(map[string]any{"customer_id": text(),
				"metadata": map[string]any{name(): text(), "n": json.Number("1e308")}})), http.StatusOK, "")
		}
		for member, want := range map[string]int{
			"validations":   rounds,
			"activations":   rounds,
			"deactivations": rounds,
			"heartbeats":    rounds,
		} {
			w.usage(id, member, want)
		}
		w.eventually(func() error {
			a, err := try(http.MethodGet, w.AdminURL+"/api/v1/admin/audit?action=license.update&license_id="+id, "",
				"X-Admin-API-Key", w.AdminAPIKey)
			if total, _ := a.body["total"].(float64); err != nil || total != rounds {
				return fmt.Errorf("%v changes are in the audit log, want %d, %v", a.body["total"], rounds, err)
			}
			return nil
		})
		if after := w.deadLetters(); after != before {
			w.Errorf("dead letters: %s, before %s", after, before)
		}
	})
}

var deadLetters = regexp.MustCompile(`(?m)^latchkey_dead_letters\{[^}]*\} (\S+)$`)

// deadLetters is how many analytics and admin have; other tests of the shared suite leave some.
func (w *harness) deadLetters() string {
	w.Helper()
	if !w.embedded {
		list := func(service string) int {
			return strings.Count(w.ran(w.settings(service), service, "dead-letters", "list"), "\n") - 1
		}
		return fmt.Sprint(list("analytics"), list("admin"))
	}
	var counts []string
	for _, url := range []string{w.AnalyticsURL, w.AdminURL} {
		found := deadLetters.FindSubmatch(w.call(http.MethodGet, url+"/metrics", "").raw)
		if found == nil {
			w.Fatalf("%s/metrics lacks the number of dead letters", url)
		}
		counts = append(counts, string(found[1]))
	}
	return strings.Join(counts, " ")
}

func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}
