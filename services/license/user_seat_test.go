package license_test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
)

// colleague makes another user of a license, who has signed in.
func (w *world) colleague(licenseID, email string) (token string) {
	w.t.Helper()
	made := w.users(http.MethodPost, "", `{"product":"studio","customer_id":"acme","email":"`+email+
		`","initial_password":"`+thePassword+`"}`)
	w.must(made, http.StatusCreated)
	w.must(w.manage(http.MethodPut, "/"+licenseID+"/users/"+made.body["user_id"].(string), ""), http.StatusOK)
	signedIn := w.signIn(email, thePassword)
	w.must(signedIn, http.StatusOK)
	return signedIn.body["user_token"].(string)
}

// TestALockedUserGetsNothingNew: what a device was given while it had its seat is no way around the lock of its user.
func TestALockedUserGetsNothingNew(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		user := w.ada("")
		id, _ := w.with(everyTerm + `,"device_match":"any"`)
		w.want(w.manage(http.MethodPut, "/"+id+"/users/"+user, ""), http.StatusOK, "")
		w.want(w.post("activate", byUser(w.token(), "pc", nil)), http.StatusCreated, "")
		lease := w.post("leases", byUser(w.token(), "pc", nil))
		w.want(lease, http.StatusCreated, "")
		access := w.bearer(id, "pc")
		w.want(w.beat(access), http.StatusOK, "")
		renewal := `{"license_id":"` + id + `","hardware_id":"pc","operation":"lease","lease_id":"` +
			lease.body["lease_id"].(string) + `"}`
		newToken := map[string]any{"license_id": id, "hardware_id": "pc"}
		signedIn := w.token()
		for _, locked := range []string{"true", "false", "true"} {
			status, made, code := http.StatusOK, http.StatusCreated, ""
			if locked == "true" {
				status, made, code = http.StatusForbidden, http.StatusForbidden, errcode.UserLocked
			}
			w.want(w.users(http.MethodPatch, "/"+user, `{"is_locked":`+locked+`}`), http.StatusOK, "")
			if locked == "false" {
				signedIn = w.token() // the lock has ended the other
			}
			newToken["user_token"] = signedIn
			w.want(w.beat(access), status, code)
			w.want(w.post("offline-token", "", access...), made, code)
			w.want(w.renew(lease), status, code)
			w.agrees(w.explain(renewal), w.renew(lease))
			w.want(w.checkDevice(newToken), status, code)
			if got := w.tokenAgrees(id, newToken); (got == nil) != (code == "") {
				w.t.Errorf("locked %s: a token is answered %v", locked, got)
			}
		}
		w.want(w.manage(http.MethodPost, "/"+id+"/license-file", `{"hardware_ids":["pc"]}`), http.StatusCreated, "")
	})
}

// TestTokensNeedASignIn: the license_id and the hardware_id of a device get it no token by themselves, nor does a
// sign-in that is void, or that of somebody else.
func TestTokensNeedASignIn(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		user := w.ada("")
		id, key := w.assigned(user)
		other, _ := w.assigned(user)
		signedIn := w.token()
		w.want(w.post("activate", byUser(signedIn, "pc", map[string]any{"license_id": id})), http.StatusCreated, "")
		asks := func(userToken string, want any) {
			t.Helper()
			of := map[string]any{"license_id": id, "hardware_id": "pc", "user_token": userToken}
			if got := w.tokenAgrees(id, of); got != want {
				t.Errorf("a token by %q: %v, want %v", userToken, got, want)
			}
			validated := w.post("validate", byUser(userToken, "pc", map[string]any{"license_id": id}))
			if got := validated.body["error_code"]; userToken != "" && got != want {
				t.Errorf("a validation by %q: %v, want %v", userToken, got, want)
			}
		}
		asks("", errcode.InvalidCredentials)
		asks("usr_none", errcode.InvalidCredentials)
		asks(signedIn, nil)
		if explained := w.explain(`{"license_id":"` + id + `","hardware_id":"pc","operation":"token",` +
			`"user":"ada@example.com"}`); explained.body["verdict"] != "allowed" {
			t.Errorf("explained by the e-mail: %s", explained.raw)
		}
		w.want(w.users(http.MethodPost, "/"+user+"/reset-password", `{"initial_password":"`+thePassword+`"}`),
			http.StatusOK, "")
		asks(signedIn, errcode.InvalidCredentials)
		asks("", errcode.InvalidCredentials)
		signedIn = w.token()
		asks(signedIn, nil)
		w.want(w.manage(http.MethodDelete, "/"+id+"/users/"+user, ""), http.StatusOK, "")
		asks(signedIn, errcode.UserNotAssigned)
		w.want(w.checkDevice(map[string]any{"license_id": other, "hardware_id": "pc", "user_token": signedIn}),
			http.StatusForbidden, errcode.DeviceNotActivated)
		w.want(w.users(http.MethodDelete, "/"+user, ""), http.StatusOK, "")
		asks(signedIn, errcode.InvalidCredentials)
		w.want(w.post("validate", device(key, "pc")), http.StatusUnauthorized, errcode.InvalidCredentials)
	})
}

