package license_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// TestARepeatedActivationTellsWhatAValidationTells: analytics takes it for a sign of use of the device, whatever the
// device is called by. Of the device of an unknown key it tells the id alone.
func TestARepeatedActivationTellsWhatAValidationTells(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"device_match":"any"`)
		activate := func(key, hardwareID string) answer {
			return w.post("activate", as(key, hardwareID, `,"components":{"cpu":"c","disk":"d"},"device_name":"Desk",`+
				`"os_info":{"name":"Windows","version":"11"},"app_version":"2.0","session_id":"s-1"`))
		}
		told := func(code string) *eventsv1.LicenseActivationRefused {
			said := &eventsv1.LicenseActivationRefused{}
			e := w.await(func(e event.Event) bool {
				return e.Type == "license.activation.refused" && strings.Contains(string(e.Data), code)
			})
			if err := e.Into(said); err != nil {
				t.Fatal(err)
			}
			return said
		}
		w.want(activate("LIC-NOBODY", "stranger"), http.StatusNotFound, "LICENSE_NOT_FOUND")
		stranger := told("LICENSE_NOT_FOUND")
		w.want(activate(key, "former"), http.StatusCreated, "")
		w.want(activate(key, "pc"), http.StatusCreated, "")
		w.want(activate(key, "former"), http.StatusConflict, "ALREADY_ACTIVATED")
		for _, tt := range []struct {
			got, want *eventsv1.LicenseActivationRefused
		}{
			{stranger, &eventsv1.LicenseActivationRefused{ErrorCode: "LICENSE_NOT_FOUND", HardwareId: "stranger"}},
			{told("ALREADY_ACTIVATED"), &eventsv1.LicenseActivationRefused{
				LicenseId: id, ErrorCode: "ALREADY_ACTIVATED", HardwareId: "pc", DeviceName: "Desk", Os: "Windows 11",
				AppVersion: "2.0", SessionId: "s-1",
			}},
		} {
			beside := protocmp.IgnoreFields(tt.want, "license_key_hash", "ip")
			diff := cmp.Diff(tt.want, tt.got, protocmp.Transform(), beside)
			if diff != "" || tt.got.LicenseKeyHash == "" || tt.got.Ip == "" {
				t.Errorf("told %v (-want +got):\n%s", tt.got, diff)
			}
		}
	})
}

// TestLicenseSpringRepeatedActivationIsAValidation: it is answered as the first one, so nothing was refused.
func TestLicenseSpringRepeatedActivationIsAValidation(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.create(1, 0)
		for range 2 {
			s.object(s.post("activate_license", key, "pc", `,"app_ver":"2.0"`))
		}
		s.refused(s.post("activate_license", key, "other", ""), 400, "license_activated_max_times")
		w.eventually("license.device_limit_exceeded")
		var said eventsv1.LicenseValidated
		if e := w.eventually("license.validated"); e.Subject != id || e.Into(&said) != nil || said.HardwareId != "pc" ||
			said.Ip == "" || said.AppVersion != "2.0" {
			t.Errorf("told of %s: %s", e.Subject, e.Data)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		refusal := func(e event.Event) bool { return e.Type == "license.activation.refused" }
		if slices.ContainsFunc(w.published, refusal) {
			t.Error("told of a refusal")
		}
	})
}
