package license_test

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// everyTerm is for a license on which each call of a device does something.
const everyTerm = `"product":"studio","max_devices":9,"floating":{"slots":9},"features":["x"],` +
	`"counters":[{"name":"exports"}]`

// userCalls are the calls of a device that has its seat, in an order in which all of them are allowed.
var userCalls = []struct {
	method, path string
	status       int
	members      map[string]any
}{
	{http.MethodPost, "activate", http.StatusCreated, nil},
	{http.MethodPost, "validate", http.StatusOK, nil},
	{http.MethodPost, "validate", http.StatusOK, map[string]any{"require_entitlements": []string{"x"}}},
	{http.MethodPost, "leases", http.StatusCreated, nil},
	{http.MethodPost, "consume", http.StatusOK, map[string]any{"counter": "exports", "operation_id": "job"}},
	{http.MethodPost, "consume/undo", http.StatusOK, map[string]any{"operation_id": "job"}},
	{http.MethodPut, "devices/variables", http.StatusOK, map[string]any{"variables": map[string]any{"a": "b"}}},
	{http.MethodPatch, "devices/{device_id}", http.StatusOK, map[string]any{"label": "desk"}},
	{http.MethodPost, "deactivate", http.StatusOK, nil},
	{http.MethodPost, "license-file", http.StatusCreated, nil},
}

// namesLicense are the ways in which a user says which license a call is about.
func namesLicense(id, key string) map[string]map[string]any {
	return map[string]map[string]any{
		"the only one": nil, "license_id": {"license_id": id}, "license_key": {"license_key": key},
	}
}

func TestAUserTokenTakesThePlaceOfALicenseKey(t *testing.T) {
	for name := range namesLicense("", "") {
		t.Run(name, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				w.unlimitedCalls()
				w.studio()
				id, key := w.with(everyTerm)
				w.want(w.manage(http.MethodPut, "/"+id+"/users/"+w.ada(""), ""), http.StatusOK, "")
				token, named, deviceID := w.token(), namesLicense(id, key)[name], unknown
				for _, call := range userCalls {
					members := maps.Clone(named)
					if members == nil {
						members = map[string]any{}
					}
					maps.Copy(members, call.members)
					path := "/api/v1/license/" + strings.Replace(call.path, "{device_id}", deviceID, 1)
					got := w.call(call.method, path, byUser(token, "pc", members), "X-API-Key", w.auth.apiKey)
					if got.status != call.status {
						t.Fatalf("%s: %d %s", call.path, got.status, got.raw)
					}
					if call.path == "activate" {
						deviceID = got.body["device_id"].(string)
					}
				}
			})
		})
	}
}

// TestALicenseOfUsersNeedsItsUser: on no call is its key enough, or somebody to whom it is not assigned, and what is
// refused writes nothing.
func TestALicenseOfUsersNeedsItsUser(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		id, key := w.with(everyTerm)
		w.want(w.manage(http.MethodPut, "/"+id+"/users/"+w.ada(""), ""), http.StatusOK, "")
		token := w.token()
		activated := w.post("activate", byUser(token, "pc", nil))
		w.want(activated, http.StatusCreated, "")
		w.want(w.post("license-file", byUser(token, "pc", nil)), http.StatusCreated, "") // by keys that are made for it
		w.want(w.users(http.MethodPost, "", `{"product":"studio","customer_id":"acme","email":"eve@example.com",`+
			`"initial_password":"`+thePassword+`"}`), http.StatusCreated, "")
		signedIn := w.signIn("eve@example.com", thePassword)
		w.want(signedIn, http.StatusOK, "")
		eve := signedIn.body["user_token"].(string)
		before, version := w.rows(), w.get(id)["version"]
		for _, call := range userCalls {
			ask := func(status int, code string, members map[string]any) {
				members = maps.Clone(members)
				members["hardware_id"] = "pc"
				maps.Copy(members, call.members)
				path := strings.Replace(call.path, "{device_id}", activated.body["device_id"].(string), 1)
				got := w.call(call.method, "/api/v1/license/"+path, text(members), "X-API-Key", w.auth.apiKey)
				if got.status != status || got.body["error_code"] != code {
					w.t.Errorf("%s with %v: %d %s, want %d %s", call.path, members, got.status, got.raw, status, code)
				}
			}
			ask(http.StatusUnauthorized, errcode.InvalidCredentials, map[string]any{"license_key": key})
			ask(http.StatusUnauthorized, errcode.InvalidCredentials, map[string]any{"user_token": "nonsense"})
			ask(http.StatusForbidden, errcode.UserNotAssigned, map[string]any{"user_token": eve})
			ask(http.StatusForbidden, errcode.UserNotAssigned, map[string]any{"user_token": eve, "license_id": id})
			ask(http.StatusForbidden, errcode.UserNotAssigned, map[string]any{"user_token": eve, "license_key": key})
			ask(http.StatusBadRequest, errcode.ValidationError, map[string]any{"license_id": id})
		}
		asked := w.explain(`{"license_id":"` + id + `","hardware_id":"pc","operation":"file"}`)
		if asked.body["error_code"] != errcode.InvalidCredentials {
			w.t.Errorf("explain: %s", asked.raw)
		}
		if after := w.rows(); !reflect.DeepEqual(after, before) || w.get(id)["version"] != version {
			w.t.Errorf("refused calls wrote: %v, before %v", after, before)
		}
		for _, body := range []string{"", `{"hardware_ids":["pc","other"]}`} { // an administrator needs no user
			w.want(w.manage(http.MethodPost, "/"+id+"/license-file", body), http.StatusCreated, "")
		}
		w.explainsUsers(id, key, eve)
	})
}

