package license_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
)

// activate gives a device a seat.
func (w *world) activate(key, hardwareID string) {
	w.t.Helper()
	w.want(w.post("activate", device(key, hardwareID)), http.StatusCreated, "")
}

// TestIntegratorC1EndGivenAtCreation: an end counts however it is given, and is never dropped in silence.
func TestIntegratorC1EndGivenAtCreation(t *testing.T) {
	eachWorld(t, func(w *world) {
		now := w.clock.Now().Truncate(time.Microsecond)
		days, end, past := int32(30), now.AddDate(1, 0, 0), now.Add(-time.Hour)
		for name, tt := range map[string]struct {
			days *int32
			at   *time.Time
			want *time.Time
			bad  bool
		}{
			"none":                 {},
			"days":                 {days: &days, want: new(now.Add(30 * 24 * time.Hour))},
			"time":                 {at: &end, want: &end},
			"time that is over":    {at: &past, want: &past},
			"both":                 {days: &days, at: &end, bad: true},
			"no days":              {days: new(int32(0)), bad: true},
			"too many days":        {days: new(int32(36_501)), bad: true},
			"C2: the zero date":    {at: new(time.Time{}), bad: true},
			"C2: the last of 1999": {at: new(time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC)), bad: true},
			"C2: the first of 2000": {
				at: new(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)), want: new(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)),
			},
		} {
			n := &licensev1.NewLicense{CustomerId: "acme", ExpiresInDays: tt.days}
			if tt.at != nil {
				n.ExpiresAt = timestamppb.New(*tt.at)
			}
			one, err := w.admin.CreateLicense(t.Context(), connect.NewRequest(&licensev1.CreateLicenseRequest{License: n}))
			many, errMany := w.admin.BulkCreateLicenses(t.Context(), connect.NewRequest(&licensev1.BulkCreateLicensesRequest{
				Rows: []*licensev1.BulkRow{{License: n}},
			}))
			if errMany != nil {
				w.t.Fatal(errMany)
			}
			if tt.bad {
				if refused(one, err) != "VALIDATION_ERROR" || len(many.Msg.GetFailed()) != 1 {
					w.t.Errorf("%s: %v, %v, %v", name, one, err, many)
				}
				continue
			}
			if err != nil || len(many.Msg.GetCreated()) != 1 {
				w.t.Errorf("%s: %v, %v", name, err, many)
				continue
			}
			for _, l := range []*licensev1.License{one.Msg.GetLicense(), many.Msg.GetCreated()[0].GetLicense(), w.get(one.Msg.GetLicense().GetLicenseId())} {
				if !sameEnd(l.GetExpiresAt(), tt.want) {
					w.t.Errorf("%s: ends %v, want %v", name, l.GetExpiresAt(), tt.want)
				}
			}
		}
	})
}

func sameEnd(got *timestamppb.Timestamp, want *time.Time) bool {
	if got == nil || want == nil {
		return got == nil && want == nil
	}
	return got.AsTime().Equal(*want)
}

