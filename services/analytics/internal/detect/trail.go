package detect

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// reemitAfter and reemitStep say when an open finding is told again: after an hour, or when its score moved so much.
const (
	reemitAfter = time.Hour
	reemitStep  = 0.05
)

// Scores at which severities begin.
const (
	scoreMedium   = 0.4
	scoreHigh     = 0.65
	scoreCritical = 0.85
	// scoreLow is the most that is still low: for test licenses, and where an honest explanation is likely.
	scoreLow = 0.35
)

func severityOf(score float64) Severity {
	switch {
	case score >= scoreCritical:
		return SeverityCritical
	case score >= scoreHigh:
		return SeverityHigh
	case score >= scoreMedium:
		return SeverityMedium
	}
	return SeverityLow
}

const (
	// scoreExcess is where the score of a count begins that just passes what is allowed, and scoreWorse what makes it
	// worse: many at once, or from many networks.
	scoreExcess, scoreWorse = 0.45, 0.15
	// farApart is how many networks are more than those of one place with its second line.
	farApart = 3
)

// excess is a score that starts at base when observed just passes allowed and grows by 0.1 with each doubling.
func excess(base, observed, allowed float64) float64 {
	return base + 0.1*math.Log2(max(observed/max(allowed, 1), 1))
}

// trail is the evidence for one kind and, while Detected is set, its open finding.
type trail struct {
	// FirstSeen, Detected and LastSeen are those of the open finding; Emitted and Score what was last published of it.
	FirstSeen, Detected, LastSeen, Emitted int64
	Score                                  int64 // hundredths
	Notes                                  []note
	// grown describes the open finding as it has become since it was last told, nil where it has not. It is not
	// stored.
	grown func() Finding
}

// Caps of the evidence.
const (
	maxNotes   = 5
	maxEventID = 64
)

// note is one piece of evidence.
type note struct {
	EventID string
	At      int64
	What    uint64
}

func (t *trail) evidence() *trail { return t }

// walkTrail passes over the trail of a detector with these words.
func (t *trail) walkTrail(c *codec, words []string) {
	for _, v := range []*int64{&t.FirstSeen, &t.Detected, &t.LastSeen, &t.Emitted} {
		c.time(v)
	}
	c.int(&t.Score)
	list(c, &t.Notes, maxNotes, (*codec).note)
	for _, n := range t.Notes {
		if n.What >= uint64(len(words)) {
			c.fail("evidence")
		}
	}
}

func (c *codec) note(n *note) {
	c.text(&n.EventID, maxEventID)
	c.time(&n.At)
	c.uint(&n.What)
}

// closes ends the open finding when the silence was long enough; its evidence goes with it, so that the next finding
// has another first-seen.
func (t *trail) closes(at int64) {
	if t.Detected != 0 && at-t.LastSeen > micros(CloseAfter) {
		*t = trail{}
	}
}

// note keeps the evidence in order of time: the first and the latest ones of an open finding, the latest ones within
// window before there is one.
func (t *trail) note(o *Observation, what uint64, window time.Duration) {
	n := note{EventID: o.EventID, At: o.At.UnixMicro(), What: what}
	if len(n.EventID) > maxEventID {
		n.EventID = ""
	}
	drop := 0
	if t.Detected != 0 {
		drop = 1
	} else {
		for len(t.Notes) > 0 && n.At-t.Notes[0].At > micros(window) {
			t.Notes = t.Notes[1:]
		}
	}
	if len(t.Notes) == maxNotes {
		t.Notes = append(append(make([]note, 0, maxNotes), t.Notes[:drop]...), t.Notes[drop+1:]...)
	}
	i := len(t.Notes)
	for i > drop && t.Notes[i-1].At > n.At {
		i--
	}
	t.Notes = append(t.Notes, note{})
	copy(t.Notes[i+1:], t.Notes[i:])
	t.Notes[i] = n
}

