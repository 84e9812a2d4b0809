package license_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/rpctest"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/services/license"
)

// refused tells with which code a call failed.
func refused[T any](_ *connect.Response[T], err error) string {
	if err == nil {
		return ""
	}
	return apierr.From(err).Code
}

func TestInternalPortWantsAServiceToken(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		paths := map[string]string{}
		for _, procedure := range rpctest.Procedures(licensev1.File_latchkey_license_v1_license_proto) {
			paths[procedure] = http.MethodPost
		}
		for _, route := range w.internal.Routes() {
			if strings.HasPrefix(route.Path, "/api/") {
				paths[strings.ReplaceAll(route.Path, ":license_id", id)] = route.Method
			}
		}
		for path, method := range paths {
			req := httptest.NewRequest(method, path, strings.NewReader(`{"license_id":"`+id+`"}`))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-API-Key", w.auth.apiKey)
			rec := httptest.NewRecorder()
			w.internal.ServeHTTP(rec, req)
			if rec.Code != http.StatusUnauthorized || strings.Contains(rec.Body.String(), key) {
				w.t.Errorf("%s without a token: %d %s", path, rec.Code, rec.Body)
			}
		}
		for name, options := range map[string][]connect.ClientOption{
			"another key":      rpc.NewClientOptions(rpc.NewIdentity("admin"), "license"),
			"another audience": rpctest.Client("admin", "auth"),
		} {
			_, err := w.client(options...).
				CountLicenses(t.Context(), connect.NewRequest(&licensev1.CountLicensesRequest{}))
			if err == nil {
				w.t.Errorf("%s is let in", name)
			}
		}
		if w.get(id)["is_active"] != true {
			w.t.Error("a refused call changed the license")
		}
	})
}

func TestWhoMayAskWhat(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t, license.Migrations...))
	rpctest.CheckCallers(t, w.internal, license.Name, licensev1.File_latchkey_license_v1_license_proto,
		map[string][]string{
			"CheckDevice": {"auth"}, "CountLicenses": {"admin"},
		})
	rpctest.CheckManagement(t, w.internal, license.Name)
}

func TestCountLicenses(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(2, 1)
		w.create(1, 30)
		gone, _ := w.create(1, 0)
		w.want(w.manage("DELETE", "/"+gone, ""), http.StatusOK, "")
		w.activate(key, "pc")
		w.clock.Advance(24 * time.Hour)
		asAdmin := w.client(rpctest.Client("admin", "license")...)
		counts, err := asAdmin.CountLicenses(t.Context(), connect.NewRequest(&licensev1.CountLicensesRequest{}))
		if err != nil {
			w.t.Fatal(err)
		}
		want := "total:3 active:1 inactive:1 expired:1 expiring_30_days:1 active_devices:1"
		if got := strings.Join(strings.Fields(fmt.Sprint(counts.Msg)), " "); got != want {
			w.t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestCheckDevice(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 1)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		check := func(licenseID, hardwareID string) (*connect.Response[licensev1.CheckDeviceResponse], error) {
			return w.asAuth.CheckDevice(t.Context(),
				connect.NewRequest(&licensev1.CheckDeviceRequest{LicenseId: licenseID, HardwareId: hardwareID}))
		}
		resp, err := check(id, "pc")
		if err != nil || resp.Msg.GetExpiresAt().AsTime().Format(time.RFC3339Nano) != w.get(id)["expires_at"] {
			w.t.Errorf("an activated device: %v, %v", resp, err)
		}
		if code := refused(check(id, "other")); code != "DEVICE_NOT_ACTIVATED" {
			w.t.Errorf("another device: %q", code)
		}
		if code := refused(check("none", "pc")); code != "LICENSE_NOT_FOUND" {
			w.t.Errorf("no license: %q", code)
		}
		w.clock.Advance(24 * time.Hour)
		if code := refused(check(id, "pc")); code != "LICENSE_EXPIRED" {
			w.t.Errorf("an expired license: %q", code)
		}
		w.want(w.manage("DELETE", "/"+id, `{"reason":"unpaid"}`), http.StatusOK, "")
		if l := w.get(id); l["is_active"] != false || l["deactivation_reason"] != "unpaid" ||
			l["deactivated_at"] == nil {
			w.t.Errorf("a deleted license: %v", l)
		}
		if code := refused(check(id, "pc")); code != "LICENSE_INACTIVE" {
			w.t.Errorf("a deleted license: %q", code)
		}
	})
}

// checkDevice asks as auth does, before it gives a device tokens, with the members that explain has.
func (w *world) checkDevice(members map[string]any) answer {
	w.t.Helper()
	asked := licensev1.CheckDeviceRequest{IsVm: members["is_vm"] == true, UserToken: new("")}
	for member, into := range map[string]*string{
		"license_id": &asked.LicenseId, "hardware_id": &asked.HardwareId, "app_version": &asked.AppVersion,
		"address": &asked.Address, "user_token": asked.UserToken,
	} {
		*into, _ = members[member].(string)
	}
	_, err := w.asAuth.CheckDevice(w.t.Context(), connect.NewRequest(&asked))
	if err == nil {
		return answer{status: http.StatusOK}
	}
	e := apierr.From(err)
	return answer{status: e.Kind.Status(), raw: e.Error(), body: map[string]any{
		"error_code": e.Code, "error": e.Message,
	}}
}
