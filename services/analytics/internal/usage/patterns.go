package usage

import (
	"fmt"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

const (
	// profileDays is how far back the days are taken from which a day's expectation is made.
	profileDays = 28
	// ProfileHistoryDays is how far back those on the same day of the week are taken, which are fewer. Days that
	// History lacks count as days without use.
	ProfileHistoryDays = 2 * profileDays
	// Typical hours are told of so many events on, and while they are no more than longestTypical; workCenter is the
	// hour that work is guessed to center on, in local time.
	fewestTypical  = 50
	longestTypical = 14
	workCenter     = 13
	// trendPercent is the change from which on use goes up or down.
	trendPercent = 20
)

// Patterns is how a license is used.
type Patterns struct {
	LicenseID   string          `json:"license_id"`
	GeneratedAt time.Time       `json:"generated_at"`
	Window      Window          `json:"window"`
	DataQuality DataQuality     `json:"data_quality"`
	Activity    Activity        `json:"activity"`
	Devices     DevicePatterns  `json:"devices"`
	Places      Places          `json:"places"`
	Failures    FailurePatterns `json:"failures"`
	Trend       Trend           `json:"trend"`
	Summary     []string        `json:"summary"`
}

// Activity is how much a license does, and when. Hours are UTC; the week begins on Monday. Both profiles count
// validations and heartbeats.
type Activity struct {
	Validations  int64         `json:"validations"`
	Failures     int64         `json:"failures"`
	Heartbeats   int64         `json:"heartbeats"`
	ActiveDays   int           `json:"active_days"`
	ByHourOfDay  [24]int64     `json:"by_hour_of_day"`
	ByDayOfWeek  [7]int64      `json:"by_day_of_week"`
	Daily        []DailyFigure `json:"daily"`
	TypicalHours TypicalHours  `json:"typical_hours"`
}

// DailyFigure is one day of a license and what its history let expect of the validations.
type DailyFigure struct {
	Date        Date  `json:"date"`
	Validations int64 `json:"validations"`
	Failures    int64 `json:"failures"`
	Devices     int   `json:"devices"`
	Expectation
}

// TypicalHours is the shortest span of the day that holds most of the activity; all members are null while it is
// unclear.
type TypicalHours struct {
	From          *int    `json:"from"`
	To            *int    `json:"to"`
	TimezoneGuess *string `json:"timezone_guess"`
}

// FailurePatterns counts refusals by error code: failed validations, and devices refused for lack of seats.
type FailurePatterns struct {
	ByCode map[string]int64 `json:"by_code"`
}

// Trend compares the validations of the second half of the window with those of the first.
type Trend struct {
	// Direction is "up", "down", "stable", or "unknown" while there is too little to compare.
	Direction     string   `json:"direction"`
	ChangePercent *float64 `json:"change_percent"`
}

// History is what the rollups hold of a license: Days from ProfileHistoryDays before the window on, the rest of the
// window.
type History struct {
	License  *License
	Days     []Day
	Use      *DeviceUse
	Failures map[string]int64
	Networks int
}

// eventsIn counts the events of the days in the window.
func eventsIn(w Window, days []Day) (n int64) {
	for i := range days {
		if !days[i].Day.Before(w.From) {
			n += days[i].Events
		}
	}
	return n
}

// newPatterns describes the license's history in the window.
func newPatterns(w Window, h *History, devices *deviceTally) *Patterns {
	p := &Patterns{
		LicenseID: h.License.ID, GeneratedAt: w.To, Window: w,
		Activity: newActivity(w, h), Devices: devices.patterns(),
		Places:   Places{Countries: devices.countryShares(), Networks: h.Networks},
		Failures: FailurePatterns{ByCode: h.Failures},
	}
	p.DataQuality = quality(w, eventsIn(w, h.Days), h.License.FirstEventAt)
	p.Trend = newTrend(p.Activity.Daily, p.DataQuality)
	p.Summary = p.sentences()
	return p
}

func newActivity(w Window, h *History) Activity {
	a := Activity{}
	days := map[time.Time]*Day{}
	for i := range h.Days {
		d := &h.Days[i]
		days[d.Day] = d
		if d.Day.Before(w.From) {
			continue
		}
		a.Validations += d.Validations
		a.Failures += d.Failures
		a.Heartbeats += d.Heartbeats
		if d.Validations+d.Heartbeats > 0 {
			a.ActiveDays++
		}
		for hour, n := range d.Hours {
			a.ByHourOfDay[hour] += n
			a.ByDayOfWeek[(d.Day.Weekday()+6)%7] += n
		}
	}
	a.Daily = newDaily(w, days, h)
	a.TypicalHours = newTypicalHours(a.ByHourOfDay)
	return a
}

func newDaily(w Window, days map[time.Time]*Day, h *History) []DailyFigure {
	daily := make([]DailyFigure, 0, w.Days)
	for _, date := range w.Dates() {
		f := DailyFigure{
			Date:        Date(date),
			Devices:     h.Use.On(date),
			Expectation: expect(earlierDays(date, days, h.License.FirstEventAt)),
		}
		if d := days[date]; d != nil {
			f.Validations, f.Failures = d.Validations, d.Failures
		}
		daily = append(daily, f)
	}
	return daily
}

// earlierDays are the validations of the days before date: those on the same day of the week where there are enough,
// else all. Days since the license was first learned of count, even without use.
func earlierDays(date time.Time, days map[time.Time]*Day, first time.Time) []float64 {
	var all, same []float64
	start := clock.Later(date.AddDate(0, 0, -ProfileHistoryDays), DayOf(first).AddDate(0, 0, 1))
	for d := start; !first.IsZero() && d.Before(date); d = d.AddDate(0, 0, 1) {
		n := 0.0
		if day := days[d]; day != nil {
			n = float64(day.Validations)
		}
		if d.Weekday() == date.Weekday() {
			same = append(same, n)
		}
		if !d.Before(date.AddDate(0, 0, -profileDays)) {
			all = append(all, n)
		}
	}
	if len(same) >= minHistory {
		return same
	}
	return all
}

// newTypicalHours finds the shortest run of hours, over midnight if need be, with four fifths of the activity. A use
// that fills most of the day has no typical hours. The guess assumes that work centers on workCenter.
func newTypicalHours(byHour [24]int64) TypicalHours {
	var total int64
	for _, n := range byHour {
		total += n
	}
	if total < fewestTypical {
		return TypicalHours{}
	}
	for length := 1; length <= longestTypical; length++ {
		for from := range byHour {
			var sum int64
			for i := range length {
				sum += byHour[(from+i)%24]
			}
			if sum*5 < total*4 { // four fifths
				continue
			}
			to := (from + length) % 24
			offset := (workCenter-(from+length/2)+36)%24 - 12
			zone := fmt.Sprintf("UTC%+03d:00", offset)
			return TypicalHours{&from, &to, &zone}
		}
	}
	return TypicalHours{}
}

// newTrend compares the halves of what the window covers; today, not over yet, is left out.
func newTrend(daily []DailyFigure, q DataQuality) Trend {
	today := len(daily) - 1
	covered := daily[min(today, max(0, len(daily)-q.DaysCovered)):today]
	half := len(covered) / 2
	if half < 3 {
		return Trend{Direction: "unknown"}
	}
	sum := func(days []DailyFigure) (n float64) {
		for _, d := range days {
			n += float64(d.Validations)
		}
		return n
	}
	before, after := sum(covered[len(covered)-2*half:len(covered)-half]), sum(covered[len(covered)-half:])
	if before == 0 {
		return Trend{Direction: "unknown"}
	}
	change := round((after-before)/before*100, 1)
	direction := "stable"
	switch {
	case change >= trendPercent:
		direction = "up"
	case change <= -trendPercent:
		direction = "down"
	}
	return Trend{direction, &change}
}

func (p *Patterns) sentences() []string {
	a, d := &p.Activity, &p.Devices
	if a.Validations+a.Heartbeats == 0 {
		return []string{fmt.Sprintf("Not used in the last %d days.", p.Window.Days)}
	}
	s := []string{
		fmt.Sprintf("Used on %d of the last %d days: %d validations, %d heartbeats.",
			a.ActiveDays, p.Window.Days, a.Validations, a.Heartbeats),
		fmt.Sprintf("%d devices seen, %s, at most %d devices within an hour.",
			d.Seen, d.seats(), d.PeakConcurrent),
	}
	if h := a.TypicalHours; h.From != nil {
		s = append(s, fmt.Sprintf("Mostly used from %02d:00 to %02d:00 UTC.", *h.From, *h.To))
	}
	if a.Failures > 0 {
		s = append(s, fmt.Sprintf("%d validations failed.", a.Failures))
	}
	if p.Trend.Direction == "up" || p.Trend.Direction == "down" {
		s = append(s, fmt.Sprintf("Use went %s by %.0f%% in the second half of the window.",
			p.Trend.Direction, *p.Trend.ChangePercent))
	}
	return s
}
