package store_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// history is the types of a license's events, oldest first.
func history(t *testing.T, r *replica, licenseID string) (types []string) {
	t.Helper()
	all, _, err := r.outbox.List(t.Context(), licenseID, noon.AddDate(-1, 0, 0), []string{eventsv1.TypeAuditRecorded},
		1000, math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range slices.Backward(all) {
		types = append(types, strings.TrimPrefix(e.Type, "license."))
	}
	return types
}

// TestAYearOfASubscription: a trial from the first activation, paid for months, past due in grace, renewed, suspended,
// reinstated, ended; two processes run the schedule, and devices call meanwhile. Every event comes once and in order.
func TestAYearOfASubscription(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		rs := replicas(t, d, 2)
		r, trial := rs[0], true
		made := create(t, r, with(licensing.TermsChange{
			IsTrial: &trial, DurationDays: licensing.Some(14), Starts: new(licensing.StartsAtFirstActivation),
			GraceHours: new(72),
		}))
		id := made.License.ID
		day := 0
		// until moves the clock day by day, with the schedule and a call of the device on each, and wants this of the
		// last call.
		until := func(last int, want error) {
			t.Helper()
			var err error
			for ; day <= last; day++ {
				at := noon.AddDate(0, 0, day)
				together(2, func(i int) {
					rs[i].clock.Set(at)
					_, err1 := rs[i].AnnounceExpiring(context.Background())
					_, err2 := rs[i].AnnounceDue(context.Background())
					if err := errors.Join(err1, err2); err != nil {
						t.Error(err)
					}
				})
				_, err = r.Validate(t.Context(), made.Key, client("pc"))
			}
			if !errors.Is(err, want) {
				t.Fatalf("on day %d: %v, want %v", last, err, want)
			}
		}
		change := func(_ licensing.License, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		until(5, nil) // nobody has installed it yet, and no day is lost
		if _, err := r.Activate(t.Context(), made.Key, client("pc")); err != nil {
			t.Fatal(err)
		}
		until(15, nil)
		change(r.Convert(t.Context(), admin, id, licensing.Conversion{TermsChange: licensing.TermsChange{
			Type: licensing.Some(licensing.TypeSubscription), DurationMonths: licensing.Some(1),
		}}))
		until(48, nil) // the month ended on day 46, and it is in grace
		change(r.Renew(t.Context(), admin, id, licensing.Renewal{}))
		until(60, nil)
		change(r.Suspend(t.Context(), admin, id, licensing.NewSuspension{Reason: "chargeback"}))
		until(63, licensing.ErrSuspended)
		change(r.Reinstate(t.Context(), admin, id))
		until(64, nil)
		change(r.Suspend(t.Context(), admin, id,
			licensing.NewSuspension{Reason: "abuse", Until: &licensing.End{At: noon.AddDate(0, 0, 67)}}))
		until(66, licensing.ErrSuspended)
		until(70, nil)
		until(365, licensing.ErrExpired)
		want := "created started activated expiring converted expiring expiring expiring in_grace renewed " +
			"suspended reinstated suspended reinstated expiring expiring in_grace expired"
		if got := strings.Join(history(t, r, id), " "); got != want {
			t.Errorf("told\n%s, want\n%s", got, want)
		}
	})
}

// TestRenewalsAtOnce: each of 40 renewals at once moves the end once, on two processes, with activations between them.
func TestRenewalsAtOnce(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		rs := replicas(t, d, 2)
		made := create(t, rs[0], with(licensing.TermsChange{MaxDevices: licensing.Null[int](), ExpiresInDays: new(30)}))
		together(80, func(i int) {
			r, err := rs[i%2], error(nil)
			if i%4 < 2 {
				_, err = r.Renew(context.Background(), admin, made.License.ID, licensing.Renewal{Days: new(1)})
			} else {
				_, err = r.Activate(context.Background(), made.Key, client("pc-"+string(rune('A'+i))))
			}
			if err != nil {
				t.Error(err)
			}
		})
		l, err := rs[0].store.Find(t.Context(), made.License.ID)
		if err != nil || !l.ExpiresAt.Equal(noon.Add(70*24*time.Hour)) || l.MaxDevices != licensing.Unlimited {
			t.Errorf("ends %s: %v", l.ExpiresAt, err)
		}
		if active, n := check(t, rs[0], l.ID), events(t, rs[0], l.ID, "license.renewed"); active != 40 || n != 40 {
			t.Errorf("%d devices, %d renewals told of", active, n)
		}
	})
}

// TestFirstActivationsAtOnce: the clock starts once.
func TestFirstActivationsAtOnce(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		rs := replicas(t, d, 2)
		made := create(t, rs[0], with(licensing.TermsChange{
			MaxDevices: licensing.Some(40), DurationMonths: licensing.Some(1),
			Starts: new(licensing.StartsAtFirstActivation),
		}))
		ends := make([]time.Time, 40)
		together(40, func(i int) {
			a, err := rs[i%2].Activate(context.Background(), made.Key, client("pc-"+string(rune('A'+i))))
			if ends[i] = a.ExpiresAt; err != nil {
				t.Error(err)
			}
		})
		for _, end := range ends {
			if !end.Equal(noon.AddDate(0, 1, 0)) {
				t.Errorf("a device was told of %s", end)
			}
		}
		if n := events(t, rs[0], made.License.ID, "license.started"); n != 1 || check(t, rs[0], made.License.ID) != 40 {
			t.Errorf("told %d times of the start", n)
		}
	})
}
