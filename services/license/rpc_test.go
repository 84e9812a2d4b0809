package license_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/rpctest"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
	"github.com/latchkey-dev/latchkey/services/license"
)

var ada = &rpcv1.Actor{Id: "admin-1", Name: "Ada", Role: "owner", Ip: "192.0.2.7", RequestId: "r-1"}

// refused tells with which code a call failed.
func refused[T any](_ *connect.Response[T], err error) string {
	if err == nil {
		return ""
	}
	return apierr.From(err).Code
}

func (w *world) get(id string) *licensev1.License {
	w.t.Helper()
	resp, err := w.admin.GetLicense(w.t.Context(), connect.NewRequest(&licensev1.GetLicenseRequest{LicenseId: id}))
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.Msg.GetLicense()
}

func TestInternalPortWantsAServiceToken(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		methods := licensev1.File_latchkey_license_v1_license_proto.Services().Get(0).Methods()
		for i := range methods.Len() {
			m := methods.Get(i)
			path := fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
			req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{"license_id":"`+id+`"}`))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-API-Key", w.auth.apiKey)
			rec := httptest.NewRecorder()
			w.sisters["license"].ServeHTTP(rec, req)
			if rec.Code != http.StatusUnauthorized || strings.Contains(rec.Body.String(), key) {
				w.t.Errorf("%s without a token: %d %s", path, rec.Code, rec.Body)
			}
		}
		for name, options := range map[string][]connect.ClientOption{
			"another key":      rpc.NewClientOptions(rpc.NewIdentity("admin"), "license"),
			"another audience": rpctest.Client("admin", "auth"),
		} {
			_, err := w.client(options...).DeleteLicense(t.Context(), connect.NewRequest(&licensev1.DeleteLicenseRequest{LicenseId: id}))
			if err == nil {
				w.t.Errorf("%s is let in", name)
			}
		}
		if !w.get(id).GetIsActive() {
			w.t.Error("a refused call changed the license")
		}
	})
}

func TestM9WhoMayAskWhat(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t, license.Migrations...))
	admin := []string{"admin"}
	rpctest.CheckCallers(t, w.sisters["license"], license.Name, licensev1.File_latchkey_license_v1_license_proto, map[string][]string{
		"CheckDevice":   {"auth"},
		"CreateLicense": admin, "BulkCreateLicenses": admin, "GetLicense": admin, "UpdateLicense": admin, "DeleteLicense": admin,
		"ListLicenses": admin, "RevealLicenseKey": admin, "ListDevices": admin, "DeactivateDevice": admin, "TransferDevice": admin,
		"ListEvents": admin, "CountLicenses": admin,
	})
}

func TestCreateWithAnIdempotencyKey(t *testing.T) {
	eachWorld(t, func(w *world) {
		create := func(actor, key, customer string) (*licensev1.CreateLicenseResponse, string) {
			resp, err := w.admin.CreateLicense(t.Context(), connect.NewRequest(&licensev1.CreateLicenseRequest{
				Actor: &rpcv1.Actor{Id: actor}, IdempotencyKey: key, License: &licensev1.NewLicense{CustomerId: customer},
			}))
			if err != nil {
				return nil, apierr.From(err).Code
			}
			return resp.Msg, ""
		}
		first, _ := create("a", "once", "acme")
		again, _ := create("a", "once", "acme")
		if diff := cmp.Diff(first, again, protocmp.Transform()); diff != "" || first.GetLicenseKey() == "" {
			w.t.Errorf("the answer changed (-first +again):\n%s", diff)
		}
		if _, code := create("a", "once", "brick"); code != "IDEMPOTENCY_KEY_REUSED" {
			w.t.Errorf("another request under the key: %q", code)
		}
		if other, code := create("b", "once", "acme"); code != "" || other.GetLicense().GetLicenseId() == first.GetLicense().GetLicenseId() {
			w.t.Errorf("the key of another administrator: %q, %v", code, other)
		}
		if _, code := create("a", "bad", ""); code != "VALIDATION_ERROR" {
			w.t.Errorf("no customer: %q", code)
		}
		if _, total := w.list(&licensev1.ListLicensesRequest{Page: 1, PerPage: 10}); total != 2 {
			w.t.Errorf("%d licenses, want one of each administrator", total)
		}
	})
}

func TestBulkCreate(t *testing.T) {
	eachWorld(t, func(w *world) {
		none := int32(0)
		w.create(1, 0)
		req := &licensev1.BulkCreateLicensesRequest{Actor: ada, IdempotencyKey: "bulk", BodySha256: []byte("body"), Rows: []*licensev1.BulkRow{
			{Index: 2, License: &licensev1.NewLicense{CustomerId: "acme", LicenseKey: new("OLIVE-TREE-1")}},
			{Index: 3, License: &licensev1.NewLicense{CustomerId: "acme", MaxDevices: &none}},
			{Index: 5, License: &licensev1.NewLicense{CustomerId: "acme", LicenseKey: new("olive-tree-1")}},
			{Index: 7, License: &licensev1.NewLicense{CustomerId: "acme", LicenseKey: new("")}},
			{Index: 9, License: &licensev1.NewLicense{CustomerId: "acme"}},
		}}
		resp, err := w.admin.BulkCreateLicenses(t.Context(), connect.NewRequest(req))
		if err != nil {
			w.t.Fatal(err)
		}
		var outcome []string
		for _, made := range resp.Msg.GetCreated() {
			outcome = append(outcome, fmt.Sprint(made.GetIndex()))
			if l := w.get(made.GetLicense().GetLicenseId()); made.GetLicenseKey() == "" || !proto.Equal(l, made.GetLicense()) {
				w.t.Errorf("row %d was made as %v, stands as %v", made.GetIndex(), made.GetLicense(), l)
			}
		}
		for _, failed := range resp.Msg.GetFailed() {
			outcome = append(outcome, fmt.Sprint(failed.GetIndex(), " ", failed.GetError().GetCode()))
		}
		if diff := cmp.Diff([]string{"2", "9", "3 VALIDATION_ERROR", "5 LICENSE_KEY_EXISTS", "7 VALIDATION_ERROR"}, outcome); diff != "" {
			w.t.Errorf("outcome (-want +got):\n%s", diff)
		}
		again, err := w.admin.BulkCreateLicenses(t.Context(), connect.NewRequest(req))
		if err != nil {
			w.t.Fatal(err)
		}
		if diff := cmp.Diff(resp.Msg, again.Msg, protocmp.Transform()); diff != "" {
			w.t.Errorf("the answer changed (-first +again):\n%s", diff)
		}
		req.BodySha256 = []byte("another body")
		if code := refused(w.admin.BulkCreateLicenses(t.Context(), connect.NewRequest(req))); code != "IDEMPOTENCY_KEY_REUSED" {
			w.t.Errorf("another body under the key: %q", code)
		}
		if _, total := w.list(&licensev1.ListLicensesRequest{Page: 1, PerPage: 10}); total != 3 {
			w.t.Errorf("%d licenses, want 3", total)
		}
	})
}

// list returns the ids of a page.
func (w *world) list(req *licensev1.ListLicensesRequest) (ids []string, total int32) {
	w.t.Helper()
	resp, err := w.admin.ListLicenses(w.t.Context(), connect.NewRequest(req))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range resp.Msg.GetLicenses() {
		ids = append(ids, l.GetLicenseId())
	}
	return ids, resp.Msg.GetTotal()
}

func TestListPages(t *testing.T) {
	eachWorld(t, func(w *world) {
		var newestFirst []string
		begin := w.clock.Now()
		for range 5 {
			id, _ := w.create(1, 0)
			newestFirst = slices.Insert(newestFirst, 0, id)
			w.clock.Advance(time.Minute)
		}
		for page, want := range [][]string{newestFirst[:2], newestFirst[2:4], newestFirst[4:], nil} {
			got, total := w.list(&licensev1.ListLicensesRequest{Page: int32(page + 1), PerPage: 2})
			if diff := cmp.Diff(want, got); diff != "" || total != 5 {
				w.t.Errorf("page %d of %d (-want +got):\n%s", page+1, total, diff)
			}
		}
		off := false
		w.update(&licensev1.UpdateLicenseRequest{LicenseId: newestFirst[1], IsActive: &off})
		acme, brick := "acme", "brick"
		for name, tc := range map[string]struct {
			req  *licensev1.ListLicensesRequest
			want []string
		}{
			"inactive":       {&licensev1.ListLicensesRequest{IsActive: &off}, newestFirst[1:2]},
			"customer":       {&licensev1.ListLicensesRequest{CustomerId: &acme}, newestFirst},
			"other customer": {&licensev1.ListLicensesRequest{CustomerId: &brick}, nil},
			"not test":       {&licensev1.ListLicensesRequest{IsTest: &off}, newestFirst},
			"created in between": {&licensev1.ListLicensesRequest{
				CreatedAfter: timestamppb.New(begin.Add(time.Minute)), CreatedBefore: timestamppb.New(begin.Add(3 * time.Minute)),
			}, newestFirst[2:4]},
			"expires": {&licensev1.ListLicensesRequest{ExpiresAfter: timestamppb.New(begin)}, nil},
		} {
			tc.req.Page, tc.req.PerPage = 1, 10
			if got, total := w.list(tc.req); !slices.Equal(got, tc.want) || int(total) != len(tc.want) {
				w.t.Errorf("%s: %d, %v; want %v", name, total, got, tc.want)
			}
		}
	})
}

func TestUpdateChangesWhatIsPresent(t *testing.T) {
	eachWorld(t, func(w *world) {
		at := w.clock.Now().Add(48 * time.Hour).Truncate(time.Microsecond)
		off, yes, text, seven := false, true, "globex", int32(7)
		for name, tc := range map[string]struct {
			req  *licensev1.UpdateLicenseRequest
			want func(l *licensev1.License)
		}{
			"nothing":        {&licensev1.UpdateLicenseRequest{}, nil},
			"customer":       {&licensev1.UpdateLicenseRequest{CustomerId: &text}, func(l *licensev1.License) { l.CustomerId = text }},
			"seats":          {&licensev1.UpdateLicenseRequest{MaxDevices: &seven}, func(l *licensev1.License) { l.MaxDevices = 7 }},
			"offline hours":  {&licensev1.UpdateLicenseRequest{MaxOfflineHours: &seven}, func(l *licensev1.License) { l.MaxOfflineHours = 7 }},
			"test":           {&licensev1.UpdateLicenseRequest{IsTest: &yes}, func(l *licensev1.License) { l.IsTest = true }},
			"expiry":         {&licensev1.UpdateLicenseRequest{ExpiresAt: timestamppb.New(at)}, func(l *licensev1.License) { l.ExpiresAt = timestamppb.New(at) }},
			"perpetual":      {&licensev1.UpdateLicenseRequest{Perpetual: true}, func(l *licensev1.License) { l.ExpiresAt = nil }},
			"no features":    {&licensev1.UpdateLicenseRequest{Features: &licensev1.StringList{}}, func(l *licensev1.License) { l.Features = nil }},
			"other features": {&licensev1.UpdateLicenseRequest{Features: &licensev1.StringList{Values: []string{"b", "a"}}}, func(l *licensev1.License) { l.Features = []string{"b", "a"} }},
			"metadata":       {&licensev1.UpdateLicenseRequest{MetadataJson: []byte(`{"n":12345678901234567890}`)}, func(l *licensev1.License) { l.MetadataJson = []byte(`{"n":12345678901234567890}`) }},
			"off, with reason": {&licensev1.UpdateLicenseRequest{IsActive: &off, DeactivationReason: &text}, func(l *licensev1.License) {
				l.IsActive, l.DeactivationReason = false, text
				l.DeactivatedAt = timestamppb.New(w.clock.Now())
			}},
			"reason alone": {&licensev1.UpdateLicenseRequest{DeactivationReason: &text}, nil},
		} {
			id, _ := w.create(3, 30)
			want := w.get(id)
			w.clock.Advance(time.Second)
			if tc.want != nil {
				want.Version, want.UpdatedAt = 2, timestamppb.New(w.clock.Now())
				tc.want(want)
			}
			tc.req.LicenseId = id
			resp, err := w.admin.UpdateLicense(t.Context(), connect.NewRequest(tc.req))
			if err != nil {
				w.t.Errorf("%s: %v", name, err)
				continue
			}
			for what, got := range map[string]*licensev1.License{"answered": resp.Msg.GetLicense(), "kept": w.get(id)} {
				if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
					w.t.Errorf("%s: %s (-want +got):\n%s", name, what, diff)
				}
			}
		}
	})
}

func TestVersions(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(3, 30)
		before := w.get(id)
		stale, current, nine := int32(0), int32(1), int32(9)
		_, err := w.admin.UpdateLicense(t.Context(), connect.NewRequest(&licensev1.UpdateLicenseRequest{LicenseId: id, IfVersion: &stale, MaxDevices: &nine}))
		if e := apierr.From(err); e == nil || e.Code != "VERSION_MISMATCH" || fmt.Sprint(e.Details["version"]) != "1" {
			w.t.Errorf("update of another version: %v", err)
		}
		if code := refused(w.admin.DeleteLicense(t.Context(), connect.NewRequest(&licensev1.DeleteLicenseRequest{LicenseId: id, IfVersion: &stale}))); code != "VERSION_MISMATCH" {
			w.t.Errorf("deletion of another version: %q", code)
		}
		if diff := cmp.Diff(before, w.get(id), protocmp.Transform()); diff != "" {
			w.t.Errorf("a refused change was written:\n%s", diff)
		}
		w.update(&licensev1.UpdateLicenseRequest{LicenseId: id, IfVersion: &current, MaxDevices: &nine})
		if l := w.get(id); l.GetVersion() != 2 || l.GetMaxDevices() != 9 {
			w.t.Errorf("after the change: %v", l)
		}
		unknown := "0199c1f0-6a52-7c3e-9d58-1f6f7f1f0a11"
		for _, bad := range []string{unknown, "no UUID", ""} {
			if code := refused(w.admin.UpdateLicense(t.Context(), connect.NewRequest(&licensev1.UpdateLicenseRequest{LicenseId: bad, MaxDevices: &nine}))); code != "LICENSE_NOT_FOUND" {
				w.t.Errorf("license %q: %q", bad, code)
			}
		}
	})
}

// What is wrong with a change is told before that its license is not there, or has another version.
func TestAChangeIsCheckedBeforeItsLicense(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(3, 30)
		zero, million, blank, long := int32(0), int32(1_000_001), " ", strings.Repeat("x", 256)
		for name, req := range map[string]*licensev1.UpdateLicenseRequest{
			"max_devices":         {MaxDevices: &zero},
			"max_devices above":   {MaxDevices: &million},
			"max_offline_hours":   {MaxOfflineHours: &zero},
			"customer_id":         {CustomerId: &blank},
			"deactivation_reason": {DeactivationReason: &long},
			"features":            {Features: &licensev1.StringList{Values: []string{""}}},
			"metadata":            {MetadataJson: []byte(`{"a":"` + strings.Repeat("x", 64<<10) + `"}`)},
		} {
			for _, licenseID := range []string{id, "0199c1f0-6a52-7c3e-9d58-1f6f7f1f0a11", "no UUID"} {
				req.LicenseId, req.IfVersion = licenseID, &zero
				if code := refused(w.admin.UpdateLicense(t.Context(), connect.NewRequest(req))); code != "VALIDATION_ERROR" {
					w.t.Errorf("%s of license %q: %q", name, licenseID, code)
				}
			}
		}
		for _, licenseID := range []string{id, "0199c1f0-6a52-7c3e-9d58-1f6f7f1f0a11"} {
			req := &licensev1.DeleteLicenseRequest{LicenseId: licenseID, IfVersion: &zero, Reason: long}
			if code := refused(w.admin.DeleteLicense(t.Context(), connect.NewRequest(req))); code != "VALIDATION_ERROR" {
				w.t.Errorf("deletion of license %q: %q", licenseID, code)
			}
		}
	})
}

func TestRevealKeyIsAudited(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		resp, err := w.admin.RevealLicenseKey(t.Context(), connect.NewRequest(&licensev1.RevealLicenseKeyRequest{Actor: ada, LicenseId: id}))
		if err != nil || resp.Msg.GetLicenseKey() != key {
			w.t.Fatalf("revealed %v, %v", resp, err)
		}
		e := w.audited("license.reveal_key")
		for _, want := range []string{id, ada.GetId(), ada.GetName(), ada.GetRole(), ada.GetIp(), ada.GetRequestId()} {
			if !strings.Contains(string(e.Data), want) {
				w.t.Errorf("the audit entry lacks %q: %s", want, e.Data)
			}
		}
		if strings.Contains(string(e.Data), key) {
			w.t.Error("the audit entry holds the key")
		}
		if code := refused(w.admin.RevealLicenseKey(t.Context(), connect.NewRequest(&licensev1.RevealLicenseKeyRequest{Actor: ada, LicenseId: "none"}))); code != "LICENSE_NOT_FOUND" {
			w.t.Errorf("an unknown license: %q", code)
		}
	})
}

// audited waits for the audit entry of an action.
func (w *world) audited(action string) event.Event {
	w.t.Helper()
	return w.await(func(e event.Event) bool {
		return e.Type == "audit.recorded" && strings.Contains(string(e.Data), `"`+action+`"`)
	})
}

func TestEveryAdministrativeChangeIsAuditedAndTold(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(2, 30)
		off, on, five := false, true, int32(5)
		w.want(w.post("activate", device(key, "desk")), http.StatusCreated, "")
		w.update(&licensev1.UpdateLicenseRequest{Actor: ada, LicenseId: id, MaxDevices: &five})
		w.update(&licensev1.UpdateLicenseRequest{Actor: ada, LicenseId: id, IsActive: &off})
		w.update(&licensev1.UpdateLicenseRequest{Actor: ada, LicenseId: id, IsActive: &on})
		moved, err := w.admin.TransferDevice(t.Context(), connect.NewRequest(&licensev1.TransferDeviceRequest{Actor: ada, LicenseId: id, FromHardwareId: "desk", ToHardwareId: "tower"}))
		if err != nil || moved.Msg.GetDevice().GetHardwareId() != "tower" || !moved.Msg.GetDevice().GetIsActive() {
			w.t.Fatalf("transfer: %v, %v", moved, err)
		}
		left, err := w.admin.DeactivateDevice(t.Context(), connect.NewRequest(&licensev1.DeactivateDeviceRequest{Actor: ada, LicenseId: id, HardwareId: "tower", Reason: "stolen"}))
		if err != nil || left.Msg.GetCurrentDevices() != 0 || left.Msg.GetMaxDevices() != 5 {
			w.t.Fatalf("deactivation: %v, %v", left, err)
		}
		for action, told := range map[string]string{
			"license.create": "license.created", "license.update": "license.updated", "license.deactivate": "license.deactivated",
			"license.reactivate": "license.reactivated", "license.transfer": "license.transferred", "device.deactivate": "device.deactivated",
		} {
			w.audited(action)
			w.eventually(told)
		}
		want := []string{
			"device.deactivated", "license.transferred", "license.reactivated", "license.deactivated", "license.updated", "license.activated", "license.created",
		}
		if diff := cmp.Diff(want, w.logged(id)); diff != "" {
			w.t.Errorf("the log, newest first (-want +got):\n%s", diff)
		}
		w.clock.Advance(2 * time.Hour)
		if late := w.logged(id); late != nil {
			w.t.Errorf("two hours later: %v", late)
		}
		if code := refused(w.admin.ListEvents(t.Context(), connect.NewRequest(&licensev1.ListEventsRequest{LicenseId: "none", Hours: 1}))); code != "LICENSE_NOT_FOUND" {
			w.t.Errorf("the log of no license: %q", code)
		}
	})
}

// The audit log shows metadata to the last digit, before and after.
func TestAuditKeepsNumbers(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(1, 0)
		for _, metadata := range []string{`{"n":12345678901234567890}`, `{"n":0.1234567890123456789}`} {
			w.update(&licensev1.UpdateLicenseRequest{Actor: ada, LicenseId: id, MetadataJson: []byte(metadata)})
		}
		want := &eventsv1.AuditRecorded{BeforeJson: `{"metadata":{"n":12345678901234567890}}`, AfterJson: `{"metadata":{"n":0.1234567890123456789}}`}
		w.await(func(e event.Event) bool {
			var m eventsv1.AuditRecorded
			return e.Type == "audit.recorded" && e.Into(&m) == nil && m.GetBeforeJson() == want.GetBeforeJson() && m.GetAfterJson() == want.GetAfterJson()
		})
	})
}

// logged is the types of a license's events of the last hour, newest first, as admin reads them.
func (w *world) logged(id string) (types []string) {
	w.t.Helper()
	log, err := w.admin.ListEvents(w.t.Context(), connect.NewRequest(&licensev1.ListEventsRequest{LicenseId: id, Hours: 1}))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range log.Msg.GetEvents() {
		types = append(types, e.GetType())
	}
	if int(log.Msg.GetTotal()) != len(types) {
		w.t.Errorf("%d events of %d", len(types), log.Msg.GetTotal())
	}
	return types
}

func TestCheckDevice(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 1)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		check := func(licenseID, hardwareID string) (*connect.Response[licensev1.CheckDeviceResponse], error) {
			return w.asAuth.CheckDevice(t.Context(), connect.NewRequest(&licensev1.CheckDeviceRequest{LicenseId: licenseID, HardwareId: hardwareID}))
		}
		resp, err := check(id, "pc")
		if err != nil || !resp.Msg.GetExpiresAt().AsTime().Equal(w.get(id).GetExpiresAt().AsTime()) {
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
		if _, err := w.admin.DeleteLicense(t.Context(), connect.NewRequest(&licensev1.DeleteLicenseRequest{LicenseId: id, Reason: "unpaid"})); err != nil {
			w.t.Fatal(err)
		}
		if l := w.get(id); l.GetIsActive() || l.GetDeactivationReason() != "unpaid" || l.GetDeactivatedAt() == nil {
			w.t.Errorf("a deleted license: %v", l)
		}
		if code := refused(check(id, "pc")); code != "LICENSE_INACTIVE" {
			w.t.Errorf("a deleted license: %q", code)
		}
	})
}