// TestIntegratorC2ZeroDateIsNotPerpetual: only null, which travels as perpetual, takes the end away.
func TestIntegratorC2ZeroDateIsNotPerpetual(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 30)
		w.activate(key, "pc")
		update := func(m *licensev1.UpdateLicenseRequest) string {
			m.LicenseId = id
			return refused(w.admin.UpdateLicense(t.Context(), connect.NewRequest(m)))
		}
		for name, m := range map[string]*licensev1.UpdateLicenseRequest{
			"zero date":          {ExpiresAt: timestamppb.New(time.Time{})},
			"a second later":     {ExpiresAt: timestamppb.New(time.Time{}.Add(time.Second))},
			"1970":               {ExpiresAt: timestamppb.New(time.Unix(0, 0))},
			"days and a time":    {ExpiresInDays: new(int32(1)), ExpiresAt: timestamppb.New(w.clock.Now())},
			"days and perpetual": {ExpiresInDays: new(int32(1)), Perpetual: true},
			"no days":            {ExpiresInDays: new(int32(0))},
		} {
			if code := update(m); code != "VALIDATION_ERROR" {
				w.t.Errorf("%s: %q", name, code)
			}
		}
		if code := update(&licensev1.UpdateLicenseRequest{ExpiresAt: timestamppb.New(w.clock.Now().Add(-time.Hour))}); code != "" {
			w.t.Fatal(code)
		}
		w.want(w.post("validate", device(key, "pc")), http.StatusForbidden, "LICENSE_EXPIRED")
		if code := update(&licensev1.UpdateLicenseRequest{ExpiresInDays: new(int32(365))}); code != "" {
			w.t.Fatal(code)
		}
		if want := w.clock.Now().Add(365 * 24 * time.Hour).Truncate(time.Microsecond); !sameEnd(w.get(id).GetExpiresAt(), &want) {
			w.t.Errorf("C3a: expires_in_days gave %v, want %v", w.get(id).GetExpiresAt(), want)
		}
		if code := update(&licensev1.UpdateLicenseRequest{Perpetual: true}); code != "" || w.get(id).GetExpiresAt() != nil {
			w.t.Errorf("perpetual: %q, %v", code, w.get(id).GetExpiresAt())
		}
	})
}

// TestIntegratorC3Filters: lists filter by exact key, by device, by customer and by status, alone and together.
func TestIntegratorC3Filters(t *testing.T) {
	eachWorld(t, func(w *world) {
		active, key := w.create(2, 30)
		expired, expiredKey := w.create(1, 1)
		inactive, _ := w.create(1, 0)
		w.activate(key, "pc-1")
		w.activate(key, "pc-2")
		w.activate(expiredKey, "pc-1")
		if code := refused(w.admin.DeactivateDevice(t.Context(), connect.NewRequest(&licensev1.DeactivateDeviceRequest{LicenseId: active, HardwareId: "pc-2"}))); code != "" {
			w.t.Fatal(code)
		}
		if code := refused(w.admin.DeleteLicense(t.Context(), connect.NewRequest(&licensev1.DeleteLicenseRequest{LicenseId: inactive}))); code != "" {
			w.t.Fatal(code)
		}
		w.clock.Advance(24 * time.Hour) // the instant at which the second one ends
		for name, tt := range map[string]struct {
			filter *licensev1.ListLicensesRequest
			want   []string
		}{
			"key":                       {&licensev1.ListLicensesRequest{LicenseKey: &key}, []string{active}},
			"key as somebody typed it":  {&licensev1.ListLicensesRequest{LicenseKey: new(strings.ToLower(key))}, []string{active}},
			"part of a key":             {&licensev1.ListLicensesRequest{LicenseKey: new(key[:10])}, nil},
			"masked key":                {&licensev1.ListLicensesRequest{LicenseKey: new(w.get(active).GetMaskedKey())}, nil},
			"unknown key":               {&licensev1.ListLicensesRequest{LicenseKey: new("LIC-NOSUCHKEY000")}, nil},
			"device on two licenses":    {&licensev1.ListLicensesRequest{HardwareId: new("pc-1")}, []string{active, expired}},
			"device that left its seat": {&licensev1.ListLicensesRequest{HardwareId: new("pc-2")}, nil},
			"unknown device":            {&licensev1.ListLicensesRequest{HardwareId: new("pc")}, nil},
			"active":                    {&licensev1.ListLicensesRequest{Status: new("active")}, []string{active}},
			"expired":                   {&licensev1.ListLicensesRequest{Status: new("expired")}, []string{expired}},
			"inactive":                  {&licensev1.ListLicensesRequest{Status: new("inactive")}, []string{inactive}},
			"device and status":         {&licensev1.ListLicensesRequest{HardwareId: new("pc-1"), Status: new("expired")}, []string{expired}},
			"customer and key":          {&licensev1.ListLicensesRequest{CustomerId: new("acme"), LicenseKey: &key}, []string{active}},
			"other customer":            {&licensev1.ListLicensesRequest{CustomerId: new("brick"), LicenseKey: &key}, nil},
		} {
			tt.filter.Page, tt.filter.PerPage = 1, 10
			got, total := w.list(tt.filter)
			slices.Sort(got)
			slices.Sort(tt.want)
			if !slices.Equal(got, tt.want) || int(total) != len(tt.want) {
				w.t.Errorf("%s: %d %v, want %v", name, total, got, tt.want)
			}
		}
	})
}

