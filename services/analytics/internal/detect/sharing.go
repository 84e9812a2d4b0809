package detect

import (
	"fmt"
	"slices"
	"time"
)

// AccountSharing is one license, or one installation, that several people use at once.
const AccountSharing Kind = "account_sharing"

var sharingDetector = detector{
	kind: AccountSharing, version: 3, weight: 0.75,
	finds: "more devices run at once than there are seats and slots, on several networks; one hardware id runs " +
		"on several networks at once, or is used on ten or more a day, be it by leases, license files or " +
		"offline tokens alone; a seat is handed round",
	spares: "travel, a change of provider, fail-over, IPv4 beside IPv6, a mobile carrier's pool, one network " +
		"after another with a stay on each, one client whose uplinks are picked by chance",
	words: []string{
		sharingOverSeats: "one device more was running than there are seats",
		sharingFar:       "one device was used in two distant places within the hour",
		sharingSession:   "one device ran two sessions on two networks at once",
		sharingBeat:      "one device kept two rhythms on two networks at once",
		sharingFlap:      "one device alternated between two networks",
		sharingHanded:    "the seat came back to a device after others elsewhere had it",
		sharingSpread:    "one device was used on one network more that day",
	},
	remember: func() memory { return &sharing{} },
}

// What sharing keeps as evidence; the second to fifth are proofs that one device runs on two networks.
const (
	sharingOverSeats = iota
	sharingFar
	sharingSession
	sharingBeat
	sharingFlap
	sharingHanded
	sharingSpread
)

// Thresholds; those of networks a day are in sharing_spread.go, those of rhythms in sharing_runner.go. Each is also in
// the words of finds: change both, then "make gen". (s): divided by the sensitivity (engine.go), which only
// POST .../detect can set.
const (
	// quartersOverSeats (s) is the number of quarter hours within a day with more devices running than seats.
	quartersOverSeats = 4
	// overlapsPerDay (s) is the number of proofs within a day that one device runs on two networks at once.
	overlapsPerDay = 4
	// flapsPerHour is the number of alternations in one hour beyond which each further one counts as a proof, though
	// a weak one: a client on two uplinks that sends a heartbeat every 5 minutes cannot alternate more than 12 times.
	flapsPerHour = 20
	// returnWithin bounds an alternation; nobody commutes there and back in it.
	returnWithin = time.Hour
	// flightWithin bounds an alternation between four networks or more that is quicker than flightSpeed (km/h).
	flightWithin = 4 * time.Hour
	flightSpeed  = 1000
	// farKm is the distance beyond which an alternation within returnWithin is no journey.
	farKm = 300
	// handRounds (s), handNetworks and handDays: a seat that passes between more devices than seats, each returning,
	// on at least so many networks so many times a day, on so many days of 7, is handed round.
	handRounds, handNetworks, handDays = 3, 3, 2
	maxMarks                           = 32
	// quarterHour is in microseconds.
	quarterHour = microsPerDay / 96
)

// Scores: how sure each way of sharing is at its threshold, how much what goes beyond adds, and the most.
const (
	// scoreOverSeats is raised by scorePerSeat for as many devices more as there are seats.
	scoreOverSeats, scorePerSeat, mostOverSeats = 0.55, 0.3, 0.9
	// Two places that no journey joins are the surest proof of a copy; alternation alone may be two uplinks.
	scoreFar, scoreSession, scoreBeat, scoreFlap, scorePerOverlap = 0.7, 0.65, 0.5, 0.42, 0.01
	scoreHanded, scorePerHandNetwork, mostHanded                  = 0.5, 0.05, 0.8
)

// sharing finds account_sharing in four ways: more devices running at once than seats, on several networks; one
// hardware id that runs on several networks at once, or is used on many in a day; a seat that is handed round. Moving
// from A to B, however often, is none of these. Exits of hosting and VPN networks are left out. Left alone: travelers,
// commuters, changes of provider, IPv4 beside IPv6, mobile carriers, fail-over, one network after another with a stay
// on each, one client on uplinks picked by chance.
type sharing struct {
	trail
	runners   []runner
	overSeats []int64    // quarter hours with more devices running than seats
	overlaps  []overlap  // proofs that one device runs on two networks
	rounds    []dayCount // times a day that a seat came back to a device after others elsewhere had it
}

// overlap is one proof; What is its number among the words.
type overlap struct {
	At   int64
	What uint64
}

