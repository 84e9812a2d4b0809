package licensing

import (
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a container without the time zones of its system still knows them
)

// zones remembers the time zones that were named, because reading one from its file costs what a whole validation
// costs. Only names that exist get in, so it is bounded.
var zones sync.Map // string -> *time.Location

// zoneOf finds a time zone by its IANA name. "Local" is none: it would be another one on each server.
func zoneOf(name string) (*time.Location, bool) {
	if known, ok := zones.Load(name); ok {
		return known.(*time.Location), true
	}
	if name == "" || strings.EqualFold(name, "local") || len(name) > maxText {
		return nil, false
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, false
	}
	zones.Store(name, zone)
	return zone, true
}

// Location is the time zone of the license.
func (t *Terms) Location() *time.Location {
	if t.Timezone == DefaultTimezone {
		return time.UTC
	}
	if zone, ok := zoneOf(t.Timezone); ok {
		return zone
	}
	return time.UTC
}

// AddMonths moves an instant by calendar months of a time zone, at the same time of the day. The 31st becomes the last
// day of a shorter month.
func AddMonths(at time.Time, months int, zone *time.Location) time.Time {
	return addMonthsTo(0, at, months, zone)
}

// addMonthsTo is AddMonths onto a day of the month, or that of at if this is later.
func addMonthsTo(day int, at time.Time, months int, zone *time.Location) time.Time {
	wall := WallClock(at, zone)
	year, month, today := wall.Date()
	last := time.Date(year, month+time.Month(months)+1, 0, 0, 0, 0, 0, time.UTC).Day()
	first := wall.AddDate(0, 0, 1-today) // which every month has
	return InZone(first.AddDate(0, months, min(max(day, today), last)-1), zone)
}

// WallClock is what a clock in a time zone shows at an instant, written as if it were UTC, so that days and months can
// be added to it without a thought of daylight saving.
func WallClock(at time.Time, zone *time.Location) time.Time {
	at = at.In(zone)
	_, offset := at.Zone()
	return at.UTC().Add(time.Duration(offset) * time.Second)
}

// InZone is the instant at which a clock in a time zone shows wall. What it skips in spring comes at the instant at
// which it jumps, what it shows twice in autumn comes the first time.
func InZone(wall time.Time, zone *time.Location) time.Time {
	// No zone is further from UTC than that: one side of a change lies before, the other one behind.
	const far = 26 * time.Hour
	early := wall.Add(-offsetAt(wall.Add(-far), zone))
	late := wall.Add(-offsetAt(wall.Add(far), zone))
	for _, at := range []time.Time{early, late} {
		if WallClock(at, zone).Equal(wall) {
			return at
		}
	}
	jump, _ := early.In(zone).ZoneBounds()
	return jump.UTC()
}

// offsetAt is how far the clocks of a time zone are ahead of UTC.
func offsetAt(at time.Time, zone *time.Location) time.Duration {
	_, offset := at.In(zone).Zone()
	return time.Duration(offset) * time.Second
}
