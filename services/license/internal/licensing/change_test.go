package licensing

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// license returns a usable license with two of three seats taken, by "desk" and "laptop"; "old" has left.
func license(edits ...func(*Change)) *Change {
	ch := &Change{
		License: License{
			ID:             "l",
			CustomerID:     "c",
			Product:        "p",
			Terms:          Terms{MaxDevices: 3, MaxOfflineHours: 720, ExpiresAt: noon.Add(90 * day)},
			CurrentDevices: 2,
			IsActive:       true,
			Version:        7,
		},
		Devices: map[string]*Device{
			"desk":   {ID: "d1", LicenseID: "l", HardwareID: "desk", IsActive: true},
			"laptop": {ID: "d2", LicenseID: "l", HardwareID: "laptop", IsActive: true},
			"old":    {ID: "d3", LicenseID: "l", HardwareID: "old"},
		},
	}
	for _, edit := range edits {
		edit(ch)
	}
	return ch
}

func inactive(ch *Change)   { ch.License.IsActive = false }
func expiredNow(ch *Change) { ch.License.ExpiresAt = noon }
func booked(ch *Change)     { ch.License.MaxDevices = 2 }
func overbooked(ch *Change) { ch.License.MaxDevices = 1 }
func perpetual(ch *Change)  { ch.License.ExpiresAt = time.Time{} }
func lastMoment(ch *Change) { ch.License.ExpiresAt = noon.Add(time.Microsecond) }
func holdsToken(ch *Change) { ch.Devices["desk"].OfflineUntil = noon.Add(time.Hour) }
func occupied(ch *Change) int {
	n := 0
	for _, d := range ch.Devices {
		if d.IsActive {
			n++
		}
	}
	return n
}

func TestActivate(t *testing.T) {
	for name, tc := range map[string]struct {
		edit     func(*Change)
		device   string
		want     error
		sameID   string
		returned bool
	}{
		"new device":              {device: "new"},
		"returning device":        {device: "old", sameID: "d3", returned: true},
		"same device again":       {device: "desk", want: ErrActivated},
		"full":                    {edit: booked, device: "new", want: ErrLimit},
		"full, returning device":  {edit: booked, device: "old", want: ErrLimit},
		"full, same device again": {edit: booked, device: "desk", want: ErrActivated},
		"limit lowered below use": {edit: overbooked, device: "new", want: ErrLimit},
		"inactive":                {edit: inactive, device: "new", want: ErrInactive},
		"expired at this instant": {edit: expiredNow, device: "new", want: ErrExpired},
		"last microsecond":        {edit: lastMoment, device: "new"},
		"perpetual":               {edit: perpetual, device: "new"},
		"inactive beats full": {edit: func(ch *Change) { inactive(ch); booked(ch) }, device: "new",
			want: ErrInactive},
	} {
		t.Run(name, func(t *testing.T) {
			ch := license()
			if tc.edit != nil {
				tc.edit(ch)
			}
			before := ch.License
			a, err := ch.activate(Device{
				ID:          "fresh",
				LicenseID:   "l",
				HardwareID:  tc.device,
				IsActive:    true,
				ActivatedAt: noon,
			}, Caller{Client: &Client{HardwareID: tc.device}}, noon)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if tc.want != nil {
				if len(ch.Events()) != 0 || ch.License.Version != before.Version ||
					ch.License.CurrentDevices != before.CurrentDevices {
					t.Fatal("a refusal changed something")
				}
				return
			}
			if want := cmpID(tc.sameID); a.Device.ID != want {
				t.Errorf("device id %q, want %q", a.Device.ID, want)
			}
			if ch.License.CurrentDevices != occupied(ch) || ch.License.Version != before.Version+1 {
				t.Errorf("%d seats counted for %d devices, version %d",
					ch.License.CurrentDevices, occupied(ch), ch.License.Version)
			}
			e := ch.Events()[0].(*eventsv1.LicenseActivated)
			if e.GetReturning() != tc.returned || int(e.GetCurrentDevices()) != ch.License.CurrentDevices ||
				int(e.GetVersion()) != ch.License.Version {
				t.Errorf("event %v does not tell the state after the change", e)
			}
		})
	}
}

func cmpID(same string) string {
	if same == "" {
		return "fresh"
	}
	return same
}

func TestRefusalsExplainThemselves(t *testing.T) {
	var full, seated *RefusedError
	_, err := license(booked).activate(Device{HardwareID: "new"}, Caller{Client: &Client{}}, noon)
	if !errors.As(err, &full) || full.License.Limits() != (Limits{MaxDevices: 2, CurrentDevices: 2}) {
		t.Errorf("%v does not tell the limits", err)
	}
	_, err = license().activate(Device{HardwareID: "desk"}, Caller{Client: &Client{HardwareID: "desk"}}, noon)
	if !errors.As(err, &seated) || seated.Device.ID != "d1" {
		t.Errorf("%v does not tell the activation that is there", err)
	}
}

