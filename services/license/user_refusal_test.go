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
// a wrong key is, which names the license where that is known.
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
		w.want(w.manage(http.MethodPut, "/"+id+"/users/"+user, ""), http.StatusOK, "")
		w.want(w.users(http.MethodPatch, "/"+user, `{"is_locked":true}`), http.StatusOK, "")
		refused(errcode.UserLocked, nil, id)
	})
}
