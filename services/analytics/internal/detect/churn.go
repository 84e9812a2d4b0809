package detect

import (
	"fmt"
	"math"
	"slices"
)

// churn finds device_churn: seats that pass through more devices than computers come and go. Refilled seats count, filling them the first
// time does not. Left alone: build jobs on hosting networks that leave cleanly, one burst of re-imaging, reinstallations (same name and network).
func (st *step) churn() {
	switch st.action {
	case actArrive:
		st.arrive(st.id, whatTookSeat)
	case actLeave:
		st.leave(st.id, st.o.By != "admin")
	case actMove:
		st.leave(digest(st.o.FromHardwareID), true)
		st.arrive(digest(st.o.ToHardwareID), whatTransferred)
	case actOffline:
		if d := st.s.device(st.id); d != nil && !st.o.OfflineUntil.IsZero() {
			d.Offline = max(d.Offline, st.o.OfflineUntil.UnixMicro())
		}
	}
}

// arrive takes in a device that got a seat and judges the week.
func (st *step) arrive(id uint64, what uint64) {
	if id == 0 {
		return
	}
	s := st.s
	known := s.device(id)
	if known != nil && known.Since > known.Left {
		return // it has its seat already
	}
	a := arrival{Who: st.who(id), Device: id, At: st.at, Block: st.place.Block, Flags: st.place.flag()}
	if known != nil && known.Since != 0 {
		a.Flags |= arrivedReturning
	}
	if known != nil && known.Left > st.at {
		a.Left = known.Left // its departure arrived first
		a.Flags |= leftClean
	}
	st.handedBack(known)
	d := s.admit(id, st.at)
	d.Since, d.Run = max(d.Since, st.at), max(d.Run, st.at)
	s.arrivals = push(s.arrivals, a, maxArrivals)
	st.note(trailChurn, what, week)
	st.judgeChurn()
}

// locate fills in where a transferred seat went: transfers carry no address, the first use after one does.
func (st *step) locate(d *device) {
	if d.Last > d.Since || st.place.Block == 0 {
		return
	}
	for i := range st.s.arrivals {
		if a := &st.s.arrivals[i]; a.Device == d.ID && a.Block == 0 {
			a.Block, a.Flags = st.place.Block, a.Flags|st.place.flag()
		}
	}
}

// flag is the arrival flag of a network's kind.
func (p place) flag() uint64 {
	switch p.Kind {
	case kindUnknown:
		return 0
	case kindHosting:
		return arrivedHosting
	}
	return arrivedPeople
}

// who folds reinstallations: a computer that comes back under its name from its network is the same.
func (st *step) who(id uint64) uint64 {
	if st.o.DeviceName == "" || st.place.Block == 0 {
		return id
	}
	return digest(st.o.DeviceName) ^ st.place.Block
}

// leave takes in a device that gave up its seat.
func (st *step) leave(id uint64, clean bool) {
	if id == 0 {
		return
	}
	s := st.s
	s.departures = push(s.departures, st.at, maxDepartures)
	d := s.admit(id, st.at)
	d.Left = max(d.Left, st.at)
	offline := d.Offline > st.at
	for i := len(s.arrivals) - 1; i >= 0; i-- {
		a := &s.arrivals[i]
		if a.Device != id || a.Left != 0 || a.At > st.at {
			continue
		}
		a.Left = st.at
		if clean {
			a.Flags |= leftClean
		}
		if offline {
			a.Flags |= leftOffline
			st.note(trailChurn, whatLeftSeat, week)
		}
		return
	}
}

// turnover is what a license's arrivals of one window look like.
type turnover struct {
	who, blocks        []uint64
	days               []int64
	arrivals, replaced int
	hosting, people    int
	ended, quick       int // stays that had time to end, and those that ended cleanly within a build job's time
	returning, offline int
}

func (st *step) turnover(from, to int64) turnover {
	n := len(st.s.arrivals)
	both := make([]uint64, 2*n)
	t := turnover{who: both[:0:n], blocks: both[n:n]}
	job := micros(st.settings.Churn.JobLifetime)
	for _, a := range st.s.arrivals {
		if a.At < from || a.At > to {
			continue
		}
		t.arrivals++
		t.who = append(t.who, a.Who)
		t.days = addDistinct(t.days, dayOf(a.At))
		if a.Block != 0 {
			t.blocks = append(t.blocks, a.Block)
		}
		t.count(a, to, job)
	}
	t.who, t.blocks = distinct(t.who), distinct(t.blocks)
	left := 0
	for _, d := range st.s.departures {
		if d >= from && d <= to {
			left++
		}
	}
	t.replaced = min(len(t.who), left)
	if st.s.seats > 0 {
		t.replaced = max(t.replaced, len(t.who)-int(st.s.seats))
	}
	return t
}