// raise opens or refreshes the finding and returns it, described, when there is something to tell; else it keeps how to
// do that for takeGrown.
func (t *trail) raise(d *detector, at int64, score float64, describe func(*Finding)) (f Finding, told bool) {
	status := t.refresh(at, score)
	tell := func() Finding {
		f := t.finding(d, status)
		describe(&f)
		return f
	}
	if t.grown = nil; status == StatusGrown {
		t.grown = tell
		return f, false
	}
	return tell(), true
}

// takeGrown returns the open finding if it has grown since it was told or taken last.
func (t *trail) takeGrown(found []Finding) []Finding {
	if t.grown != nil {
		found = append(found, t.grown())
		t.grown = nil
	}
	return found
}

// refresh opens or refreshes the finding and says how to tell it.
func (t *trail) refresh(at int64, score float64) string {
	score = math.Round(min(max(score, 0.05), 0.99) * 100)
	if t.Detected == 0 {
		t.Detected, t.LastSeen, t.Emitted, t.Score = at, at, at, int64(score)
		t.FirstSeen = at
		if len(t.Notes) > 0 {
			t.FirstSeen = min(at, t.Notes[0].At)
		}
		return StatusNew
	}
	t.LastSeen = max(t.LastSeen, at)
	moved := math.Abs(score-float64(t.Score)) >= reemitStep*100
	risen := severityOf(score/100) != severityOf(float64(t.Score)/100) && score > float64(t.Score)
	if !moved && !risen && t.LastSeen-t.Emitted < micros(reemitAfter) {
		return StatusGrown
	}
	t.Emitted, t.Score = t.LastSeen, int64(score)
	return StatusUpdated
}

// finding is the part of a finding that the trail knows.
func (t *trail) finding(d *detector, status string) Finding {
	f := Finding{
		Key:        string(d.kind) + ":" + strconv.FormatInt(t.FirstSeen, 10),
		Status:     status,
		Type:       d.kind,
		Score:      float64(t.Score) / 100,
		FirstSeen:  instant(t.FirstSeen),
		DetectedAt: instant(t.Detected),
		LastSeen:   instant(t.LastSeen),
	}
	f.Severity = severityOf(f.Score)
	for _, n := range t.Notes {
		if n.EventID != "" {
			f.Evidence = append(f.Evidence, Evidence{
				EventID:    n.EventID,
				OccurredAt: instant(n.At),
				What:       d.words[n.What],
			})
		}
	}
	return f
}

const microsPerDay = int64(24 * time.Hour / time.Microsecond)

func micros(d time.Duration) int64 { return d.Microseconds() }

func instant(us int64) time.Time { return time.UnixMicro(us).UTC() }

// dayOf numbers days in UTC; it rounds down before 1970 too.
func dayOf(us int64) int64 {
	d := us / microsPerDay
	if us%microsPerDay < 0 {
		d--
	}
	return d
}

// dayCount counts something on a day; lists of them hold at most dayCounters.
type dayCount struct{ Day, N int64 }

const dayCounters = 8

func (c *codec) dayCount(d *dayCount) { c.int(&d.Day); c.int(&d.N) }

// addDay adds n to the count of a day among the 7 that end today; other days are dropped.
func addDay(v []dayCount, today, day, n int64) []dayCount {
	v = slices.DeleteFunc(v, func(c dayCount) bool { return c.Day <= today-7 })
	for i := range v {
		if v[i].Day == day {
			v[i].N = max(v[i].N+n, 0)
			return v
		}
	}
	if n > 0 && day > today-7 {
		v = push(v, dayCount{day, n}, dayCounters)
	}
	return v
}

// addDistinct appends x unless it is there: for short lists.
func addDistinct[T comparable](v []T, x T) []T {
	for _, y := range v {
		if y == x {
			return v
		}
	}
	return append(v, x)
}

// distinct sorts v and drops repetitions: for long lists.
func distinct(v []uint64) []uint64 {
	slices.Sort(v)
	return slices.Compact(v)
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