func TestDeactivate(t *testing.T) {
	for name, tc := range map[string]struct {
		edit   func(*Change)
		device string
		want   error
	}{
		"its seat":             {device: "desk"},
		"with a token":         {edit: holdsToken, device: "desk"},
		"of an ended license":  {edit: func(ch *Change) { inactive(ch); expiredNow(ch) }, device: "desk"},
		"device that has left": {device: "old", want: ErrUnknownHardwareID},
		"device never seen":    {device: "new", want: ErrUnknownHardwareID},
	} {
		t.Run(name, func(t *testing.T) {
			ch := license()
			if tc.edit != nil {
				tc.edit(ch)
			}
			d, err := ch.deactivate(tc.device, noon)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if ch.License.CurrentDevices != occupied(ch) {
				t.Errorf("%d seats counted for %d devices", ch.License.CurrentDevices, occupied(ch))
			}
			if err == nil && (d.Device.IsActive || !d.Device.DeactivatedAt.Equal(noon)) {
				t.Errorf("device after it: %+v", d.Device)
			}
		})
	}
}

func TestTransfer(t *testing.T) {
	for name, tc := range map[string]struct {
		edit     func(*Change)
		from, to string
		want     error
	}{
		"to a new device":         {from: "desk", to: "new"},
		"to a returning device":   {from: "desk", to: "old"},
		"on a full license":       {edit: booked, from: "desk", to: "new"},
		"to an active device":     {from: "desk", to: "laptop", want: ErrActivated},
		"from a device that left": {from: "old", to: "new", want: ErrUnknownHardwareID},
		"from a device unknown":   {from: "ghost", to: "new", want: ErrUnknownHardwareID},
		"on an expired license":   {edit: expiredNow, from: "desk", to: "new", want: ErrExpired},
		"on an inactive license":  {edit: inactive, from: "desk", to: "new", want: ErrInactive},
	} {
		t.Run(name, func(t *testing.T) {
			ch := license()
			if tc.edit != nil {
				tc.edit(ch)
			}
			before := ch.License.CurrentDevices
			move := Move{From: tc.from, To: tc.to}
			_, err := ch.transfer(move, ch.Devices[tc.from], ch.Devices[tc.to], noon)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if ch.License.CurrentDevices != before || occupied(ch) != before {
				t.Errorf("%d seats counted for %d devices, %d before", ch.License.CurrentDevices, occupied(ch), before)
			}
			if err == nil && (ch.Devices[tc.from].IsActive || !ch.Devices[tc.to].IsActive) {
				t.Error("the seat did not move")
			}
		})
	}
}

func TestTransferNeedsTwoDevices(t *testing.T) {
	long := strings.Repeat("x", 256)
	for name, tc := range map[string]struct{ from, to, field string }{
		"no source": {"", "b", "from_hardware_id"}, "no target": {"a", " ", "to_hardware_id"},
		"the same": {"a", "a", "to_hardware_id"}, "too long": {"a", long, "to_hardware_id"},
	} {
		fields, _ := apierr.From(checkTransfer(tc.from, tc.to)).Details["fields"].(map[string]string)
		if len(fields) != 1 || fields[tc.field] == "" {
			t.Errorf("%s: %v", name, fields)
		}
	}
	if err := checkTransfer("a", "b"); err != nil {
		t.Error(err)
	}
}

