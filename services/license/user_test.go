package license_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/proto/errcode"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const thePassword = "correct horse"

// users asks for users at admin.
func (w *world) users(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.ask(w.admin, method, "/api/v1/admin/users"+path, body, headers...)
}

// studio makes a product that people sign in to.
func (w *world) studio() {
	w.t.Helper()
	w.want(w.products(http.MethodPost, "", `{"code":"studio","authorization_method":"user"}`), http.StatusCreated, "")
}

// ada makes a user, with more members.
func (w *world) ada(more string) (id string) {
	w.t.Helper()
	made := w.users(http.MethodPost, "", `{"product":"studio","customer_id":"acme","email":"Ada@example.com",`+
		`"initial_password":"`+thePassword+`"`+more+`}`)
	w.must(made, http.StatusCreated)
	return made.body["user_id"].(string)
}

// assigned makes a license of the product with nine seats that is assigned to a user.
func (w *world) assigned(user string) (id, key string) {
	w.t.Helper()
	id, key = w.with(`"product":"studio","max_devices":40`)
	w.must(w.manage(http.MethodPut, "/"+id+"/users/"+user, ""), http.StatusOK)
	return id, key
}

func (w *world) signIn(email, password string, headers ...string) answer {
	w.t.Helper()
	body, _ := json.Marshal(map[string]string{"product": "studio", "email": email, "password": password})
	return w.post("users/sign-in", string(body), headers...)
}

func (w *world) token() string {
	w.t.Helper()
	got := w.signIn("ada@EXAMPLE.com", thePassword)
	w.must(got, http.StatusOK)
	return got.body["user_token"].(string)
}

// byUser is the body of a call by a user.
func byUser(token, hardwareID string, more map[string]any) string {
	body := map[string]any{"user_token": token, "hardware_id": hardwareID}
	maps.Copy(body, more)
	b, _ := json.Marshal(body)
	return string(b)
}

func TestAUserSignsInAndUsesALicense(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		user := w.ada(`,"name":"Ada"`)
		id, key := w.assigned(user)
		got := w.signIn("ada@EXAMPLE.com", thePassword)
		w.want(got, http.StatusOK, "")
		licenses := got.body["licenses"].([]any)
		if got.body["must_change_password"] != true || len(licenses) != 1 ||
			licenses[0].(map[string]any)["license_id"] != id {
			w.t.Errorf("%s", got.raw)
		}
		token := got.body["user_token"].(string)
		w.want(w.post("activate", byUser(token, "pc", nil)), http.StatusCreated, "")
		for _, body := range []string{
			byUser(token, "pc", nil), byUser(token, "pc", map[string]any{"license_id": id}),
			byUser(token, "pc", map[string]any{"license_key": key}),
		} {
			if got := w.post("validate", body); got.status != 200 || got.body["valid"] != true {
				w.t.Errorf("%s: %d %s", body, got.status, got.raw)
			}
		}
		for _, call := range []string{"validate", "activate"} {
			w.want(w.post(call, device(key, "pc")), http.StatusUnauthorized, errcode.InvalidCredentials)
			w.want(w.post(call, byUser(token[:len(token)-4]+"AAAA", "pc", nil)), http.StatusUnauthorized,
				errcode.InvalidCredentials)
			w.want(w.post(call, byUser("nonsense", "pc", nil)), http.StatusUnauthorized, errcode.InvalidCredentials)
		}
		w.want(w.call(http.MethodPost, "/api/v1/license/heartbeat", "", w.bearer(id, "pc")...), http.StatusOK, "")
		other, _ := w.assigned(user)
		w.want(w.post("validate", byUser(w.token(), "pc", nil)), http.StatusBadRequest, errcode.ValidationError)
		w.want(w.post("activate", byUser(token, "pc", map[string]any{"license_id": other})), http.StatusCreated, "")
		w.want(w.post("deactivate", byUser(token, "pc", map[string]any{"license_id": other})), http.StatusOK, "")
		w.clock.Advance(30 * 24 * time.Hour)
		w.want(w.post("validate", byUser(token, "pc", map[string]any{"license_id": id})), http.StatusUnauthorized,
			errcode.InvalidCredentials)
		w.eventually(eventsv1.TypeUserSignedIn)
		for _, action := range []string{"user.create", "user.assign"} {
			w.audited(action)
		}
	})
}