// TestUsersAreToldToAuth: what proves the user of a device has a number that auth keeps with the device's tokens. It
// grows when that becomes void.
func TestUsersAreToldToAuth(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.studio()
		user := w.ada("")
		id, _ := w.assigned(user)
		number := func(of *licensev1.CheckDeviceRequest) *int64 {
			t.Helper()
			res, err := w.asAuth.CheckDevice(t.Context(), connect.NewRequest(of))
			if err != nil {
				t.Fatal(err)
			}
			return res.Msg.UserCredentials
		}
		byUsers := func(userToken string) *int64 {
			return number(&licensev1.CheckDeviceRequest{LicenseId: id, HardwareId: "pc", UserToken: &userToken})
		}
		byHolder := func() *int64 {
			return number(&licensev1.CheckDeviceRequest{
				LicenseId: id, HardwareId: "pc", LicenseVersion: new(int32(99)),
			})
		}
		w.want(w.post("activate", byUser(w.token(), "pc", nil)), http.StatusCreated, "")
		begun := byUsers(w.token())
		if now := byHolder(); begun == nil || now == nil || *now != *begun {
			t.Fatalf("signed in with %v, and later %v", begun, now)
		}
		w.want(w.users(http.MethodPost, "/"+user+"/reset-password", `{"initial_password":"`+thePassword+`"}`),
			http.StatusOK, "")
		after := byUsers(w.token())
		testkit.Eventually(t, patience, func() error {
			if now := byHolder(); *after <= *begun || *now != *after {
				return fmt.Errorf("before the reset %d, after it %d and %d", *begun, *after, *now)
			}
			return nil
		})
		plain, key := w.create(1, 0)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		if n := number(&licensev1.CheckDeviceRequest{LicenseId: plain, HardwareId: "pc"}); n != nil {
			t.Errorf("a license that nobody signs in to: %d", *n)
		}
	})
}

// TestUsersOfSeatsAreKnown: the user of a seat is asked of memory, so a change of which no event tells is not seen.
func TestUsersOfSeatsAreKnown(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.studio()
		id, _ := w.assigned(w.ada(""))
		w.want(w.post("activate", byUser(w.token(), "pc", nil)), http.StatusCreated, "")
		access := w.bearer(id, "pc")
		w.want(w.beat(access), http.StatusOK, "")
		err := w.db.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec("UPDATE users SET is_locked = true").Error
		})
		if err != nil {
			t.Fatal(err)
		}
		w.want(w.beat(access), http.StatusOK, "")
	})
}

