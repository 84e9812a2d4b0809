package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// randomLicense has its instants on a grid around noon, so that they often meet the instant of the question.
func randomLicense(random *rand.Rand) licensing.License {
	grid := func() time.Time { return noon.Add(time.Duration(random.IntN(9)-4) * time.Hour) }
	l := licensing.License{
		ID:        uuid.Must(uuid.NewV7()).String(),
		Product:   "p",
		Terms:     licensing.Terms{MaxDevices: 1 + random.IntN(2)},
		IsActive:  random.IntN(4) > 0,
		Version:   1,
		CreatedAt: noon,
		UpdatedAt: noon,
	}
	if random.IntN(2) == 0 {
		l.StartsAt = grid()
	}
	if random.IntN(3) > 0 {
		l.ExpiresAt = grid()
	}
	if random.IntN(2) == 0 {
		l.GraceHours = random.IntN(4)
	}
	if random.IntN(4) == 0 {
		l.Suspension = &licensing.Suspension{At: grid(), Reason: "payment"}
		if random.IntN(2) == 0 {
			l.Suspension.Until = grid()
		}
	}
	if random.IntN(4) == 0 {
		l.Type = licensing.TypeSubscription
	}
	l.Announced = []licensing.Status{"", licensing.StatusNotStarted, licensing.StatusActive,
		licensing.StatusInGrace}[random.IntN(4)]
	if random.IntN(4) == 0 && l.ExpiresAt.IsZero() {
		l.DurationDays, l.FirstActivation = 1, true
	}
	return l
}

var statuses = []licensing.Status{
	licensing.StatusActive, licensing.StatusInGrace, licensing.StatusNotStarted, licensing.StatusExpired,
	licensing.StatusInactive,
	licensing.StatusSuspended,
}

// TestStatementsAgreeWithTheChecks puts random licenses before the rules and before each statement that repeats a part
// of them, at many instants: the filter of the list, the counts, and the statement that gives seats.
func TestStatementsAgreeWithTheChecks(t *testing.T) {
	eachEngine(t, func(t *testing.T, b *harness) {
		random := rand.New(rand.NewPCG(2026, 11))
		var rows []licensing.NewRow
		for i := range 150 {
			rows = append(rows, licensing.NewRow{License: randomLicense(random), Key: fmt.Sprintf("key-number-%d", i)})
		}
		if _, err := b.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		for hour := -5; hour <= 8; hour++ {
			b.agree(rows, noon.Add(time.Duration(hour)*time.Hour))
		}
		b.seatsAgree(rows)
	})
}

// agree compares lists and counts with the status that the rules compute.
func (b *harness) agree(rows []licensing.NewRow, now time.Time) {
	b.t.Helper()
	want := map[licensing.Status][]string{}
	for _, row := range rows {
		status := row.License.Status(now)
		want[status] = append(want[status], row.License.ID)
	}
	b.dueAgrees(rows, now)
	for _, status := range statuses {
		page, total, err := listed(b.List(b.t.Context(), licensing.Filter{Status: status, Page: 1, PerPage: len(rows)},
			now))
		if err != nil {
			b.t.Fatal(err)
		}
		var got []string
		for _, l := range page {
			got = append(got, l.ID)
		}
		slices.Sort(got)
		slices.Sort(want[status])
		if !slices.Equal(got, want[status]) || total != len(got) {
			b.t.Errorf("at %s %d licenses are listed as %s, %d are", now, len(got), status, len(want[status]))
		}
	}
	b.typesAgree(rows, now)
	counts, err := b.Count(b.t.Context(), now)
	if err != nil {
		b.t.Fatal(err)
	}
	active := len(want[licensing.StatusActive]) + len(want[licensing.StatusInGrace])
	if counts.Active != active || counts.InGrace != len(want[licensing.StatusInGrace]) ||
		counts.Suspended != len(want[licensing.StatusSuspended]) ||
		counts.NotStarted != len(want[licensing.StatusNotStarted]) ||
		counts.Expired != len(want[licensing.StatusExpired]) ||
		counts.Inactive != len(want[licensing.StatusInactive]) || counts.Total != len(rows) {
		b.t.Errorf("at %s: counts %+v, want %v", now, counts, want)
	}
}

// typesAgree compares the lists by type with the type that the terms say.
func (b *harness) typesAgree(rows []licensing.NewRow, now time.Time) {
	b.t.Helper()
	want := map[string]int{}
	for i := range rows {
		want[rows[i].License.LicenseType()]++
	}
	for _, name := range []string{licensing.TypePerpetual, licensing.TypeTimeLimited, licensing.TypeSubscription} {
		_, total, err := listed(b.List(b.t.Context(), licensing.Filter{LicenseType: name, Page: 1, PerPage: 1}, now))
		if err != nil || total != want[name] || total == 0 {
			b.t.Errorf("%d licenses are listed as %s, %d are: %v", total, name, want[name], err)
		}
	}
}

// dueAgrees compares the licenses that the schedule finds with those that the rules have something to tell of.
func (b *harness) dueAgrees(rows []licensing.NewRow, now time.Time) {
	b.t.Helper()
	var want []string
	for _, row := range rows {
		if ch := (licensing.Change{License: row.License}); ch.Announce(now) {
			want = append(want, row.License.ID)
		}
	}
	got, err := b.Due(b.t.Context(), now, len(rows))
	if err != nil {
		b.t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		b.t.Errorf("at %s %d licenses are due, %d have a status to tell of", now, len(got), len(want))
	}
	if some, err := b.Due(b.t.Context(), now, 3); err != nil || len(some) > 3 || len(some) < min(3, len(want)) {
		b.t.Errorf("asked for 3 of %d: %v, %v", len(want), some, err)
	}
}

// seatsAgree asks for two seats on each license. On plain terms the statement gives those that the rules give; on other
// terms it gives none, whatever the rules say.
func (b *harness) seatsAgree(rows []licensing.NewRow) {
	b.t.Helper()
	for _, row := range rows {
		b.ids[row.Key] = row.License.ID
		b.want(row.Key, "one")
		b.want(row.Key, "two")
	}
	results, err := b.runSeats(b.t.Context(), seatStatement, b.wish)
	if err != nil {
		b.t.Fatal(err)
	}
	given, left := 0, 0
	for i, result := range results {
		l := rows[i/2].License
		l.CurrentDevices = i % 2
		allowed := licensing.Decide(licensing.Request{
			Operation: licensing.OperationActivate,
			License:   &l,
			Now:       noon,
		}) == nil
		if want := allowed && l.Plain(); (result.seat != nil) != want || !result.settled {
			b.t.Errorf("seat %d of %+v: %+v, want %v", 1+i%2, l, result, want)
		}
		if result.seat != nil {
			given++
		} else if allowed {
			left++
		}
	}
	if given == 0 || left == 0 {
		b.t.Errorf("%d seats were given, %d left to the rules: the licenses are not random enough", given, left)
	}
}

func listed(p licensing.Page[licensing.License], err error) ([]licensing.License, int, error) {
	return p.Items, p.Total, err
}