func (m *sharing) walk(c *codec) {
	list(c, &m.runners, maxDevices, (*codec).runner)
	list(c, &m.overSeats, maxMarks, (*codec).time)
	list(c, &m.overlaps, maxMarks, (*codec).overlap)
	list(c, &m.rounds, dayCounters, (*codec).dayCount)
}

func (c *codec) overlap(o *overlap) {
	c.time(&o.At)
	c.uint(&o.What)
	if o.What >= uint64(len(sharingDetector.words)) {
		c.fail("overlap")
	}
}

func (m *sharing) observe(st *step) {
	if !st.place.people() {
		return
	}
	if st.located() {
		m.spreads(st)
	}
	if st.late {
		return
	}
	if st.arrived && !st.rebound() { // one device under another id has not passed its seat on
		m.handedBack(st)
	}
	if st.admitted() {
		m.together(st)
		m.alternates(st)
	}
}

// together looks for more devices running than seats, an hour ago (liveFor): what happened then has all arrived, in
// whatever order.
func (m *sharing) together(st *step) {
	if st.seats <= 0 || st.seats >= maxDevices {
		return // without a limit, or more than the table can hold
	}
	then := st.at - micros(liveFor)
	running := 0
	var blocks []uint64
	for i := range st.devices {
		d := &st.devices[i]
		if d.Run > then || d.Last < then || d.Block == 0 {
			continue
		}
		running++
		if len(blocks) < 2 {
			blocks = addDistinct(blocks, d.Block)
		}
	}
	if int64(running) <= st.seats || len(blocks) < 2 {
		return
	}
	quarter := then - then%quarterHour
	m.overSeats = slices.DeleteFunc(m.overSeats, func(t int64) bool { return t < then-microsPerDay })
	if !slices.Contains(m.overSeats, quarter) {
		m.overSeats = push(m.overSeats, quarter, maxMarks)
		st.note(sharingOverSeats, week)
	}
	if !st.reaches(len(m.overSeats), quartersOverSeats) {
		return
	}
	score := scoreOverSeats + scorePerSeat*float64(int64(running)-st.seats)/float64(st.seats)
	m.raise(st, min(score, mostOverSeats), func(f *Finding) { m.describeTogether(f, st, running) })
}

// alternates looks for A-B-A within the hour by one device, and for proof that A never paused while B was in use.
func (m *sharing) alternates(st *step) {
	r := m.runner(st)
	if r == nil {
		return
	}
	session := digest(st.o.SessionID)
	r.roam(st, session)
	if a := r.stream(st.place.Block, st.at); a != nil {
		if len(r.Streams) > 1 && a.Last != 0 && st.at-a.Last <= micros(flightWithin) {
			if what, ok := st.proof(r, a, session); ok {
				m.overlapped(st, what)
			}
		}
		a.tick(st.at)
		a.Session = session
	}
}

// raise tells a finding, which stays as strong as it was: the ways of sharing take turns.
func (m *sharing) raise(st *step, score float64, describe func(f *Finding)) {
	if m.Detected != 0 {
		score = max(score, float64(m.Score)/100)
	}
	st.raise(score, describe)
}

// overlapScore is how much each proof is worth.
func overlapScore(what uint64) float64 {
	switch what {
	case sharingFar:
		return scoreFar
	case sharingSession:
		return scoreSession
	case sharingBeat:
		return scoreBeat
	}
	return scoreFlap
}

func (m *sharing) overlapped(st *step, what uint64) {
	m.overlaps = slices.DeleteFunc(m.overlaps, func(o overlap) bool { return o.At < st.at-microsPerDay })
	m.overlaps = push(m.overlaps, overlap{st.at, what}, maxMarks)
	st.note(what, week)
	if !st.reaches(len(m.overlaps), overlapsPerDay) {
		return
	}
	best := what
	for _, o := range m.overlaps {
		if overlapScore(o.What) > overlapScore(best) {
			best = o.What
		}
	}
	allowed := st.under(overlapsPerDay)
	score := overlapScore(best) + scorePerOverlap*(float64(len(m.overlaps))-allowed-1)
	m.raise(st, score, func(f *Finding) { m.describeOverlap(f, best, allowed) })
}

