package detect

import (
	"fmt"
	"time"
)

// DormantReactivated is a license long silent that is used again, by devices and from networks it never had.
const DormantReactivated Kind = "dormant_reactivated"

var dormantDetector = detector{
	kind: DormantReactivated, version: 1, weight: 0.55,
	finds: "a license that was silent for 60 days or more is used again, by devices and from networks it never " +
		"had",
	spares:   "a known device or network that comes back, yearly use",
	words:    []string{dormantNewDevice: "use by a device and from a network never seen before"},
	remember: func() memory { return &dormant{} },
}

// What dormant keeps as evidence.
const dormantNewDevice = 0

const (
	// silence is the least gap that counts as dormant. Longer than a semester break of 8 weeks.
	silence = 60 * 24 * time.Hour
	// gapFactor: the gap must also exceed the license's own longest earlier gap so many times (yearly use is not
	// dormancy).
	gapFactor = 1.5
	// watchFor is how long after waking a known device or network may still show up and explain it.
	watchFor = 14 * 24 * time.Hour
	// soleDays (s) are the distinct days that one single new device must be active on before it is worth a note: it
	// may be a new computer.
	soleDays = 3
	// maxWake caps the lists of what a waking license collects.
	maxWake = 16
	// daysForHabits are the days of use that make a license one with habits: one that was bought and put away has none.
	daysForHabits = 3
)

// dormant finds dormant_reactivated. Left alone: the known device or network that comes back after a semester, one
// new computer in place of the old one for a day or two, yearly use.
type dormant struct {
	trail
	// lastUse is the latest sign of use, longestGap the longest silence so far (microseconds), activeDays counts days
	// with use.
	lastUse, longestGap, activeDays int64
	wake                            wake
}

// wake is a license that was silent and is in use again, as long as nothing known has explained it.
type wake struct {
	// Slept is the last use before the silence, Woke the first after it; Woke is 0 when there is nothing to watch.
	Slept, Woke int64
	// Devices and Blocks are the new ones since, Days the days they were in use.
	Devices, Blocks []uint64
	Days            []int64
	// Abroad: use from a country that the license had not been used in.
	Abroad bool
}

func (m *dormant) walk(c *codec) {
	c.time(&m.lastUse)
	c.int(&m.longestGap)
	c.int(&m.activeDays)
	w := &m.wake
	c.time(&w.Slept)
	c.time(&w.Woke)
	list(c, &w.Devices, maxWake, (*codec).hash)
	list(c, &w.Blocks, maxWake, (*codec).hash)
	list(c, &w.Days, maxWake, (*codec).int)
	c.bool(&w.Abroad)
}

func (m *dormant) observe(st *step) {
	if !st.signOfUse() {
		return
	}
	if !st.late {
		m.wakes(st)
		m.watch(st)
	}
	if m.lastUse == 0 || dayOf(st.at) > dayOf(m.lastUse) {
		m.activeDays++
	}
	m.lastUse = max(m.lastUse, st.at) // refusals count: somebody is there
}

// wakes measures the silence that this observation ends.
func (m *dormant) wakes(st *step) {
	if m.lastUse == 0 {
		return
	}
	gap := st.at - m.lastUse
	habits := m.activeDays >= daysForHabits && !st.devicesLost && !st.placesLost
	if habits && gap >= micros(silence) && float64(gap) > gapFactor*float64(m.longestGap) {
		m.wake = wake{Slept: m.lastUse, Woke: st.at}
	}
	m.longestGap = max(m.longestGap, gap)
}

// watch collects who uses a license that has woken, until something known explains it.
func (m *dormant) watch(st *step) {
	w := &m.wake
	if w.Woke == 0 {
		return
	}
	if st.at-w.Woke > micros(watchFor) {
		*w = wake{}
		return
	}
	if d := st.device(st.id); d != nil && d.First < w.Woke || m.knownPlace(st) {
		*w = wake{} // explained
		return
	}
	if st.place.Block == 0 {
		return // nothing to compare
	}
	w.collect(st)
	st.note(dormantNewDevice, watchFor)
	if score := m.score(st); score > 0 {
		st.raise(score, m.describe)
	}
}

// knownPlace says whether the license had been used from near the place, or through its provider, before it fell
// silent.
func (m *dormant) knownPlace(st *step) bool {
	for i := range st.places {
		v := &st.places[i]
		if v.First < m.wake.Woke && st.place.Block != 0 && (v.near(st.place) || v.sameProvider(st.place)) {
			return true
		}
	}
	return false
}

func (w *wake) collect(st *step) {
	if len(w.Devices) < maxWake {
		w.Devices = addDistinct(w.Devices, st.id)
	}
	if len(w.Blocks) < maxWake && st.place.people() {
		w.Blocks = addDistinct(w.Blocks, st.place.Block)
	}
	if len(w.Days) < maxWake {
		w.Days = addDistinct(w.Days, dayOf(st.at))
	}
	w.Abroad = w.Abroad || w.abroad(st)
}

// abroad says whether every country known from before is another one.
func (w *wake) abroad(st *step) bool {
	known := false
	for i := range st.places {
		v := &st.places[i]
		if v.First >= w.Woke || v.Country == 0 {
			continue
		}
		if v.Country == st.place.Country {
			return false
		}
		known = true
	}
	return known && st.place.Country != 0 && st.place.people()
}

// score is 0 as long as the license may still explain itself: always for the first day, longer for what looks like
// one new computer.
func (m *dormant) score(st *step) float64 {
	w := &m.wake
	lasting := st.reaches(len(w.Days), soleDays)
	several := len(w.Devices) >= 2
	spread := len(w.Blocks) >= 2 || w.Abroad
	switch {
	case several && spread && len(w.Days) >= 2:
		return min(0.65+0.05*float64(len(w.Devices)-2), 0.9)
	case several && lasting:
		return 0.45
	case lasting && w.Abroad:
		return 0.4
	case lasting:
		return 0.3
	}
	return 0
}

func (m *dormant) describe(f *Finding) {
	w := &m.wake
	silent := int((w.Woke - w.Slept) / microsPerDay)
	f.Observed = fmt.Sprintf("%s of silence, then %s", count(silent, "day"), count(len(w.Devices), "new device"))
	f.Reason = fmt.Sprintf("After %s of silence the license is in use again, by %s on %s it was never used from; "+
		"no known device has come back.",
		count(silent, "day"), count(len(w.Devices), "device"), count(len(w.Blocks), "network"))
	if w.Abroad {
		f.Reason += " The country is new too."
	}
	f.Expected = Expected{High: silence.Hours() / 24}
	f.Considered = []string{
		"a break such as a semester: no device or network from before has come back",
		fmt.Sprintf("a new computer: %s in use on %s", count(len(w.Devices), "new device"), count(len(w.Days), "day")),
	}
	f.Suggestion = "Ask the customer whether the new devices are theirs; if not, issue a new key."
}