func TestATokenOfAUserDies(t *testing.T) {
	for name, test := range map[string]struct {
		kill func(w *world, user, license string)
		code string
	}{
		"password reset": {func(w *world, user, _ string) {
			got := w.users(http.MethodPost, "/"+user+"/reset-password", "")
			w.want(got, http.StatusOK, "")
			if made, _ := got.body["initial_password"].(string); len(made) < 16 {
				w.t.Errorf("no password was made: %s", got.raw)
			}
		}, errcode.InvalidCredentials},
		"password changed": {func(w *world, _, _ string) {
			got := w.post("users/change-password",
				`{"product":"studio","email":"ada@example.com","password":"`+thePassword+
					`","new_password":"battery staple"}`)
			w.want(got, http.StatusOK, "")
			if got.body["must_change_password"] != false {
				w.t.Errorf("%s", got.raw)
			}
		}, errcode.InvalidCredentials},
		"locked": {func(w *world, user, _ string) {
			w.want(w.users(http.MethodPatch, "/"+user, `{"is_locked":true}`), http.StatusOK, "")
			w.want(w.signIn("ada@example.com", thePassword), http.StatusForbidden, errcode.UserLocked)
			w.eventually(eventsv1.TypeUserLocked)
		}, errcode.UserLocked},
		"unassigned": {func(w *world, user, license string) {
			w.want(w.manage(http.MethodDelete, "/"+license+"/users/"+user, ""), http.StatusOK, "")
			w.inUse(license, 0)
		}, errcode.UserNotAssigned},
		"deleted": {func(w *world, user, license string) {
			w.want(w.users(http.MethodDelete, "/"+user, ""), http.StatusOK, "")
			w.inUse(license, 0)
		}, errcode.InvalidCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				w.unlimitedCalls()
				w.studio()
				user := w.ada("")
				license, _ := w.assigned(user)
				token := w.token()
				w.want(w.post("activate", byUser(token, "pc", nil)), http.StatusCreated, "")
				replica := w.replica()
				w.want(replica.post("validate", byUser(token, "pc", nil)), http.StatusOK, "")
				test.kill(w, user, license)
				for _, call := range []string{"validate", "activate"} {
					status := http.StatusForbidden
					if test.code == errcode.InvalidCredentials {
						status = http.StatusUnauthorized
					}
					w.want(w.post(call, byUser(token, "pc", nil)), status, test.code)
					replica.becomes(call, status, test.code, func() answer {
						return replica.post(call, byUser(token, "pc", nil))
					})
				}
			})
		})
	}
}

func TestUsersOfSeveralCustomersWithOneEmail(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		w.ada("")
		again := `{"product":"studio","customer_id":"acme","email":"ADA@example.com"}`
		w.want(w.users(http.MethodPost, "", again), http.StatusConflict, errcode.UserExists)
		other := strings.Replace(again, "acme", "other", 1)
		made := w.users(http.MethodPost, "", other)
		w.want(made, http.StatusCreated, "")
		w.want(w.signIn("ada@example.com", thePassword), http.StatusUnauthorized, errcode.InvalidCredentials)
		got := w.post("users/sign-in", `{"product":"studio","customer_id":"other","email":"ada@example.com",`+
			`"password":"`+
			made.body["initial_password"].(string)+`"}`)
		w.want(got, http.StatusOK, "")
		if got := w.users(http.MethodGet, "?customer_id=other&product=studio&email=ada@example.com",
			""); got.body["total"] != 1.0 {
			w.t.Errorf("%s", got.raw)
		}
	})
}

func TestSeatsOfAUserAreExactUnderRaces(t *testing.T) {
	const limit = 3
	eachWorldInTurn(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		user := w.ada(fmt.Sprintf(`,"max_devices":%d`, limit))
		ids := make([]string, 4)
		for i := range ids {
			ids[i], _ = w.assigned(user)
		}
		token := w.token()
		in := w.together(40, http.StatusCreated, func(i int) answer {
			return w.post("activate", byUser(token, fmt.Sprint("pc-", i),
				map[string]any{"license_id": ids[i%len(ids)]}))
		})
		if in != limit {
			w.t.Errorf("%d devices got in, want %d", in, limit)
		}
		full := w.post("activate", byUser(token, "more", map[string]any{"license_id": ids[0]}))
		ask := `{"license_id":"` + ids[0] + `","hardware_id":"more","operation":"activate"`
		w.agrees(w.explain(ask+`,"user":"ADA@example.com"}`), full)
		for _, nobody := range []string{``, `,"user":"nobody@example.com"`} {
			if got := w.explain(ask + nobody + `}`); got.body["error_code"] != errcode.InvalidCredentials {
				w.t.Errorf("%s", got.raw)
			}
		}
		w.want(full, http.StatusForbidden, errcode.UserDeviceLimitExceeded)
		if d := full.body["details"].(map[string]any); d["max_devices"] != 3.0 || d["current_devices"] != 3.0 {
			w.t.Errorf("details: %v", d)
		}
	})
}

