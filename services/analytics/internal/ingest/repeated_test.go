package ingest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// TestARepeatedActivationIsUse: an application that activates at each start, and takes "already activated" for a yes,
// asks nothing else. Strangers with a key that the license had are refused otherwise, and tell nothing of it.
func TestARepeatedActivationIsUse(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		s, device := &script{}, usage.DeviceKey{LicenseID: license, HardwareID: "A"}
		for code, used := range map[string]bool{"LICENSE_NOT_FOUND": false, "ALREADY_ACTIVATED": true} {
			r := r.emptied()
			r.handle(s.created(now.AddDate(0, 0, -1), 1))
			var events []event.Event
			for i := range 400 {
				at := now.Add(-time.Hour + time.Duration(i)*150*time.Millisecond)
				events = append(events, s.event(eventsv1.TypeLicenseActivationRefused, at, body{
					"hardware_id": "A", "error_code": code, "session_id": "one",
					"ip": fmt.Sprintf("%d.%d.7.9", 11+i%50, 20+i%50),
				}))
			}
			r.handle(events...)
			found, err := r.store.Anomalies(t.Context(), usage.AnomalyQuery{})
			if err != nil || used != (len(found) == 1 && found[0].Type == "account_sharing") {
				t.Errorf("%s: found %+v, %v", code, found, err)
			}
			known, err := r.store.Rollups(t.Context(), []string{license}, []usage.DeviceKey{device})
			if err != nil {
				t.Fatal(err)
			}
			l := known.Licenses[license]
			if used != (known.Devices[device] != nil) || used == l.LastSeen.IsZero() || l.Validations != 0 {
				t.Errorf("%s: the license %+v, the device %+v", code, l, known.Devices[device])
			}
		}
	})
}