// explainsUsers compares explanations with calls of users to whom a license is not assigned, that are locked, or that
// there are not, while it is usable and while it is not.
func (w *world) explainsUsers(id, key, eve string) {
	w.t.Helper()
	w.want(w.users(http.MethodPost, "", `{"product":"studio","customer_id":"acme","email":"bob@example.com",`+
		`"initial_password":"`+thePassword+`"}`), http.StatusCreated, "")
	signedIn := w.signIn("bob@example.com", thePassword)
	w.want(w.manage(http.MethodPut, "/"+id+"/users/"+signedIn.body["user_id"].(string), ""), http.StatusOK, "")
	w.want(w.users(http.MethodPatch, "/"+signedIn.body["user_id"].(string), `{"is_locked":true}`), http.StatusOK, "")
	tokens := map[string]string{
		"eve@example.com": eve, "bob@example.com": signedIn.body["user_token"].(string), "nobody@example.com": "usr_x",
	}
	for _, active := range []bool{true, false} {
		w.update(id, fmt.Sprintf(`{"is_active":%v}`, active))
		for user, token := range tokens {
			alone := text(map[string]any{"user_token": token, "hardware_id": "pc"})
			w.agrees(w.explain(alone), w.post("validate", alone))
			for member, value := range map[string]string{"license_id": id, "license_key": key} {
				named := map[string]any{member: value, "hardware_id": "pc"}
				for operation, endpoint := range endpoints {
					call, question := maps.Clone(named), maps.Clone(named)
					call["user_token"], question["user"], question["operation"] = token, user, operation
					if operation == "consume" {
						call["counter"], question["counter"] = "exports", "exports"
					}
					called := w.post(endpoint, text(call))
					w.agrees(w.explain(text(question)), called)
					call["operation"] = operation // the body of the call, pasted
					w.agrees(w.explain(text(call)), called)
				}
			}
		}
	}
	w.update(id, `{"is_active":true}`)
}

// TestAnAPIKeyBoundToAProductSignsInItsUsersAlone: by the key of another application nobody learns whether a password
// is right, and a token is good for nothing.
func TestAnAPIKeyBoundToAProductSignsInItsUsersAlone(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		w.assigned(w.ada(""))
		w.auth.product = "studio"
		token := w.token()
		w.want(w.post("activate", byUser(token, "pc", nil)), http.StatusCreated, "")
		w.auth.product = "editor"
		other := w.replica() // which has not looked the API key up yet
		right, wrong := other.signIn("ada@example.com", thePassword), other.signIn("ada@example.com", "wrong guess")
		w.want(right, http.StatusUnauthorized, errcode.InvalidCredentials)
		w.want(wrong, http.StatusUnauthorized, errcode.InvalidCredentials)
		if right.body["error"] != wrong.body["error"] {
			w.t.Errorf("%q tells more than %q", right.body["error"], wrong.body["error"])
		}
		w.want(other.post("users/change-password",
			`{"product":"studio","email":"ada@example.com","password":"`+thePassword+
				`","new_password":"battery staple"}`), http.StatusUnauthorized, errcode.InvalidCredentials)
		for _, call := range []string{"validate", "activate", "deactivate", "leases", "license-file"} {
			w.want(other.post(call, byUser(token, "pc", nil)), http.StatusNotFound, errcode.LicenseNotFound)
		}
		w.want(w.post("validate", byUser(w.token(), "pc", nil)), http.StatusOK, "")
	})
}

