package licensing

import (
	"errors"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func utc(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestRenew(t *testing.T) {
	invalid := apierr.InvalidField("", "")
	berlin := Terms{Timezone: "Europe/Berlin"}
	for name, tc := range map[string]struct {
		terms   Terms
		expires string
		renewal Renewal
		want    string
		refused error
	}{
		"days": {expires: "2026-03-10T12:00:00Z", renewal: Renewal{Days: new(30)},
			want: "2026-04-09T12:00:00Z"},
		"months": {expires: "2026-03-31T12:00:00Z", renewal: Renewal{Months: new(1)},
			want: "2026-04-30T12:00:00Z"},
		"months of the time zone": {terms: berlin, expires: "2026-03-15T11:00:00Z", renewal: Renewal{Months: new(1)},
			want: "2026-04-15T10:00:00Z"},
		"from expiry, long past": {expires: "2025-03-10T12:00:00Z", renewal: Renewal{Days: new(30)},
			want: "2025-04-09T12:00:00Z"},
		"from now": {expires: "2025-03-10T12:00:00Z", renewal: Renewal{Days: new(30), From: "now"},
			want: "2026-03-31T12:00:00Z"},
		"its own days": {terms: Terms{DurationDays: 14}, expires: "2026-03-10T12:00:00Z",
			want: "2026-03-24T12:00:00Z"},
		"its own months, from now": {terms: Terms{DurationMonths: 12}, expires: "2026-03-10T12:00:00Z",
			renewal: Renewal{From: "now"}, want: "2027-03-01T12:00:00Z"},
		"until a time": {expires: "2026-03-10T12:00:00Z",
			renewal: Renewal{Until: &End{At: utc(t, "2026-12-31T10:00:00Z")}}, want: "2026-12-31T10:00:00Z"},
		"until a day of the zone": {terms: berlin, expires: "2026-03-10T12:00:00Z",
			renewal: Renewal{Until: &End{utc(t, "2026-12-31T23:59:59Z"), true}}, want: "2026-12-31T22:59:59Z"},
		"until before the end": {expires: "2026-03-10T12:00:00Z",
			renewal: Renewal{Until: &End{At: utc(t, "2026-03-10T12:00:00Z")}}, refused: invalid},
		"no duration": {expires: "2026-03-10T12:00:00Z", refused: invalid},
		"two": {expires: "2026-03-10T12:00:00Z", renewal: Renewal{Days: new(1), Months: new(1)},
			refused: invalid},
		"zero days":        {expires: "2026-03-10T12:00:00Z", renewal: Renewal{Days: new(0)}, refused: invalid},
		"too many months":  {expires: "2026-03-10T12:00:00Z", renewal: Renewal{Months: new(1201)}, refused: invalid},
		"beyond all years": {expires: "8999-03-10T12:00:00Z", renewal: Renewal{Months: new(1200)}, refused: invalid},
		"from elsewhere": {expires: "2026-03-10T12:00:00Z", renewal: Renewal{Days: new(1), From: "start"},
			refused: invalid},
		"from with until": {expires: "2026-03-10T12:00:00Z",
			renewal: Renewal{Until: &End{At: utc(t, "2026-12-31T10:00:00Z")}, From: "now"}, refused: invalid},
		"perpetual":        {renewal: Renewal{Days: new(30)}, refused: ErrPerpetual},
		"awaits its start": {terms: Terms{DurationDays: 14, FirstActivation: true}, refused: ErrPerpetual},
	} {
		t.Run(name, func(t *testing.T) {
			s := &oneLicense{License: License{Terms: tc.terms, IsActive: true, Version: 7}}
			if tc.expires != "" {
				s.ExpiresAt = utc(t, tc.expires)
			}
			s.Announced, s.ExpiryNotice = StatusExpired, 1
			before := s.License
			after, err := s.licenses().Renew(t.Context(), &Actor{}, "l", tc.renewal)
			if !errors.Is(err, tc.refused) {
				t.Fatalf("got %v, want %v", err, tc.refused)
			}
			if tc.refused != nil {
				s.unchanged(t, before)
				return
			}
			if got := after.ExpiresAt.UTC().Format(time.RFC3339); got != tc.want || after.Version != 8 ||
				after.Announced != "" {
				t.Errorf("ends %s, want %s: %+v", got, tc.want, after)
			}
			e := s.event(t, "license.renew").(*eventsv1.LicenseRenewed)
			if !e.GetPreviousExpiresAt().AsTime().Equal(before.ExpiresAt) ||
				!e.GetExpiresAt().AsTime().Equal(after.ExpiresAt) {
				t.Errorf("told %v", e)
			}
		})
	}
}

func TestSuspend(t *testing.T) {
	s := &oneLicense{License: License{Terms: Terms{Timezone: "Asia/Tokyo"}, IsActive: true, Version: 1}}
	before := s.License
	for name, n := range map[string]NewSuspension{
		"no reason":            {},
		"blank reason":         {Reason: " "},
		"past":                 {Reason: "x", Until: &End{At: noon}},
		"a day that is over":   {Reason: "x", Until: &End{utc(t, "2026-03-01T23:59:59Z").AddDate(0, 0, -1), true}},
		"year of another time": {Reason: "x", Until: &End{At: utc(t, "9999-01-01T00:00:00Z")}},
	} {
		if _, err := s.licenses().Suspend(t.Context(), &Actor{}, "l", n); apierr.From(err).Kind != apierr.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		s.unchanged(t, before)
	}
	suspend := func(reason string, until *End) *Suspension {
		t.Helper()
		l, err := s.licenses().Suspend(t.Context(), &Actor{}, "l", NewSuspension{Reason: reason, Until: until})
		if err != nil || !l.IsActive || l.Status(s.now) != StatusSuspended {
			t.Fatalf("%+v, %v", l, err)
		}
		return l.Suspension
	}
	s.now = noon
	if got := suspend("unpaid", nil); !got.At.Equal(noon) || !got.Until.IsZero() || got.Reason != "unpaid" {
		t.Errorf("%+v", got)
	}
	s.event(t, "license.suspend")
	s.now = noon.Add(time.Hour)
	suspend("unpaid", nil)
	if len(s.events) > 0 {
		t.Errorf("the same suspension again told %v", s.events)
	}
	if got := suspend("fraud", &End{utc(t, "2026-03-05T23:59:59Z"), true}); !got.At.Equal(noon) ||
		got.Until.Format(time.RFC3339) != "2026-03-05T14:59:59Z" {
		t.Errorf("%+v", got)
	}
	s.event(t, "license.suspend")
	on := true
	if _, err := s.licenses().Update(t.Context(), &Actor{}, "l", Patch{IsActive: &on}); err != nil ||
		s.Suspension == nil {
		t.Errorf("is_active true reinstated: %+v, %v", s.Suspension, err)
	}
	for range 2 { // the second time nothing happens
		if l, err := s.licenses().Reinstate(t.Context(), &Actor{}, "l"); err != nil || l.Suspension != nil ||
			l.Version != 4 {
			t.Errorf("%+v, %v", l, err)
		}
	}
	if e := s.event(t, "license.reinstate").(*eventsv1.LicenseReinstated); e.GetBy() != "admin" {
		t.Errorf("told %v", e)
	}
}

func TestConvert(t *testing.T) {
	end := noon.Add(14 * day)
	trial := License{Terms: Terms{
		IsTrial:         true,
		MaxDevices:      1,
		MaxOfflineHours: 1,
		Timezone:        "UTC",
		DurationDays:    14,
		ExpiresAt:       end,
	}, IsActive: true, Version: 1, CurrentDevices: 1}
	for name, tc := range map[string]struct {
		change TermsChange
		ends   time.Time
	}{
		"as it is":        {ends: end},
		"perpetual":       {change: TermsChange{ExpiresAt: Null[End]()}},
		"a year from now": {change: TermsChange{DurationMonths: Some(12)}, ends: noon.AddDate(1, 0, 0)},
		"until":           {change: TermsChange{ExpiresAt: Some(End{At: noon.Add(day)})}, ends: noon.Add(day)},
		"days":            {change: TermsChange{ExpiresInDays: new(3)}, ends: noon.Add(3 * day)},
		"used, so it began": {change: TermsChange{DurationDays: Some(9), Starts: new(StartsAtFirstActivation)},
			ends: noon.Add(9 * day)},
	} {
		s := &oneLicense{License: trial}
		l, err := s.licenses().Convert(t.Context(), &Actor{}, "l", Conversion{TermsChange: tc.change})
		if err != nil || l.IsTrial || !l.ExpiresAt.Equal(tc.ends) {
			t.Errorf("%s: ends %s, want %s: %v", name, l.ExpiresAt, tc.ends, err)
		}
		s.event(t, "license.convert")
		before := s.License
		_, err = s.licenses().Convert(t.Context(), &Actor{}, "l", Conversion{TermsChange: tc.change})
		if !errors.Is(err, ErrNotTrial) {
			t.Errorf("%s, again: %v", name, err)
		}
		s.unchanged(t, before)
	}
	s := &oneLicense{License: trial}
	if _, err := s.licenses().Convert(t.Context(), &Actor{}, "l",
		Conversion{TermsChange: TermsChange{IsTrial: new(true)}}); apierr.From(err).Kind != apierr.Invalid {
		t.Errorf("a trial again: %v", err)
	}
	s.unchanged(t, trial)
}
