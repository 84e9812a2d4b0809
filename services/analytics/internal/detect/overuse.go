package detect

import (
	"fmt"
	"math"
	"slices"
)

// SeatOveruse is many devices that are refused for lack of seats, over days.
const SeatOveruse Kind = "seat_overuse"

var overuseDetector = detector{
	kind: SeatOveruse, version: 2, weight: 0.55,
	finds: "many devices find no seat or slot free, on several days",
	spares: "retries, one colleague who tries, a team whose limit is raised, up to four people for each slot " +
		"who wait for a lease",
	words:    []string{overuseRefused: "a device was refused for lack of seats or slots"},
	remember: func() memory { return &overuse{} },
}

// What overuse keeps as evidence.
const overuseRefused = 0

const (
	// overusePerSeat (s) and overuseLeast (s): distinct devices refused for lack of seats in 7 days beyond
	// max(overuseLeast, overusePerSeat x seats) are too many. Slots of leases without a seat count as seats.
	overusePerSeat = 0.5
	overuseLeast   = 3
	// overuseDays are the distinct days of 7 on which refusals must fall: a growing team buys seats sooner.
	// overuseBurst times as many devices as allowed are told at once, as low when they come from fewer than
	// farApart networks: a class may have met with too few seats.
	overuseDays = 3
	// waitingPerSlot (s) is how many people for each slot may wait for one in a week: leases are sold to more than
	// there are slots.
	waitingPerSlot = 4
	overuseBurst   = 3
	// retriesPerDay (s) by 2 or more devices on retryDays days is hammering, of low severity: it may be a client
	// without backoff.
	retriesPerDay = 20
	retryDays     = 3
	// scoreHammering is low.
	scoreHammering = 0.25
	maxDenied      = 64
)

// overuse finds seat_overuse. Left alone: one colleague trying, a refusal followed by success within a minute, a
// growing team whose limit is raised, build jobs that ran out of seats, people who take turns on leases.
type overuse struct {
	trail
	denied   []denied
	refusals []dayCount
}

// denied is a device that found no seat free.
type denied struct {
	Who, Device, Block uint64
	First, Last        int64
	// Refusals counts retries within foldWithin as one.
	Refusals int64
	Hosting  bool
}

func (m *overuse) walk(c *codec) {
	list(c, &m.denied, maxDenied, (*codec).denied)
	list(c, &m.refusals, dayCounters, (*codec).dayCount)
}

func (c *codec) denied(d *denied) {
	c.hash(&d.Who)
	c.hash(&d.Device)
	c.hash(&d.Block)
	c.time(&d.First)
	c.time(&d.Last)
	c.int(&d.Refusals)
	c.bool(&d.Hosting)
}

func (m *overuse) observe(st *step) {
	if st.grown {
		m.denied, m.refusals = nil, nil // the license has grown: the refusals were its growing pains
	}
	switch st.action {
	case actUse, actArrive, actTouch:
		m.fold(st, st.id)
	case actMove:
		m.fold(st, digest(st.movedTo()))
	case actRefused:
		m.observeRefusal(st)
	}
}

// fold takes back a refusal that success followed at once.
func (m *overuse) fold(st *step, id uint64) {
	for i := range m.denied {
		d := &m.denied[i]
		if d.Device != id || d.Last > st.at || st.at-d.Last > micros(foldWithin) {
			continue
		}
		m.countRefusal(st, d.Last, -1)
		if d.Refusals--; d.Refusals <= 0 {
			m.denied = slices.Delete(m.denied, i, i+1)
		}
		return
	}
}

func (m *overuse) observeRefusal(st *step) {
	if st.id == 0 || st.waits() {
		return
	}
	if d := st.device(st.id); d != nil && d.Last >= st.at && d.Last-st.at <= micros(foldWithin) {
		return // the success that folds it arrived first
	}
	m.denied = slices.DeleteFunc(m.denied, func(d denied) bool { return d.Last < st.clock-micros(week) })
	d := m.deny(st)
	again := st.at - d.Last
	if d.Refusals > 0 && max(again, -again) <= micros(foldWithin) {
		d.Last = max(d.Last, st.at)
		return // a retry, not another refusal
	}
	d.Refusals++
	d.First, d.Last = min(d.First, st.at), max(d.Last, st.at)
	m.countRefusal(st, st.at, 1)
	st.note(overuseRefused, week)
	m.judge(st)
}