// TestUsersAndGroupsChangeFromWhatWasRead: of many who read one version, one changes it.
func TestUsersAndGroupsChangeFromWhatWasRead(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		w.studio()
		for _, of := range []struct {
			ask func(method, path, body string, headers ...string) answer
			id  string
		}{{w.users, w.ada("")}, {w.groups, w.group("")}} {
			read := of.ask(http.MethodGet, "/"+of.id, "")
			stale := read.header.Get("ETag")
			changed := w.together(40, http.StatusOK, func(i int) answer {
				return of.ask(http.MethodPatch, "/"+of.id, fmt.Sprintf(`{"name":"name %d"}`, i), "If-Match", stale)
			})
			now := of.ask(http.MethodGet, "/"+of.id, "")
			current := now.header.Get("ETag")
			if changed != 1 || now.body["version"] != read.body["version"].(float64)+1 || current == stale {
				w.t.Errorf("%d of 40 changed it: %s", changed, now.raw)
			}
			for _, method := range []string{http.MethodPatch, http.MethodDelete} {
				late := of.ask(method, "/"+of.id, "", "If-Match", stale)
				w.want(late, http.StatusPreconditionFailed, errcode.VersionMismatch)
				if d, _ := late.body["details"].(map[string]any); d["version"] != now.body["version"] {
					w.t.Errorf("%s does not say the version: %s", method, late.raw)
				}
				bad := of.ask(method, "/"+of.id, "", "If-Match", "nonsense")
				w.want(bad, http.StatusBadRequest, errcode.ValidationError)
			}
			w.want(of.ask(http.MethodPatch, "/"+of.id, `{"name":"last"}`, "If-Match", current), http.StatusOK, "")
			late := of.ask(http.MethodDelete, "/"+of.id, "", "If-Match", current)
			w.want(late, http.StatusPreconditionFailed, errcode.VersionMismatch)
			w.want(of.ask(http.MethodDelete, "/"+of.id, "", "If-Match", "*"), http.StatusOK, "")
		}
	})
}

// What users get without their own seat would stay with them when their license is taken away.
func TestLeasesOfUsersNeedSeats(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		user := w.ada(`,"max_devices":1`)
		id, _ := w.with(`"product":"studio","max_devices":5,"floating":{"slots":5,"activation":"none"}`)
		w.want(w.manage(http.MethodPut, "/"+id+"/users/"+user, ""), http.StatusOK, "")
		token := w.token()
		refused := w.post("leases", byUser(token, "f1", nil))
		w.want(refused, http.StatusForbidden, errcode.DeviceNotActivated)
		w.want(w.post("activate", byUser(token, "f1", nil)), http.StatusCreated, "")
		taken := w.post("leases", byUser(token, "f1", nil))
		w.want(taken, http.StatusCreated, "")
		w.want(w.post("activate", byUser(token, "f2", nil)), http.StatusForbidden, errcode.UserDeviceLimitExceeded)
		w.want(w.manage(http.MethodDelete, "/"+id+"/users/"+user, ""), http.StatusOK, "")
		renewed := w.post("leases/"+taken.body["lease_id"].(string)+"/renew", "",
			"Authorization", "Bearer "+taken.body["lease_token"].(string))
		if renewed.status < 400 {
			t.Errorf("the lease of a user who lost the license was renewed: %s", renewed.raw)
		}
	})
}

func TestDevicesOfUsersGoOffline(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.studio()
		id, _ := w.assigned(w.ada(""))
		w.want(w.post("activate", byUser(w.token(), "desk", nil)), http.StatusCreated, "")
		w.want(w.post("offline-token", "", w.bearer(id, "desk")...), http.StatusCreated, "")
		encrypted := w.post("license-file", byUser(w.token(), "desk", map[string]any{"encrypt": true}))
		w.want(encrypted, http.StatusBadRequest, "VALIDATION_ERROR")
	})
}