func (t *turnover) count(a arrival, now, job int64) {
	t.hosting += flag(a, arrivedHosting)
	t.people += flag(a, arrivedPeople)
	t.returning += flag(a, arrivedReturning)
	t.offline += flag(a, leftOffline)
	if a.Left == 0 && now-a.At < job {
		return
	}
	t.ended++
	if a.Left != 0 && a.Left-a.At <= job && a.Flags&leftClean != 0 {
		t.quick++
	}
}

func flag(a arrival, f uint64) int {
	if a.Flags&f != 0 {
		return 1
	}
	return 0
}

// jobs says whether the devices come and go like build jobs: short stays that end cleanly, never the same device again, no offline token taken along.
func (t turnover) jobs() bool {
	return t.offline == 0 && t.ended > 0 && 10*t.quick >= 8*t.ended && 10*t.returning <= 2*t.arrivals && t.people*10 <= t.arrivals*2
}

// scattered says whether the devices came from more networks than the build jobs of one customer do. A seat that is handed round
// the world leaves as cleanly as a build job.
func (t turnover) scattered() bool { return len(t.blocks) >= 3 && 10*t.hosting < 8*t.arrivals }

// ci says whether they are build jobs for sure: the network is a hosting one. Source: detection design, "CI is recognised by hosting network plus clean deactivation".
func (t turnover) ci() bool { return t.jobs() && 10*t.hosting >= 8*t.arrivals }

// judgeChurn weighs the last 7 days, and the last day by itself.
func (st *step) judgeChurn() {
	s, set := st.s, st.settings.Churn
	s.arrivals = slices.DeleteFunc(s.arrivals, func(a arrival) bool { return a.At < s.clock-micros(2*week) })
	seats := float64(max(s.seats, 1))
	t := st.turnover(st.at-micros(week), st.at)
	fixed := max(float64(set.Least), set.PerSeat*seats)
	allowed := math.Floor(st.limit(max(fixed, 1.5*float64(s.firstWeek))))
	st.learnFirstWeek(t, fixed)
	if t.ci() {
		return
	}
	if over := float64(t.replaced) > allowed && st.reaches(len(t.days), set.SpreadDays); over {
		st.raiseChurn(t, allowed, "7 days")
		return
	}
	day := st.turnover(st.at-microsPerDay, st.at)
	allowed = math.Floor(st.limit(max(float64(set.BurstLeast), set.BurstPerSeat*seats, 1.5*float64(s.firstWeek))))
	if float64(day.replaced) > allowed {
		st.raiseChurn(day, allowed, "24 hours")
	}
}

// learnFirstWeek keeps the most replacements of the first week as baseline. Abuse from the first day must not become its own excuse, so
// beyond the fixed limit only what looks like build jobs counts.
func (st *step) learnFirstWeek(t turnover, fixed float64) {
	s := st.s
	if st.at > s.first+micros(week) {
		return
	}
	n := int64(t.replaced)
	if !t.jobs() || t.scattered() {
		n = min(n, int64(fixed))
	}
	s.firstWeek = max(s.firstWeek, n)
}

func (st *step) raiseChurn(t turnover, allowed float64, window string) {
	score := excess(0.45, float64(t.replaced), allowed)
	explained := ""
	switch {
	case len(t.blocks) >= 3:
		score += 0.15
	case t.offline > 0:
	case t.jobs():
		score, explained = min(score, scoreTest), "build jobs: short stays that end cleanly point to them, but the network is not known to be a hosting one"
	case 10*t.returning < 2*t.arrivals:
		score, explained = min(score, scoreTest), "new computers in one office: no device has come back, all from "+count(len(t.blocks), "network")
	}
	st.raise(trailChurn, score, func(f *Finding) { t.describe(f, st, allowed, window, explained) })
}

func (t turnover) describe(f *Finding, st *step, allowed float64, window, explained string) {
	f.Observed = fmt.Sprintf("%s in %s", count(t.replaced, "replaced device"), window)
	f.Reason = fmt.Sprintf("%s in %s on a license with %s: %s took one in turn, from %s; %.0f would be usual at most.",
		count(t.replaced, "replaced device"), window, count(int(st.s.seats), "seat"), count(len(t.who), "device"), count(len(t.blocks), "network"), allowed)
	if t.offline > 0 {
		f.Reason += fmt.Sprintf(" %s left with an offline token still good.", count(t.offline, "device"))
	}
	f.Expected = Expected{Value: float64(st.s.firstWeek), High: allowed}
	f.Considered = []string{
		fmt.Sprintf("build jobs: %d of %d stays were short and ended cleanly, %d of %d devices on hosting networks", t.quick, t.ended, t.hosting, t.arrivals),
		"reinstallation: devices with the same name and network were counted once",
		fmt.Sprintf("re-imaging in one burst: the devices came on %s", count(len(t.days), "day")),
	}
	if explained != "" {
		f.Considered = append(f.Considered, explained)
	}
	f.Suggestion = "Look at the devices list. If one customer needs many computers in turn, offer more seats or floating use; else limit how often a seat may move."
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
