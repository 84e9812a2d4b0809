package detect

import (
	"fmt"
	"math"
	"slices"
)

// overuse finds seat_overuse: many devices ramming against the limit over days. Left alone: one colleague trying, a refusal followed by success
// within a minute, a growing team whose limit is raised, build jobs that ran out of seats.
func (st *step) overuse() {
	switch st.action {
	case actUse, actArrive:
		st.fold(st.id)
	case actMove:
		st.fold(digest(st.o.ToHardwareID))
	case actRefused:
		st.refused()
	}
}

// fold takes back a refusal that success followed at once.
func (st *step) fold(id uint64) {
	s := st.s
	for i := range s.denied {
		d := &s.denied[i]
		if d.Device != id || d.Last > st.at || st.at-d.Last > micros(st.settings.FoldWithin) {
			continue
		}
		st.countRefusal(d.Last, -1)
		if d.Starts--; d.Starts <= 0 {
			s.denied = slices.Delete(s.denied, i, i+1)
		}
		return
	}
}

func (st *step) refused() {
	s := st.s
	id := st.id
	if id == 0 {
		return
	}
	st.used()
	if d := s.device(id); d != nil && d.Last >= st.at && d.Last-st.at <= micros(st.settings.FoldWithin) {
		return // the success that folds it arrived first
	}
	s.denied = slices.DeleteFunc(s.denied, func(d denied) bool { return d.Last < s.clock-micros(week) })
	d := st.deny(id)
	again := st.at - d.Last
	if d.Starts > 0 && max(again, -again) <= micros(st.settings.FoldWithin) {
		d.Last = max(d.Last, st.at)
		return // a retry, not another refusal
	}
	d.Starts++
	d.First, d.Last = min(d.First, st.at), max(d.Last, st.at)
	st.countRefusal(st.at, 1)
	st.note(trailOveruse, whatRefused, week)
	st.judgeOveruse()
}

// deny finds or adds a refused device, dropping the one silent for longest from a full list.
func (st *step) deny(id uint64) *denied {
	s, who := st.s, st.who(id)
	for i := range s.denied {
		if d := &s.denied[i]; d.Who == who {
			d.Device = id
			return d
		}
	}
	if len(s.denied) == maxDenied {
		oldest := 0
		for i := range s.denied {
			if s.denied[i].Last < s.denied[oldest].Last {
				oldest = i
			}
		}
		s.denied = slices.Delete(s.denied, oldest, oldest+1)
	}
	s.denied = append(s.denied, denied{Who: who, Device: id, Block: st.place.Block, First: st.at, Last: st.at, Hosting: st.place.Kind == kindHosting})
	return &s.denied[len(s.denied)-1]
}

func (st *step) countRefusal(at, n int64) {
	st.s.refusals = addDay(st.s.refusals, dayOf(st.s.clock), dayOf(at), n)
}

// ramming is what the refusals of 7 days look like.
type ramming struct {
	weight          float64 // devices, those on hosting networks half
	blocks          []uint64
	days, hammering int
	devices, total  int
}

func (st *step) ramming() ramming {
	var r ramming
	r.devices = len(st.s.denied)
	for _, d := range st.s.denied {
		r.weight++
		if d.Hosting {
			r.weight -= 0.5
		}
		if d.Block != 0 {
			r.blocks = addDistinct(r.blocks, d.Block)
		}
	}
	for _, c := range st.s.refusals {
		r.total += int(c.N)
		if c.N > 0 {
			r.days++
		}
		if st.reaches(int(c.N), st.settings.Overuse.RetriesPerDay) {
			r.hammering++
		}
	}
	return r
}

func (st *step) judgeOveruse() {
	set, r := st.settings.Overuse, st.ramming()
	allowed := math.Floor(st.limit(max(float64(set.Least), set.PerSeat*float64(st.s.seats))))
	if r.devices < 2 {
		return
	}
	spread := r.days >= set.Days
	burst := r.weight > set.BurstFactor*allowed
	wide := len(r.blocks) >= 3
	score := excess(0.45, r.weight, allowed)
	switch {
	case r.weight > allowed && (spread || burst && wide):
		if wide {
			score += 0.15
		}
	case burst:
		score = min(score, scoreTest)
	case r.hammering >= set.RetryDays:
		score = 0.25
	default:
		return
	}
	if st.turnover(st.at-micros(week), st.at).ci() {
		return // build jobs queue for seats
	}
	st.raise(trailOveruse, score, func(f *Finding) { r.describe(f, st, allowed) })
}

func (r ramming) describe(f *Finding, st *step, allowed float64) {
	f.Observed = fmt.Sprintf("%s refused in 7 days", count(r.devices, "device"))
	f.Reason = fmt.Sprintf("%s found no free seat in 7 days on a license with %s: %s on %s, from %s.",
		count(r.devices, "device"), count(int(st.s.seats), "seat"), count(r.total, "refusal"), count(r.days, "day"), count(len(r.blocks), "network"))
	f.Expected = Expected{High: allowed}
	f.Considered = []string{
		"retries: a refusal followed by success within a minute, and repeated attempts within a minute, were not counted",
		"a growing team: the limit was not raised while the refusals went on",
		"one colleague trying: more than one device was refused",
	}
	if len(r.blocks) < 3 {
		f.Considered = append(f.Considered, fmt.Sprintf("a team larger than its seats: likely, all came from %s", count(len(r.blocks), "network")))
	}
	f.Suggestion = "Ask the customer whether more seats are needed. If the devices are not theirs, the key has spread: issue a new one."
}