// TestADeviceIsThatOfItsUser: to another user of the license it is not activated, whatever that one calls, and nothing
// of it is told or changed.
func TestADeviceIsThatOfItsUser(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		id, _ := w.with(everyTerm + `,"device_match":"any"`)
		w.want(w.manage(http.MethodPut, "/"+id+"/users/"+w.ada(""), ""), http.StatusOK, "")
		components := map[string]any{"components": map[string]any{"cpu": "c-1", "disk": "d-1"}}
		activated := w.post("activate", byUser(w.token(), "pc", components))
		w.want(activated, http.StatusCreated, "")
		w.want(w.post("license-file", byUser(w.token(), "pc", nil)), http.StatusCreated, "") // makes the keys for it
		bob := w.colleague(id, "bob@example.com")
		before, version := w.rows(), w.get(id)["version"]
		for _, call := range userCalls {
			status, code := http.StatusForbidden, errcode.DeviceNotActivated
			switch {
			case call.path == "validate":
				status = http.StatusOK
			case call.path == "activate", call.path == "license-file":
				code = errcode.DeviceOfAnotherUser
			case call.path == "deactivate":
				status, code = http.StatusNotFound, errcode.DeviceNotFound
			}
			path := strings.Replace(call.path, "{device_id}", activated.body["device_id"].(string), 1)
			got := w.call(call.method, "/api/v1/license/"+path, byUser(bob, "pc", call.members),
				"X-API-Key", w.auth.apiKey)
			if status == http.StatusOK && got.body["valid"] != false || got.status != status ||
				got.body["error_code"] != code {
				w.t.Errorf("%s: %d %s, want %d %s", call.path, got.status, got.raw, status, code)
			}
		}
		renamed := w.post("activate", byUser(bob, "renamed", components))
		w.want(renamed, http.StatusForbidden, errcode.DeviceOfAnotherUser)
		w.bobIsExplained(id, bob)
		if after := w.rows(); !reflect.DeepEqual(after, before) || w.get(id)["version"] != version {
			w.t.Errorf("refused calls wrote: %v, before %v", after, before)
		}
		w.deactivate(id, "pc") // an administrator may, although it holds a file
		w.want(w.post("activate", byUser(bob, "pc", nil)), http.StatusCreated, "")
		w.want(w.post("validate", byUser(bob, "pc", nil)), http.StatusOK, "")
		w.want(w.post("activate", byUser(w.token(), "pc", nil)), http.StatusForbidden, errcode.DeviceOfAnotherUser)
	})
}

// bobIsExplained compares explanations with calls about the device of another user.
func (w *world) bobIsExplained(id, token string) {
	w.t.Helper()
	for operation, endpoint := range endpoints {
		call, question := map[string]any{"license_id": id}, map[string]any{"license_id": id, "hardware_id": "pc"}
		question["user"], question["operation"] = "bob@example.com", operation
		if operation == "consume" {
			call["counter"], question["counter"] = "exports", "exports"
		}
		w.agrees(w.explain(text(question)), w.post(endpoint, byUser(token, "pc", call)))
	}
}

// TestDevicesOfAUser: who is told USER_DEVICE_LIMIT_EXCEEDED can be told which devices those are.
func TestDevicesOfAUser(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.studio()
		ada := w.ada(`,"max_devices":2`)
		id, _ := w.with(`"product":"studio","max_devices":9`)
		w.must(w.manage(http.MethodPut, "/"+id+"/users/"+ada, ""), http.StatusOK)
		bob := w.colleague(id, "bob@example.com")
		for _, pc := range []string{"pc-1", "pc-2"} {
			w.want(w.post("activate", byUser(w.token(), pc, nil)), http.StatusCreated, "")
		}
		w.want(w.post("activate", byUser(bob, "pc-3", nil)), http.StatusCreated, "")
		w.want(w.post("activate", byUser(w.token(), "pc-4", nil)), http.StatusForbidden,
			errcode.UserDeviceLimitExceeded)
		for query, want := range map[string][]string{
			"":                {"pc-3", "pc-2", "pc-1"},
			"?user_id=" + ada: {"pc-2", "pc-1"},
			"?per_page=1&user_id=" + strings.ToUpper(ada): {"pc-2"},
			"?user_id=" + id: nil,
		} {
			got := w.manage(http.MethodGet, "/"+id+"/devices"+query, "")
			w.must(got, http.StatusOK)
			var names []string
			for _, d := range got.body["devices"].([]any) {
				names = append(names, d.(map[string]any)["hardware_id"].(string))
			}
			if !reflect.DeepEqual(names, want) {
				w.t.Errorf("%q: %v, want %v", query, names, want)
			}
		}
		w.want(w.manage(http.MethodGet, "/"+id+"/devices?user_id=ada", ""), http.StatusBadRequest,
			errcode.ValidationError)
	})
}