// TestStatusIsWhatTheRulesSay: over random licenses and instants, each license has the one status by which it can be used.
func TestStatusIsWhatTheRulesSay(t *testing.T) {
	eachWorld(t, func(w *world) {
		codes := map[string]string{"": "active", "LICENSE_EXPIRED": "expired", "LICENSE_INACTIVE": "inactive"}
		var ids []string
		for range 12 {
			id, key := w.create(1, rand.Int32N(3))
			w.activate(key, "pc")
			if rand.IntN(3) == 0 {
				_, err := w.admin.DeleteLicense(t.Context(), connect.NewRequest(&licensev1.DeleteLicenseRequest{LicenseId: id}))
				if err != nil {
					w.t.Fatal(err)
				}
			}
			ids = append(ids, id)
		}
		for range 3 {
			want, got := map[string]string{}, map[string]string{}
			for _, id := range ids {
				want[id] = codes[refused(w.asAuth.CheckDevice(t.Context(), connect.NewRequest(&licensev1.CheckDeviceRequest{LicenseId: id, HardwareId: "pc"})))]
			}
			for _, status := range codes {
				found, _ := w.list(&licensev1.ListLicensesRequest{Status: &status, Page: 1, PerPage: 100})
				for _, id := range found {
					got[id] += status
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				w.t.Errorf("-rules +list:\n%s", diff)
			}
			w.clock.Advance(24 * time.Hour)
		}
	})
}

// TestSearchByKeyIsAudited: who looks a key up is noted, and the entry does not show the key.
func TestSearchByKeyIsAudited(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		version := w.get(id).GetVersion()
		w.list(&licensev1.ListLicensesRequest{Actor: ada, LicenseKey: &key, Page: 1, PerPage: 10})
		entry := string(w.audited("license.find_by_key").Data)
		if !strings.Contains(entry, id) || !strings.Contains(entry, `"Ada"`) || strings.Contains(entry, key) {
			w.t.Errorf("recorded %s", entry)
		}
		if w.get(id).GetVersion() != version {
			w.t.Error("looking a license up changed it")
		}

		// A6: however often it is searched for, there is one entry an hour for each administrator.
		entries := func() (n int64) {
			if err := w.db.Read(t.Context()).Table("outbox").Where("CAST(data AS text) LIKE ?", "%find_by_key%").Count(&n).Error; err != nil {
				w.t.Fatal(err)
			}
			return n
		}
		for i, want := range []int64{1, 2, 4} {
			for range 5 {
				w.list(&licensev1.ListLicensesRequest{Actor: ada, LicenseKey: &key, Page: 1, PerPage: 10})
				if i > 0 {
					w.list(&licensev1.ListLicensesRequest{Actor: &rpcv1.Actor{Id: "grace"}, LicenseKey: &key, Page: 1, PerPage: 10})
				}
			}
			if got := entries(); got != want {
				w.t.Errorf("round %d: %d entries, want %d", i, got, want)
			}
			if i == 1 {
				w.clock.Advance(time.Hour)
			}
		}
	})
}

// TestIntegratorP1TransferToADeviceWithASeat says that nothing was moved, and what to do.
func TestIntegratorP1TransferToADeviceWithASeat(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(2, 0)
		w.activate(key, "a")
		w.activate(key, "b")
		_, err := w.admin.TransferDevice(t.Context(), connect.NewRequest(&licensev1.TransferDeviceRequest{LicenseId: id, FromHardwareId: "a", ToHardwareId: "b"}))
		if e := apierr.From(err); e == nil || e.Code != "ALREADY_ACTIVATED" || !strings.Contains(e.Message, "nothing was moved") ||
			!strings.Contains(e.Message, "deactivate from_hardware_id") {
			w.t.Errorf("got %v", err)
		}
	})
}

