package counter

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	instant, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return instant
}

func scheduleIn(t *testing.T, zone, reset, anchor, start string) schedule {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return schedule{reset: reset, anchor: anchor, zone: location, start: at(t, start)}
}

// TestPeriod looks at months of all lengths, leap years, and both changes of the clocks in both hemispheres, also at
// midnight.
func TestPeriod(t *testing.T) {
	const calendar, start = licensing.AnchorCalendar, licensing.AnchorStart
	for name, tc := range map[string]struct{ zone, reset, anchor, start, now, from, to string }{
		"never": {"UTC", "", calendar, "2026-01-31T10:00:00Z", "2026-05-01T00:00:00Z",
			"2026-01-31T10:00:00Z", ""},
		"day": {"UTC", "daily", calendar, "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z",
			"2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"},
		"last moment of a day": {"UTC", "daily", calendar, "2026-01-01T00:00:00Z", "2026-02-28T23:59:59Z",
			"2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		"day of Berlin": {"Europe/Berlin", "daily", calendar, "2026-01-01T00:00:00Z",
			"2026-07-01T22:30:00Z", "2026-07-01T22:00:00Z", "2026-07-02T22:00:00Z"},
		"day of 23 hours": {"Europe/Berlin", "daily", calendar, "2026-01-01T00:00:00Z",
			"2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		"day of 25 hours": {"Europe/Berlin", "daily", calendar, "2026-01-01T00:00:00Z",
			"2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		"spring in the south": {"Australia/Sydney", "daily", calendar, "2026-01-01T00:00:00Z",
			"2026-10-04T05:00:00Z", "2026-10-03T14:00:00Z", "2026-10-04T13:00:00Z"},
		"autumn in the south": {"Australia/Sydney", "daily", calendar, "2026-01-01T00:00:00Z",
			"2026-04-05T05:00:00Z", "2026-04-04T13:00:00Z", "2026-04-05T14:00:00Z"},
		"no midnight": {"America/Sao_Paulo", "daily", calendar, "2018-01-01T00:00:00Z",
			"2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		"day before no midnight": {"America/Sao_Paulo", "daily", calendar, "2018-01-01T00:00:00Z",
			"2018-11-04T02:59:59Z", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"},
		"23 o'clock twice": {"America/Sao_Paulo", "daily", calendar, "2018-01-01T00:00:00Z",
			"2019-02-17T02:30:00Z", "2019-02-16T02:00:00Z", "2019-02-17T03:00:00Z"},
		"midnight twice, first": {"America/Havana", "daily", calendar, "2026-01-01T00:00:00Z",
			"2026-11-01T04:30:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
		"midnight twice, second": {"America/Havana", "daily", calendar, "2026-01-01T00:00:00Z",
			"2026-11-01T05:30:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
		"a day that was left out": {"Pacific/Apia", "daily", calendar, "2011-01-01T00:00:00Z", "2011-12-30T09:00:00Z",
			"2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},
		"week on a Sunday": {"UTC", "weekly", calendar, "2026-01-01T00:00:00Z", "2026-03-01T23:00:00Z",
			"2026-02-23T00:00:00Z", "2026-03-02T00:00:00Z"},
		"week on a Monday": {"UTC", "weekly", calendar, "2026-01-01T00:00:00Z", "2026-03-02T00:00:00Z",
			"2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z"},
		"month": {"UTC", "monthly", calendar, "2026-01-31T10:00:00Z", "2026-02-28T23:00:00Z",
			"2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		"month of Tokyo": {"Asia/Tokyo", "monthly", calendar, "2026-01-01T00:00:00Z", "2026-01-31T15:00:00Z",
			"2026-01-31T15:00:00Z", "2026-02-28T15:00:00Z"},
		"year": {"UTC", "annually", calendar, "2024-05-01T00:00:00Z", "2026-12-31T23:59:59Z",
			"2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		"from the start: day": {"Europe/Berlin", "daily", start, "2026-01-10T09:30:00Z", "2026-06-01T08:00:00Z",
			"2026-05-31T08:30:00Z", "2026-06-01T08:30:00Z"},
		"from the start: gap": {"Europe/Berlin", "daily", start, "2026-01-10T01:30:00Z", "2026-03-29T01:00:00Z",
			"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"},
		"from the start: week": {"UTC", "weekly", start, "2026-01-07T10:00:00Z", "2026-01-21T09:59:59Z",
			"2026-01-14T10:00:00Z", "2026-01-21T10:00:00Z"},
		"from the start: the 31st": {"UTC", "monthly", start, "2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z",
			"2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z"},
		"from the start: and back": {"UTC", "monthly", start, "2026-01-31T10:00:00Z", "2026-03-31T09:59:59Z",
			"2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z"},
		"from the start: leap day": {"UTC", "annually", start, "2024-02-29T00:00:00Z", "2025-03-01T00:00:00Z",
			"2025-02-28T00:00:00Z", "2026-02-28T00:00:00Z"},
		"from the start: next leap": {"UTC", "annually", start, "2024-02-29T00:00:00Z", "2028-02-28T12:00:00Z",
			"2027-02-28T00:00:00Z", "2028-02-29T00:00:00Z"},
		"before the start": {"UTC", "monthly", start, "2026-03-31T10:00:00Z", "2026-03-01T00:00:00Z",
			"2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := scheduleIn(t, tc.zone, tc.reset, tc.anchor, tc.start).period(at(t, tc.now))
			if !from.Equal(at(t, tc.from)) || tc.to != "" && !to.Equal(at(t, tc.to)) || tc.to == "" && !to.IsZero() {
				t.Errorf("from %s to %s, want %s to %s", from.UTC(), to.UTC(), tc.from, tc.to)
			}
		})
	}
}

// TestPeriodsFollowOneAnother: each instant lies in its period, and each period begins where the one before ended.
func TestPeriodsFollowOneAnother(t *testing.T) {
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Australia/Lord_Howe",
		"Pacific/Apia", "America/Toronto"} {
		for _, reset := range []string{"daily", "weekly", "monthly", "annually"} {
			for _, anchor := range []string{licensing.AnchorCalendar, licensing.AnchorStart} {
				s := scheduleIn(t, zone, reset, anchor, "2004-02-29T23:59:59Z")
				end := time.Time{}
				for now := at(t, "2003-12-30T00:00:00Z"); now.Year() < 2013; now = now.Add(17*time.Hour +
					13*time.Minute) {
					from, to := s.period(now)
					if from.After(now) || !to.After(now) {
						t.Fatalf("%s: %s is not from %s to %s", s, now, from, to)
					}
					if now.Before(end) && !to.Equal(end) {
						t.Fatalf("%s: at %s the period ends at %s, not at %s", s, now, to, end)
					}
					end = to
				}
			}
		}
	}
}
