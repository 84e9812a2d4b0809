package detect

import "fmt"

// Caps of what a waking license collects, and the days of use that make a license one with habits: one that was bought and put away has none.
const (
	maxWake       = 16
	daysForHabits = 3
)

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

func (w *wake) walk(c *codec) {
	c.time(&w.Slept)
	c.time(&w.Woke)
	list(c, &w.Devices, maxWake, (*codec).hash)
	list(c, &w.Blocks, maxWake, (*codec).hash)
	list(c, &w.Days, maxWake, (*codec).int)
	c.bool(&w.Abroad)
}

// signOfUse says whether somebody with a device is there, be he refused.
func (st *step) signOfUse() bool {
	return st.id != 0 && (st.action == actUse || st.action == actArrive || st.action == actRefused)
}

// wakes measures the silence that this observation ends.
func (st *step) wakes() {
	s, set := st.s, st.settings.Dormancy
	if st.late || s.lastUse == 0 || !st.signOfUse() {
		return
	}
	gap := st.at - s.lastUse
	habits := s.activeDays >= daysForHabits && !s.devicesLost && !s.placesLost
	if habits && gap >= micros(set.Silence) && float64(gap) > set.GapFactor*float64(s.longestGap) {
		s.wake = wake{Slept: s.lastUse, Woke: st.at}
	}
	s.longestGap = max(s.longestGap, gap)
}

// dormant finds dormant_reactivated: a license long silent is used again, by devices and from networks it never had. Left alone: the known device or
// network that comes back after a semester, one new computer in place of the old one for a day or two, yearly use.
func (st *step) dormant() {
	w := &st.s.wake
	if w.Woke == 0 || st.late || !st.signOfUse() {
		return
	}
	if st.at-w.Woke > micros(st.settings.Dormancy.Watch) {
		*w = wake{}
		return
	}
	if d := st.s.device(st.id); d != nil && d.First < w.Woke || st.knownPlace() {
		*w = wake{} // explained
		return
	}
	if st.place.Block == 0 {
		return // nothing to compare
	}
	w.collect(st)
	st.note(trailDormant, whatNewDevice, st.settings.Dormancy.Watch)
	if score := st.wakeScore(); score > 0 {
		st.raise(trailDormant, score, st.describeWake)
	}
}

// knownPlace says whether the license had been used from near the place, or through its provider, before it fell silent.
func (st *step) knownPlace() bool {
	for i := range st.s.places {
		v := &st.s.places[i]
		if v.First < st.s.wake.Woke && st.place.Block != 0 && (v.near(st.place) || v.sameProvider(st.place)) {
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
	w.Abroad = w.Abroad || st.abroad()
}

// abroad says whether every country known from before is another one.
func (st *step) abroad() bool {
	known := false
	for i := range st.s.places {
		v := &st.s.places[i]
		if v.First >= st.s.wake.Woke || v.Country == 0 {
			continue
		}
		if v.Country == st.place.Country {
			return false
		}
		known = true
	}
	return known && st.place.Country != 0 && st.place.people()
}

// wakeScore is 0 as long as the license may still explain itself: always for the first day, longer for what looks like one new computer.
func (st *step) wakeScore() float64 {
	w := &st.s.wake
	lasting := st.reaches(len(w.Days), st.settings.Dormancy.SoleDays)
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

func (st *step) describeWake(f *Finding) {
	w := &st.s.wake
	silent := int((w.Woke - w.Slept) / microsPerDay)
	f.Observed = fmt.Sprintf("%s of silence, then %s", count(silent, "day"), count(len(w.Devices), "new device"))
	f.Reason = fmt.Sprintf("After %s of silence the license is in use again, by %s on %s it was never used from; no known device has come back.",
		count(silent, "day"), count(len(w.Devices), "device"), count(len(w.Blocks), "network"))
	if w.Abroad {
		f.Reason += " The country is new too."
	}
	f.Expected = Expected{High: st.settings.Dormancy.Silence.Hours() / 24}
	f.Considered = []string{
		"a break such as a semester: no device or network from before has come back",
		fmt.Sprintf("a new computer: %s in use on %s", count(len(w.Devices), "new device"), count(len(w.Days), "day")),
	}
	f.Suggestion = "Ask the customer whether the new devices are theirs; if not, issue a new key."
}
