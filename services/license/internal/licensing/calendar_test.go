package licensing

import (
	"testing"
	"time"
)

// TestAddMonths: ends of months, leap days, and daylight saving of both hemispheres, in spring and autumn.
func TestAddMonths(t *testing.T) {
	for _, tc := range []struct {
		zone, from string
		months     int
		want       string
	}{
		{"UTC", "2026-01-31T10:00:00Z", 1, "2026-02-28T10:00:00Z"},
		{"UTC", "2028-01-31T10:00:00Z", 1, "2028-02-29T10:00:00Z"},
		{"UTC", "2028-02-29T10:00:00Z", 12, "2029-02-28T10:00:00Z"},
		{"UTC", "2028-02-29T10:00:00Z", 48, "2032-02-29T10:00:00Z"},
		{"UTC", "2026-10-31T23:59:59Z", 4, "2027-02-28T23:59:59Z"},
		{"UTC", "2026-12-15T00:00:00Z", 1, "2027-01-15T00:00:00Z"},
		{"UTC", "2026-01-31T10:00:00Z", 1200, "2126-01-31T10:00:00Z"},
		// The month is that of the zone: in Tokyo it is the 31st already.
		{"Asia/Tokyo", "2026-01-30T15:00:00Z", 1, "2026-02-27T15:00:00Z"},
		// Berlin goes to summer time on 29 March 2026 and back on 25 October.
		{"Europe/Berlin", "2026-02-28T11:00:00Z", 1, "2026-03-28T11:00:00Z"},
		{"Europe/Berlin", "2026-03-15T11:00:00Z", 1, "2026-04-15T10:00:00Z"},
		{"Europe/Berlin", "2026-02-28T23:30:00Z", 1, "2026-03-31T22:30:00Z"},
		{"Europe/Berlin", "2026-02-28T01:30:00Z", 1, "2026-03-28T01:30:00Z"},
		{"Europe/Berlin", "2026-01-29T01:30:00Z", 2, "2026-03-29T01:00:00Z"}, // 02:30 does not exist
		{"Europe/Berlin", "2026-09-25T00:30:00Z", 1, "2026-10-25T00:30:00Z"}, // 02:30 comes twice: the first one
		// Sydney goes to summer time on 4 October 2026 and back on 5 April.
		{"Australia/Sydney", "2026-03-04T15:30:00Z", 1, "2026-04-04T15:30:00Z"}, // 02:30 comes twice
		{"Australia/Sydney", "2026-09-03T16:30:00Z", 1, "2026-10-03T16:00:00Z"}, // 02:30 does not exist
		// Santiago has no midnight on 6 September 2026.
		{"America/Santiago", "2026-08-06T04:00:00Z", 1, "2026-09-06T04:00:00Z"},
		// Samoa had no 30 December 2011.
		{"Pacific/Apia", "2011-11-30T22:00:00Z", 1, "2011-12-30T10:00:00Z"},
	} {
		zone, ok := zoneOf(tc.zone)
		from, err := time.Parse(time.RFC3339, tc.from)
		if !ok || err != nil {
			t.Fatal(tc, err)
		}
		if got := AddMonths(from, tc.months, zone).UTC().Format(time.RFC3339); got != tc.want {
			t.Errorf("%s + %d months in %s is %s, want %s", tc.from, tc.months, tc.zone, got, tc.want)
		}
	}
}

// TestInZone: each wall clock of a year of half hours has one instant, and instants follow the clock.
func TestInZone(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago",
		"Asia/Kathmandu", "Africa/Casablanca"} {
		zone, ok := zoneOf(name)
		if !ok {
			t.Fatal(name)
		}
		wall := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		before := InZone(wall, zone)
		for ; wall.Year() == 2026; wall = wall.Add(30 * time.Minute) {
			at := InZone(wall, zone)
			shows := WallClock(at, zone)
			if at.Before(before) || shows.Before(wall) || shows.Sub(wall) > time.Hour {
				t.Fatalf("%s: %s is %s, which shows %s; before it came %s", name, wall, at, shows, before)
			}
			before = at
		}
	}
}

func TestZoneNames(t *testing.T) {
	for name, want := range map[string]bool{
		"UTC": true, "Europe/Berlin": true, "America/Argentina/Buenos_Aires": true,
		"": false, "Local": false, "local": false, "CEST2": false, "../UTC": false, "/etc/passwd": false,
		"Europe": false, "\x00": false,
	} {
		if _, ok := zoneOf(name); ok != want {
			t.Errorf("%q is a zone: %v", name, ok)
		}
	}
}
