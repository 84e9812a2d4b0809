package licensing

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

func hours(n int) time.Duration { return time.Duration(n) * time.Hour }

// TestVerdict walks through the checks in their order, and past each boundary of time.
func TestVerdict(t *testing.T) {
	usable := License{IsActive: true, Terms: Terms{MaxDevices: 2}, CurrentDevices: 1}
	with := func(edits ...func(*License)) *License {
		l := usable
		for _, edit := range edits {
			edit(&l)
		}
		return &l
	}
	off := func(l *License) { l.IsActive = false }
	taken := func(l *License) { l.CurrentDevices = 2 }
	starts := func(d time.Duration) func(*License) { return func(l *License) { l.StartsAt = noon.Add(d) } }
	ends := func(d time.Duration) func(*License) { return func(l *License) { l.ExpiresAt = noon.Add(d) } }
	suspended := func(d time.Duration) func(*License) {
		return func(l *License) { l.Suspension = &Suspension{At: noon.Add(-hours(1)), Until: noon.Add(d)} }
	}
	grace := func(n int) func(*License) { return func(l *License) { l.GraceHours = n } }
	for name, tc := range map[string]struct {
		license *License
		op      Operation
		seated  bool
		want    *apierr.Error // nil: allowed
		status  Status
	}{
		"unknown":  {want: ErrNotFound},
		"usable":   {license: with(), status: StatusActive},
		"inactive": {license: with(off), want: ErrInactive, status: StatusInactive},
		"inactive before not started": {license: with(off, starts(hours(1))), want: ErrInactive,
			status: StatusInactive},
		"suspended":               {license: with(suspended(1)), want: ErrSuspended, status: StatusSuspended},
		"the suspension ends now": {license: with(suspended(0)), status: StatusActive},
		"suspended before not started": {license: with(suspended(1), starts(1)), want: ErrSuspended,
			status: StatusSuspended},
		"inactive before suspended": {license: with(suspended(1), off), want: ErrInactive,
			status: StatusInactive},
		"starts now":         {license: with(starts(0)), status: StatusActive},
		"starts in a moment": {license: with(starts(1)), want: ErrNotStarted, status: StatusNotStarted},
		"not started before expired": {license: with(starts(1), ends(0)), want: ErrNotStarted,
			status: StatusNotStarted},
		"expires in a moment":     {license: with(ends(1)), status: StatusActive},
		"expires now":             {license: with(ends(0)), want: ErrExpired, status: StatusExpired},
		"expires now, with grace": {license: with(ends(0), grace(2)), status: StatusInGrace},
		"last moment of grace":    {license: with(ends(1-hours(2)), grace(2)), status: StatusInGrace},
		"grace is over": {license: with(ends(-hours(2)), grace(2)), want: ErrExpired,
			status: StatusExpired},
		"perpetual needs no grace": {license: with(grace(2)), status: StatusActive},
		"use":                      {license: with(), op: OperationUse, seated: true, status: StatusActive},
		"use in grace": {license: with(ends(0), grace(1)), op: OperationUse, seated: true,
			status: StatusInGrace},
		"use without a seat": {license: with(), op: OperationUse, want: ErrNotActivated,
			status: StatusActive},
		"use of a full license": {license: with(taken), op: OperationUse, seated: true,
			status: StatusActive},
		"expired before without a seat": {license: with(ends(0)), op: OperationUse, want: ErrExpired,
			status: StatusExpired},
		"activation": {license: with(), op: OperationActivate, status: StatusActive},
		"activation again": {license: with(), op: OperationActivate, seated: true, want: ErrActivated,
			status: StatusActive},
		"activated before full": {license: with(taken), op: OperationActivate, seated: true,
			want: ErrActivated, status: StatusActive},
		"activation of a full license": {license: with(taken), op: OperationActivate, want: ErrLimit,
			status: StatusActive},
		"activation before the start": {license: with(taken, starts(1)), op: OperationActivate,
			want: ErrNotStarted, status: StatusNotStarted},
		"activation in grace": {license: with(ends(0), grace(1)), op: OperationActivate,
			status: StatusInGrace},
		"seats do not count for the others": {license: with(taken), status: StatusActive},
	} {
		t.Run(name, func(t *testing.T) {
			r := Request{Operation: tc.op, License: tc.license, Seated: tc.seated, Device: &Device{}, Now: noon}
			err := Decide(r)
			var refused *RefusedError
			switch {
			case tc.want == nil && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != nil && (!errors.Is(err, tc.want) || !errors.As(err, &refused) || refused.Request != r):
				t.Errorf("got %v, want %v with the request", err, tc.want)
			}
			if tc.license != nil && tc.license.Status(noon) != tc.status {
				t.Errorf("status %s, want %s", tc.license.Status(noon), tc.status)
			}
		})
	}
}

// TestChecksExplainThemselves: each has its own name, and its message is a reason and a remedy.
func TestChecksExplainThemselves(t *testing.T) {
	names := map[string]bool{}
	for _, c := range checks {
		if names[c.name] || c.name == "" {
			t.Errorf("the name %q is not its own", c.name)
		}
		names[c.name] = true
		if reason, remedy, _ := strings.Cut(c.refusal.Message, "; "); reason == "" || remedy == "" {
			t.Errorf("%s: %q is not a reason; and a remedy", c.name, c.refusal.Message)
		}
	}
}

// TestPlainTerms: whatever the short way of activation does not ask makes terms that are not plain.
func TestPlainTerms(t *testing.T) {
	for name, tc := range map[string]struct {
		terms Terms
		plain bool
	}{
		"none":                {Terms{MaxDevices: 5}, true},
		"end":                 {Terms{MaxDevices: 5, ExpiresAt: noon}, true},
		"start":               {Terms{StartsAt: noon}, false},
		"grace":               {Terms{ExpiresAt: noon, GraceHours: 1}, false},
		"start to come":       {Terms{DurationDays: 1, FirstActivation: true}, false},
		"start that has come": {Terms{DurationDays: 1, FirstActivation: true, ExpiresAt: noon}, true},
	} {
		if tc.terms.Plain() != tc.plain {
			t.Errorf("%s: plain is %v", name, tc.terms.Plain())
		}
	}
}