// handedBack counts a seat that comes back to a device after another one elsewhere had it, and judges the week.
func (m *sharing) handedBack(st *step) {
	known := st.before
	if known.Left == 0 || st.at-known.Left > microsPerDay || st.leftIdle(known.ID) && !st.crowded() {
		return
	}
	others := func(a arrival) bool { return a.At >= known.Left && a.Device != known.ID && st.elsewhere(a.Block) }
	if !slices.ContainsFunc(st.arrivals, others) {
		return
	}
	m.rounds = addDay(m.rounds, dayOf(st.clock), dayOf(st.at), 1)
	st.note(sharingHanded, week)
	days, devices, blocks := 0, []uint64{known.ID}, []uint64{st.place.Block}
	for _, c := range m.rounds {
		if st.reaches(int(c.N), handRounds) {
			days++
		}
	}
	for _, a := range st.arrivals {
		if a.At >= st.at-microsPerDay && st.elsewhere(a.Block) {
			devices, blocks = addDistinct(devices, a.Device), addDistinct(blocks, a.Block)
		}
	}
	if days < handDays || len(blocks) < handNetworks || len(devices) <= int(st.seats) {
		return
	}
	score := min(scoreHanded+scorePerHandNetwork*float64(len(blocks)-handNetworks), mostHanded)
	m.raise(st, score, func(f *Finding) { describeHanded(f, st, len(devices), len(blocks)) })
}

// leftIdle says whether a device lost its seat for idleness when it had one last: the license lets its seats move.
func (st *step) leftIdle(device uint64) bool {
	for i := len(st.arrivals) - 1; i >= 0; i-- {
		if a := &st.arrivals[i]; a.Device == device && a.Left != 0 {
			return a.Flags&leftIdle != 0
		}
	}
	return false
}

// elsewhere says whether a block is known, one of people, and apart from where the observation came from.
func (st *step) elsewhere(block uint64) bool {
	v := st.networkOf(block)
	return v != nil && v.people() && !v.near(st.place)
}

func (m *sharing) describeTogether(f *Finding, st *step, running int) {
	f.Observed = fmt.Sprintf("%s running at once", count(running, "device"))
	f.Reason = fmt.Sprintf("%s ran at once on a license with %s, in %s of the last day, from more than one network.",
		count(running, "device"), count(int(st.seats), "seat"), count(len(m.overSeats), "quarter hour"))
	f.Expected = Expected{Value: float64(st.seats), High: float64(st.seats)}
	f.Considered = []string{
		"a lowered limit: the larger one of the last 30 days was allowed",
		"a seat handed over: only devices that went on running side by side were counted",
	}
	f.Suggestion = "Sign the devices out and have the customer activate again; " +
		"offer more seats if all devices are theirs."
}

func (m *sharing) describeOverlap(f *Finding, best uint64, allowed float64) {
	n := len(m.overlaps)
	f.Observed = fmt.Sprintf("%s in 24 hours", count(n, "overlap"))
	f.Reason = fmt.Sprintf("The same hardware id was in use on two networks at once: %d proofs in 24 hours, the "+
		"strongest that %s.",
		n, sharingDetector.words[best])
	f.Expected = Expected{High: allowed}
	f.Considered = []string{
		"travel or a change of provider: the earlier network came back within the hour, again and again",
		"two uplinks, fail-over or VPN: each network kept a rhythm of its own, or no session was seen on both; " +
			"exits known as VPN or hosting were left out",
		"IPv4 beside IPv6, a mobile carrier's pool: addresses of two families, of one vicinity and of one carrier " +
			"were taken as one",
	}
	if best == sharingFlap {
		f.Considered = append(f.Considered, "one client on two uplinks: cannot be excluded without session ids")
	}
	f.Suggestion = "Deactivate the device and ask the customer to activate again: a copied installation will then show."
}

func describeHanded(f *Finding, st *step, devices, networks int) {
	f.Observed = fmt.Sprintf("%s in turn in 24 hours", count(devices, "device"))
	f.Reason = fmt.Sprintf("%s with %s went back and forth between %s on %s within 24 hours, on more than one day.",
		"A license", count(int(st.seats), "seat"), count(devices, "device"), count(networks, "network"))
	f.Expected = Expected{Value: float64(st.seats), High: float64(st.seats + 1)}
	f.Considered = []string{
		fmt.Sprintf("one person with two computers: there were at least %s a day", count(handNetworks, "network")),
		"build jobs: the devices come back",
	}
	f.Suggestion = "Offer seats for each person, or a floating license."
}