// deny finds or adds a refused device, dropping the one silent for longest from a full list.
func (m *overuse) deny(st *step) *denied {
	who := st.who(st.id)
	for i := range m.denied {
		if d := &m.denied[i]; d.Who == who {
			d.Device = st.id
			return d
		}
	}
	if len(m.denied) == maxDenied {
		m.denied = dropOldest(m.denied, func(d *denied) int64 { return d.Last })
	}
	m.denied = append(m.denied, denied{Who: who, Device: st.id, Block: st.place.Block, First: st.at, Last: st.at,
		Hosting: st.place.Kind == kindHosting})
	return &m.denied[len(m.denied)-1]
}

func (m *overuse) countRefusal(st *step, at, n int64) {
	m.refusals = addDay(m.refusals, dayOf(st.clock), dayOf(at), n)
}

// weekOfRefusals is what the refusals of 7 days look like.
type weekOfRefusals struct {
	weight          float64 // devices, those on hosting networks half
	blocks          []uint64
	days, hammering int
	devices, total  int
}

func (m *overuse) week(st *step) weekOfRefusals {
	var r weekOfRefusals
	r.devices = len(m.denied)
	for _, d := range m.denied {
		r.weight++
		if d.Hosting {
			r.weight -= 0.5
		}
		if d.Block != 0 {
			r.blocks = addDistinct(r.blocks, d.Block)
		}
	}
	for _, c := range m.refusals {
		r.total += int(c.N)
		if c.N > 0 {
			r.days++
		}
		if st.reaches(int(c.N), retriesPerDay) {
			r.hammering++
		}
	}
	return r
}

// waits says whether a device with a seat waits for a lease: those that take turns are the license's own.
func (st *step) waits() bool {
	d := st.device(st.id)
	return st.o.ErrorCode == codeLeaseLimitExceeded && d != nil && d.Since > d.Left
}

func (m *overuse) judge(st *step) {
	r := m.week(st)
	usual := max(overuseLeast, overusePerSeat*float64(st.seats), waitingPerSlot*float64(st.slots))
	allowed := math.Floor(st.limit(usual))
	if r.devices < 2 {
		return
	}
	spread := r.days >= overuseDays
	burst := r.weight > overuseBurst*allowed
	wide := len(r.blocks) >= farApart
	score := excess(scoreExcess, r.weight, allowed)
	switch {
	case r.weight > allowed && (spread || burst && wide):
		if wide {
			score += scoreWorse
		}
	case burst:
		score = min(score, scoreLow)
	case r.hammering >= retryDays && st.slots == 0: // who waits for a lease asks again and again
		score = scoreHammering
	default:
		return
	}
	if st.turnover(st.at-micros(week), st.at).ci() {
		return // build jobs queue for seats
	}
	st.raise(score, func(f *Finding) { r.describe(f, st, allowed) })
}

func (r weekOfRefusals) describe(f *Finding, st *step, allowed float64) {
	f.Observed = fmt.Sprintf("%s refused in 7 days", count(r.devices, "device"))
	f.Reason = fmt.Sprintf("%s found no free seat or slot in 7 days on a license with %s: %s on %s, from %s.",
		count(r.devices, "device"), count(int(st.seats), "seat"), count(r.total, "refusal"), count(r.days, "day"),
		count(len(r.blocks), "network"))
	f.Expected = Expected{High: allowed}
	f.Considered = []string{
		"retries: a refusal followed by success within a minute, and repeated attempts within a minute, " +
			"were not counted",
		"a growing team: the limit was not raised while the refusals went on",
		"one colleague trying: more than one device was refused",
	}
	if len(r.blocks) < farApart {
		f.Considered = append(f.Considered,
			"a team larger than its seats: likely, all came from "+count(len(r.blocks), "network"))
	}
	f.Suggestion = "Ask the customer whether more seats are needed. " +
		"If the devices are not theirs, the key has spread: issue a new one."
}
