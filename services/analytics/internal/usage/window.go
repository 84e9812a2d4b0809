package usage

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// Window is the span that an answer is about: whole UTC days, of which today is the last and not over yet.
type Window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Days int       `json:"days"`
}

// LastDays is the window of so many days that ends now.
func LastDays(now time.Time, days int) Window {
	return Window{From: DayOf(now).AddDate(0, 0, 1-days), To: now, Days: days}
}

// Dates are the midnights of the window's days, oldest first.
func (w Window) Dates() []time.Time {
	dates := make([]time.Time, w.Days)
	for i := range dates {
		dates[i] = w.From.AddDate(0, 0, i)
	}
	return dates
}

// Date is a UTC day on the wire: YYYY-MM-DD.
type Date time.Time

// Equal says whether both are the same day.
func (d Date) Equal(o Date) bool { return time.Time(d).Equal(time.Time(o)) }

// MarshalText implements encoding.TextMarshaler.
func (d Date) MarshalText() ([]byte, error) {
	return time.Time(d).UTC().AppendFormat(nil, time.DateOnly), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Date) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.DateOnly, string(text))
	*d = Date(t)
	return err
}

// DataQuality says how much an answer rests on.
type DataQuality struct {
	Events       int64      `json:"events"`
	FirstEventAt *time.Time `json:"first_event_at"`
	DaysCovered  int        `json:"days_covered"`
	// Confidence is "low", "medium" or "high".
	Confidence string `json:"confidence"`
}

// quality judges what is known in the window of a subject that was first learned of at first.
func quality(w Window, events int64, first time.Time) DataQuality {
	q := DataQuality{Events: events, FirstEventAt: timeOrNil(first), Confidence: "low"}
	if first.IsZero() {
		return q
	}
	since := clock.Later(w.From, DayOf(first))
	q.DaysCovered = max(0, int(DayOf(w.To).Sub(since)/(24*time.Hour))+1)
	switch {
	case q.DaysCovered >= 14 && events >= 200:
		q.Confidence = "high"
	case q.DaysCovered >= 7 && events >= 30:
		q.Confidence = "medium"
	}
	return q
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Share is part of whole to four digits, and 0 of nothing.
func Share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return round(float64(part)/float64(whole), 4)
}
