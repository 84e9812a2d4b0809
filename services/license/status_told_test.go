package license_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestAChangeTellsOfWhatCameBefore: a status that came by time is told of although an administrator ends it before the
// schedule looks.
func TestAChangeTellsOfWhatCameBefore(t *testing.T) {
	for name, tc := range map[string]struct {
		terms        string
		suspend      bool
		action, body string
		want         []string
	}{
		"renewed in grace": {`"expires_in_days":1,"grace_hours":5`, false, "renew", `{"days":9}`,
			[]string{"license.in_grace", "license.renewed"}},
		"renewed after the end": {`"expires_in_days":1`, false, "renew", `{"days":9}`,
			[]string{"license.expired", "license.renewed"}},
		"another policy": {`"expires_in_days":1`, false, "change-policy", `{"policy":"forever"}`,
			[]string{"license.expired", "license.updated"}},
		"suspended again": {`"max_devices":1`, true, "suspend", `{"reason":"b"}`,
			[]string{"license.suspended", "license.reinstated", "license.suspended"}},
	} {
		t.Run(name, func(t *testing.T) {
			eachStillWorld(t, func(w *world) {
				w.want(w.policies(http.MethodPost, "", `{"code":"forever"}`), http.StatusCreated, "")
				id, _ := w.with(tc.terms)
				if tc.suspend {
					until := w.clock.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
					w.alter(id, "suspend", `{"reason":"a","until":"`+until+`"}`)
				}
				w.clock.Advance(24*time.Hour + 30*time.Second)
				w.alter(id, tc.action, tc.body)
				var told []string
				err := w.db.Read(t.Context()).Raw("SELECT type FROM outbox WHERE subject = ? AND "+
					"type NOT IN ('audit.recorded', 'license.created') ORDER BY seq", id).Scan(&told).Error
				if diff := cmp.Diff(tc.want, told); err != nil || diff != "" {
					t.Errorf("events (-want +got):\n%s %v", diff, err)
				}
			})
		})
	}
}