func TestRequireExpected(t *testing.T) {
	l := License{Version: 7}
	for name, tc := range map[string]struct {
		ctx  context.Context
		want error
	}{
		"no condition":    {ctx: t.Context()},
		"any version":     {ctx: Expecting(t.Context(), nil)},
		"its version":     {ctx: Expecting(t.Context(), Versions{7})},
		"another version": {ctx: Expecting(t.Context(), Versions{6}), want: ErrVersionMismatch},
	} {
		if err := RequireExpected(tc.ctx, &l); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
}

func TestPatch(t *testing.T) {
	yes, no, reason := true, false, "fraud"
	blank, long := " ", strings.Repeat("x", 256)
	past := noon.Add(-time.Hour)
	for name, tc := range map[string]struct {
		edit  func(*Change)
		patch Patch
		want  error
		event proto.Message
		check func(l License) bool
	}{
		"nothing":    {patch: Patch{}},
		"same value": {patch: Patch{TermsChange: TermsChange{MaxDevices: Some(3)}}},
		"limit below use": {patch: Patch{TermsChange: TermsChange{MaxDevices: Some(1)}},
			event: &eventsv1.LicenseUpdated{}, check: func(l License) bool {
				return l.MaxDevices == 1 && l.CurrentDevices == 2
			}},
		"limit zero": {patch: Patch{TermsChange: TermsChange{MaxDevices: Some(0)}},
			want: apierr.InvalidField("", "")},
		"limit too high": {patch: Patch{TermsChange: TermsChange{MaxDevices: Some(1_000_001)}},
			want: apierr.InvalidField("", "")},
		"reason too long": {patch: Patch{IsActive: &yes, DeactivationReason: &long},
			want: apierr.InvalidField("", "")},
		"no customer": {patch: Patch{CustomerID: &blank}, want: apierr.InvalidField("", "")},
		"another limit": {patch: Patch{TermsChange: TermsChange{MaxDevices: Some(9)}},
			event: &eventsv1.LicenseUpdated{}},
		"off, with reason": {patch: Patch{IsActive: &no, DeactivationReason: &reason},
			event: &eventsv1.LicenseDeactivated{}, check: func(l License) bool {
				return l.Deactivation.At.Equal(noon) && l.Deactivation.Reason == reason
			}},
		"off when off": {edit: inactive, patch: Patch{IsActive: &no}},
		"on again": {edit: inactive, patch: Patch{IsActive: &yes}, event: &eventsv1.LicenseReactivated{},
			check: func(l License) bool { return l.Deactivation.At.IsZero() && l.Deactivation.Reason == "" }},
		"expires at once": {patch: Patch{TermsChange: TermsChange{ExpiresAt: Some(End{At: past})}},
			event: &eventsv1.LicenseUpdated{}, check: func(l License) bool {
				return errors.Is(l.Check(noon), ErrExpired)
			}},
		"perpetual": {patch: Patch{TermsChange: TermsChange{ExpiresAt: Null[End]()}},
			event: &eventsv1.LicenseUpdated{}, check: func(l License) bool {
				return l.Check(noon.AddDate(500, 0, 0)) == nil
			}},
		"reason while active": {patch: Patch{DeactivationReason: &reason}, want: apierr.InvalidField("", "")},
		"reason when off": {
			edit: inactive, patch: Patch{DeactivationReason: &reason}, event: &eventsv1.LicenseUpdated{},
			check: func(l License) bool { return l.Deactivation.Reason == reason },
		},
	} {
		t.Run(name, func(t *testing.T) {
			ch := license()
			if tc.edit != nil {
				tc.edit(ch)
			}
			err := tc.patch.check()
			if err == nil {
				err = ch.patch(&Actor{Id: "a"}, tc.patch, noon)
			}
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if tc.event == nil {
				if len(ch.Events()) != 0 {
					t.Errorf("published %v, want nothing", ch.Events())
				}
				return
			}
			if got, want := proto.MessageName(ch.Events()[0]), proto.MessageName(tc.event); got != want ||
				len(ch.Events()) != 2 {
				t.Errorf("published %v and %d more, want %v and an audit entry", got, len(ch.Events())-1, want)
			}
			if ch.License.Version != 8 {
				t.Errorf("version %d, want 8", ch.License.Version)
			}
			if tc.check != nil && !tc.check(ch.License) {
				t.Errorf("license after it: %+v", ch.License)
			}
		})
	}
}

func TestOfflineTokenLife(t *testing.T) {
	hours := func(n int) *int { return &n }
	for name, tc := range map[string]struct {
		max   int
		ends  time.Time
		hours *int
		want  time.Duration // 0: refused
	}{
		"default":           {max: 720, want: 24 * time.Hour},
		"default above max": {max: 8, want: 8 * time.Hour},
		"longest":           {max: 720, hours: hours(720), want: 720 * time.Hour},
		"too long":          {max: 720, hours: hours(721)},
		"zero":              {max: 720, hours: hours(0)},
		"negative":          {max: 720, hours: hours(-1)},
		"never past the end": {max: 720, hours: hours(48), ends: noon.Add(3*time.Hour + 500*time.Millisecond),
			want: 3 * time.Hour},
		"in its last hour": {max: 720, hours: hours(48), ends: noon.Add(59 * time.Minute), want: 59 * time.Minute},
		"end is far":       {max: 720, hours: hours(48), ends: noon.Add(100 * day), want: 48 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := newOfflineToken(&License{ID: "l", Terms: Terms{MaxOfflineHours: tc.max, ExpiresAt: tc.ends}},
				Holder{HardwareID: "desk"}, tc.hours, noon)
			if tc.want == 0 {
				if apierr.From(err).Kind != apierr.Invalid {
					t.Fatalf("got %v, want a validation error", err)
				}
				return
			}
			if err != nil || token.ExpiresAt.Sub(token.IssuedAt) != tc.want {
				t.Errorf("lives %v (%v), want %v", token.ExpiresAt.Sub(token.IssuedAt), err, tc.want)
			}
			if want := int(tc.want.Hours()); token.Hours != want {
				t.Errorf("it is said to live %d hours, want %d", token.Hours, want)
			}
		})
	}
}

func TestExpiryNotices(t *testing.T) {
	l := License{ID: "l", IsActive: true}
	l.setExpiry(noon.Add(40*day), noon)
	var announced []int32
	for at := noon; at.Before(noon.Add(45 * day)); at = at.Add(time.Hour) {
		for _, days := range noticeDays {
			ch := &Change{License: l}
			if ch.announce(days, at) {
				announced = append(announced, ch.Events()[0].(*eventsv1.LicenseExpiring).GetDaysLeft())
			}
			l = ch.License
		}
	}
	if len(announced) != 3 || announced[0] != 30 || announced[1] != 7 || announced[2] != 1 {
		t.Errorf("announced with %v days left, want 30, 7 and 1 once each", announced)
	}
	l.setExpiry(noon.Add(5*day), noon)
	if (&Change{License: l}).announce(7, noon) {
		t.Error("an end set five days ahead was announced as seven days away")
	}
}