// TestIntegratorP7LostAnswers: a change of devices that is asked for again with its Idempotency-Key answers as the first time and
// changes nothing more.
func TestIntegratorP7LostAnswers(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(2, 0)
		w.activate(key, "a")
		transfer := func(actor, idempotency, to string) (*licensev1.TransferDeviceResponse, string) {
			resp, err := w.admin.TransferDevice(t.Context(), connect.NewRequest(&licensev1.TransferDeviceRequest{
				Actor: &rpcv1.Actor{Id: actor, RequestId: fmt.Sprint(rand.Int())}, LicenseId: id, IdempotencyKey: idempotency, FromHardwareId: "a", ToHardwareId: to,
			}))
			if err != nil {
				return nil, apierr.From(err).Code
			}
			return resp.Msg, ""
		}
		first, code := transfer("ada", "t", "b")
		again, codeAgain := transfer("ada", "t", "b")
		if diff := cmp.Diff(first, again, protocmp.Transform()); diff != "" || code+codeAgain != "" || first.GetDevice().GetHardwareId() != "b" {
			w.t.Errorf("transfer: %q %q (-first +again):\n%s", code, codeAgain, diff)
		}
		if _, code := transfer("ada", "t", "c"); code != "IDEMPOTENCY_KEY_REUSED" {
			w.t.Errorf("another transfer under the key: %q", code)
		}
		if _, code := transfer("bob", "t", "b"); code != "DEVICE_NOT_FOUND" {
			w.t.Errorf("the key of another administrator: %q", code)
		}
		leave := func() (*licensev1.DeactivateDeviceResponse, error) {
			resp, err := w.admin.DeactivateDevice(t.Context(), connect.NewRequest(&licensev1.DeactivateDeviceRequest{
				Actor: ada, LicenseId: id, IdempotencyKey: "d", HardwareId: "b", Reason: "sold",
			}))
			if err != nil {
				return nil, err
			}
			return resp.Msg, nil
		}
		left, err := leave()
		leftAgain, errAgain := leave()
		if diff := cmp.Diff(left, leftAgain, protocmp.Transform()); diff != "" || err != nil || errAgain != nil || left.GetDevice().GetHardwareId() != "b" {
			w.t.Errorf("deactivate: %v %v (-first +again):\n%s", err, errAgain, diff)
		}
		if n := w.get(id).GetCurrentDevices(); n != 0 {
			w.t.Errorf("%d seats are taken", n)
		}
	})
}

// TestM7DevicesArePaged: however many devices a license has had, a page shows some of them and the exact number.
func TestM7DevicesArePaged(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(5, 0)
		var newestFirst []string
		for i := range 5 {
			w.activate(key, fmt.Sprint("pc-", i))
			newestFirst = slices.Insert(newestFirst, 0, fmt.Sprint("pc-", i))
			w.clock.Advance(time.Second)
		}
		for page, want := range [][]string{newestFirst[:2], newestFirst[2:4], newestFirst[4:], nil} {
			resp, err := w.admin.ListDevices(t.Context(), connect.NewRequest(&licensev1.ListDevicesRequest{LicenseId: id, Page: int32(page + 1), PerPage: 2}))
			if err != nil {
				w.t.Fatal(err)
			}
			var got []string
			for _, d := range resp.Msg.GetDevices() {
				got = append(got, d.GetHardwareId())
			}
			if !slices.Equal(got, want) || resp.Msg.GetTotal() != 5 {
				w.t.Errorf("page %d: %v of %d, want %v of 5", page+1, got, resp.Msg.GetTotal(), want)
			}
		}
	})
}