func TestBadUsers(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		user := w.ada("")
		plain, _ := w.create(1, 0)
		const good = `"product":"studio","customer_id":"acme","email":"x@example.com"`
		for body, field := range map[string]string{
			`{"customer_id":"acme","email":"x@example.com"}`:                          "product",
			`{"product":"default","customer_id":"acme","email":"x@example.com"}`:      "product",
			`{"product":"nothing","customer_id":"acme","email":"x@example.com"}`:      "product",
			`{"product":"studio","email":"x@example.com"}`:                            "customer_id",
			`{"product":"studio","customer_id":"acme"}`:                               "email",
			`{"product":"studio","customer_id":"acme","email":"Ada <x@example.com>"}`: "email",
			`{` + good + `,"initial_password":"short"}`:                               "initial_password",
			`{` + good + `,"initial_password":"X@example.com"}`:                       "initial_password",
			`{` + good + `,"initial_password":"` + strings.Repeat("x", 257) + `"}`:    "initial_password",
			`{` + good + `,"max_devices":0}`:                                          "max_devices",
			`{` + good + `,"is_locked":true}`:                                         "is_locked",
			`{` + good + `,"name":"` + strings.Repeat("x", 256) + `"}`:                "name",
		} {
			got := w.users(http.MethodPost, "", body)
			w.want(got, http.StatusBadRequest, errcode.ValidationError)
			details, _ := got.body["details"].(map[string]any)
			if fields, _ := details["fields"].(map[string]any); fields[field] == nil {
				w.t.Errorf("%s: %s", body, got.raw)
			}
		}
		w.want(w.manage(http.MethodPut, "/"+plain+"/users/"+user, ""), http.StatusBadRequest, errcode.ValidationError)
		theirs := w.manage(http.MethodPost, "", `{"customer_id":"other","product":"studio"}`)
		w.must(theirs, http.StatusCreated)
		foreign := w.manage(http.MethodPut, "/"+theirs.body["license_id"].(string)+"/users/"+user, "")
		w.want(foreign, http.StatusBadRequest, errcode.ValidationError)
		if !strings.Contains(foreign.raw, "different customers") {
			w.t.Errorf("a license of another customer: %s", foreign.raw)
		}
		w.want(w.manage(http.MethodPut, "/"+plain+"/users/nonsense", ""), http.StatusNotFound, errcode.UserNotFound)
		w.want(w.users(http.MethodGet, "/nonsense", ""), http.StatusNotFound, errcode.UserNotFound)
		w.want(w.users(http.MethodPatch, "/"+user, `{"name":"x"}`, "If-Match", `"9"`), http.StatusPreconditionFailed,
			errcode.VersionMismatch)
		if got := w.users(http.MethodGet, "", ""); strings.Contains(got.raw, "argon2") ||
			strings.Contains(got.raw, thePassword) {
			w.t.Errorf("a secret shows: %s", got.raw)
		}
	})
}

func TestAnErasedCustomerHasNoUsers(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		user := w.ada(`,"name":"Ada"`)
		w.assigned(user)
		token := w.token()
		w.want(w.post("activate", byUser(token, "pc", nil)), http.StatusCreated, "")
		w.want(w.ask(w.admin, http.MethodPost, "/api/v1/admin/customers/acme/erase", ""), http.StatusOK, "")
		if got := w.users(http.MethodGet, "/"+user, ""); strings.Contains(got.raw, `"Ada`) ||
			strings.Contains(got.raw, `"ada`) {
			w.t.Errorf("the user shows: %s", got.raw)
		}
		w.want(w.post("validate", byUser(token, "pc", nil)), http.StatusForbidden, errcode.UserLocked)
		w.want(w.signIn("ada@example.com", thePassword), http.StatusUnauthorized, errcode.InvalidCredentials)
	})
}
