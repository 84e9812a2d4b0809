package license_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// TestRefusalsOfUsersAreToldOf: whoever signed in and may not use a license is refused with an event, as the holder of
// a wrong key is, which names the license where that is known, and is the user's or of the user's customer.
func TestRefusalsOfUsersAreToldOf(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		id, _ := w.with(everyTerm)
		user := w.ada("")
		token := w.token()
		calls := 0
		refused := func(code string, named map[string]any, license string) {
			w.t.Helper()
			calls++
			name := func(i int) string { return fmt.Sprintf("pc-%d-%d", calls, i) }
			for i, call := range userCalls {
				path := "/api/v1/license/" + strings.Replace(call.path, "{device_id}", unknown, 1)
				body := byUser(token, name(i), merged(named, call.members))
				w.want(w.call(call.method, path, body, "X-API-Key", w.auth.apiKey), http.StatusForbidden, code)
			}
			for i, call := range userCalls {
				told := w.await(func(e event.Event) bool { return strings.Contains(string(e.Data), `"`+name(i)+`"`) })
				if !slices.Contains([]string{"license.validation.failed", "license.activation.refused"}, told.Type) ||
					told.Subject != license || !strings.Contains(string(told.Data), code) {
					w.t.Errorf("%s: %s of %q: %s", call.path, told.Type, told.Subject, told.Data)
				}
			}
		}
		refused(errcode.UserNotAssigned, nil, "")
		refused(errcode.UserNotAssigned, map[string]any{"license_id": id}, id)
		refused(errcode.UserNotAssigned, map[string]any{"license_id": unknown}, "")
		of := w.manage(http.MethodPost, "", `{"customer_id":"another","product":"studio","max_devices":9}`)
		w.must(of, http.StatusCreated)
		theirs := of.body["license_id"].(string)
		refused(errcode.UserNotAssigned, map[string]any{"license_id": theirs}, "")
		w.want(w.manage(http.MethodPatch, "/"+theirs, `{"customer_id":"acme"}`), http.StatusOK, "")
		w.want(w.manage(http.MethodPut, "/"+theirs+"/users/"+user, ""), http.StatusOK, "")
		w.want(w.users(http.MethodPatch, "/"+user, `{"is_locked":true}`), http.StatusOK, "")
		refused(errcode.UserLocked, map[string]any{"license_id": theirs}, theirs)
		w.want(w.users(http.MethodPatch, "/"+user, `{"is_locked":false}`), http.StatusOK, "")
		w.want(w.manage(http.MethodDelete, "/"+theirs+"/users/"+user, ""), http.StatusOK, "")
		w.want(w.manage(http.MethodPut, "/"+id+"/users/"+user, ""), http.StatusOK, "")
		w.want(w.users(http.MethodPatch, "/"+user, `{"is_locked":true}`), http.StatusOK, "")
		refused(errcode.UserLocked, nil, id)
	})
}

// TestLicenseSpringTellsOfUsersWhomTheirDeviceProves: who knows an e-mail alone is refused without an event about the
// license of its user; a device that the user has activated is told of with it.
func TestLicenseSpringTellsOfUsersWhomTheirDeviceProves(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		user := w.ada("")
		id, _ := w.assigned(user)
		s := w.licenseSpring("")
		asks := func(hardwareID, password string) {
			s.ask(http.MethodPost, "activate_license",
				`{"product":"studio","username":"ada@example.com","hardware_id":"`+hardwareID+`"`+password+`}`)
		}
		asks("hers", `,"password":"`+thePassword+`"`)
		w.want(w.users(http.MethodPatch, "/"+user, `{"is_locked":true}`), http.StatusOK, "")
		asks("strange", "")
		asks("hers", "")
		told := w.await(func(e event.Event) bool { return e.Subject == id && e.Type == "license.validation.failed" })
		if !strings.Contains(string(told.Data), `"hers"`) {
			t.Errorf("the first refusal of the license is %s", told.Data)
		}
	})
}
