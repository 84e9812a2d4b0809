package detect

import (
	"fmt"
	"slices"
)

// beatsForRhythm is how many events in a row must keep a network's interval within a fifth before it counts as a rhythm. A client that picks one of
// two uplinks at random keeps a rhythm that long about once in a thousand tries.
const beatsForRhythm = 5

// sharing finds account_sharing in three ways: more devices running at once than seats, on several networks; one hardware id that runs on two
// networks at once; a seat that is handed round (handedBack, called on arrivals). Moving from A to B, however often, is none of these. Exits of hosting and
// VPN networks are left out. Left alone: travellers, commuters, changes of provider, IPv4 beside IPv6, mobile carriers, fail-over.
func (st *step) sharing() {
	if st.late || st.id == 0 || !st.place.people() || st.action != actUse && st.action != actArrive {
		return
	}
	st.together()
	st.alternates()
}

// together looks for more devices running than seats, an hour ago (LiveFor): what happened then has all arrived, in whatever order.
func (st *step) together() {
	s, set := st.s, st.settings.Sharing
	if s.seats <= 0 || s.seats >= maxDevices {
		return // without a limit, or more than the table can hold
	}
	then := st.at - micros(set.LiveFor)
	running := 0
	var blocks []uint64
	for i := range s.devices {
		d := &s.devices[i]
		if d.Run > then || d.Last < then {
			continue
		}
		if b := d.latest(); b != nil {
			running++
			if len(blocks) < 2 {
				blocks = addDistinct(blocks, b.Block)
			}
		}
	}
	if int64(running) <= s.seats || len(blocks) < 2 {
		return
	}
	quarter := then - then%(microsPerDay/96)
	s.overSeats = slices.DeleteFunc(s.overSeats, func(t int64) bool { return t < then-microsPerDay })
	if !slices.Contains(s.overSeats, quarter) {
		s.overSeats = push(s.overSeats, quarter, maxMarks)
		st.note(trailSharing, whatOverSeats, week)
	}
	if !st.reaches(len(s.overSeats), set.OverSeats) {
		return
	}
	score := 0.55 + 0.3*float64(int64(running)-s.seats)/float64(s.seats)
	st.raise(trailSharing, min(score, 0.9), func(f *Finding) { st.describeTogether(f, running) })
}

// latest is the network a device used last.
func (d *device) latest() *stream {
	var best *stream
	for i := range d.Streams {
		if b := &d.Streams[i]; b.Block != 0 && (best == nil || b.Last > best.Last) {
			best = b
		}
	}
	return best
}

// alternates looks for A-B-A within the hour by one device, and for proof that A never paused while B was in use.
func (st *step) alternates() {
	d := st.s.admit(st.id, st.at)
	session := digest(st.o.SessionID)
	for i := range d.Streams {
		if b := &d.Streams[i]; session != 0 && b.Session == session && b.Block != st.place.Block {
			d.Roams = st.at // one running program on two networks: the computer moves, or has two uplinks
		}
	}
	a := d.stream(st.place.Block)
	if a.Last != 0 {
		if what, ok := st.proof(d, a, session); ok {
			st.overlapped(what)
		}
		a.beat(st.at - a.Last)
	}
	a.Session, a.Last = session, st.at
}

// stream finds or adds the stream of a network, in place of the one silent for longest.
func (d *device) stream(block uint64) *stream {
	oldest := &d.Streams[0]
	for i := range d.Streams {
		b := &d.Streams[i]
		if b.Block == block {
			return b
		}
		if b.Last < oldest.Last {
			oldest = b
		}
	}
	*oldest = stream{Block: block}
	return oldest
}

// beat learns the interval of a stream.
func (b *stream) beat(gap int64) {
	if off := gap - b.Every; b.Every > 0 && max(off, -off) <= b.Every/5 {
		b.Beats = min(b.Beats+1, beatsForRhythm)
		return
	}
	b.Every, b.Beats = gap, 0
}

// proof says whether coming back to network a shows that the device ran on another one at the same time, and by what.
func (st *step) proof(d *device, a *stream, session uint64) (uint64, bool) {
	set := st.settings.Sharing
	gap := st.at - a.Last
	if gap > micros(set.ReturnWithin) || d.Roams != 0 && st.at-d.Roams < micros(week) {
		return 0, false
	}
	for i := range d.Streams {
		b := &d.Streams[i]
		if b.Block == a.Block || b.Block == 0 || b.Last <= a.Last {
			continue
		}
		other := st.s.place(b.Block)
		if other == nil || other.near(st.place) {
			continue
		}
		switch {
		case st.place.km(other.place) > set.FarKm && st.place.Kind != kindMobile && other.Kind != kindMobile:
			return whatOverlapFar, true
		case session != 0 && a.Session == session && b.Session != 0:
			return whatOverlapSession, true
		case rhythms(a, b, gap, st.at):
			return whatOverlapBeat, true
		case d.flaps(st.at) > int64(set.Flapping):
			return whatOverlapFlap, true
		}
	}
	return 0, false
}

// rhythms says whether both networks keep their own beat while they interleave. Two that interleave evenly may be one client taking turns between uplinks.
func rhythms(a, b *stream, gap, now int64) bool {
	if a.Beats < beatsForRhythm || b.Beats < beatsForRhythm {
		return false
	}
	off := gap - a.Every
	phase := 10 * (now - b.Last) / max(gap, 1)
	return max(off, -off) <= a.Every/5 && (phase < 4 || phase >= 6)
}

// flaps counts an alternation and returns how many this hour has had.
func (d *device) flaps(at int64) int64 {
	hour := at / (microsPerDay / 24)
	if d.FlapHour != hour {
		d.FlapHour, d.Flaps = hour, 0
	}
	d.Flaps++
	return d.Flaps
}

// overlapScore is how much each proof is worth.
func overlapScore(what uint64) float64 {
	switch what {
	case whatOverlapFar:
		return 0.7
	case whatOverlapSession:
		return 0.65
	case whatOverlapBeat:
		return 0.5
	}
	return 0.42
}

func (st *step) overlapped(what uint64) {
	s := st.s
	s.overlaps = slices.DeleteFunc(s.overlaps, func(o overlap) bool { return o.At < st.at-microsPerDay })
	s.overlaps = push(s.overlaps, overlap{st.at, what}, maxMarks)
	st.note(trailSharing, what, week)
	if !st.reaches(len(s.overlaps), st.settings.Sharing.Overlaps) {
		return
	}
	best := what
	for _, o := range s.overlaps {
		if overlapScore(o.What) > overlapScore(best) {
			best = o.What
		}
	}
	score := overlapScore(best) + 0.01*float64(len(s.overlaps)-st.settings.Sharing.Overlaps)
	st.raise(trailSharing, score, func(f *Finding) { st.describeOverlap(f, best) })
}

// handedBack counts a seat that comes back to a device after another one elsewhere had it, and judges the week.
func (st *step) handedBack(known *device) {
	s, set := st.s, st.settings.Sharing
	if st.late || known == nil || known.Left == 0 || st.at-known.Left > microsPerDay || !st.place.people() {
		return
	}
	if !slices.ContainsFunc(s.arrivals, func(a arrival) bool { return a.At >= known.Left && a.Device != known.ID && st.elsewhere(a.Block) }) {
		return
	}
	today := dayOf(s.clock)
	s.rounds = addDay(s.rounds, today, dayOf(st.at), 1)
	st.note(trailSharing, whatHandedBack, week)
	days, devices, blocks := 0, []uint64{known.ID}, []uint64{st.place.Block}
	for _, c := range s.rounds {
		if st.reaches(int(c.N), set.HandRounds) {
			days++
		}
	}
	for _, a := range s.arrivals {
		if a.At >= st.at-microsPerDay && st.elsewhere(a.Block) {
			devices, blocks = addDistinct(devices, a.Device), addDistinct(blocks, a.Block)
		}
	}
	if days < set.HandDays || len(blocks) < set.HandNetworks || len(devices) <= int(s.seats) {
		return
	}
	score := min(0.5+0.05*float64(len(blocks)-set.HandNetworks), 0.8)
	st.raise(trailSharing, score, func(f *Finding) { st.describeHanded(f, len(devices), len(blocks)) })
}

// elsewhere says whether a block is known, one of people, and apart from where the observation came from.
func (st *step) elsewhere(block uint64) bool {
	v := st.s.place(block)
	return v != nil && v.people() && !v.near(st.place)
}

func (st *step) describeTogether(f *Finding, running int) {
	f.Observed = fmt.Sprintf("%s running at once", count(running, "device"))
	f.Reason = fmt.Sprintf("%s ran at once on a license with %s, in %s of the last day, from more than one network.",
		count(running, "device"), count(int(st.s.seats), "seat"), count(len(st.s.overSeats), "quarter hour"))
	f.Expected = Expected{Value: float64(st.s.seats), High: float64(st.s.seats)}
	f.Considered = []string{
		"a lowered limit: the larger one of the last 30 days was allowed",
		"a seat handed over: only devices that went on running side by side were counted",
	}
	f.Suggestion = "Sign the devices out and have the customer activate again; offer more seats if all devices are theirs."
}

func (st *step) describeOverlap(f *Finding, best uint64) {
	n := len(st.s.overlaps)
	f.Observed = fmt.Sprintf("%s in 24 hours", count(n, "overlap"))
	f.Reason = fmt.Sprintf("The same hardware id was in use on two networks at once: %d proofs in 24 hours, the strongest that %s.", n, whats[best])
	f.Expected = Expected{High: float64(st.settings.Sharing.Overlaps - 1)}
	f.Considered = []string{
		"travel or a change of provider: the earlier network came back within the hour, again and again",
		"two uplinks, fail-over or VPN: no session was seen on both networks, and exits known as VPN or hosting were left out",
		"IPv4 beside IPv6, a mobile carrier's pool: addresses of two families, of one vicinity and of one carrier were taken as one",
	}
	if best == whatOverlapFlap {
		f.Considered = append(f.Considered, "one client on two uplinks: cannot be excluded without session ids")
	}
	f.Suggestion = "Deactivate the device and ask the customer to activate again: a copied installation will then show."
}

func (st *step) describeHanded(f *Finding, devices, networks int) {
	f.Observed = fmt.Sprintf("%s in turn in 24 hours", count(devices, "device"))
	f.Reason = fmt.Sprintf("%s with %s went back and forth between %s on %s within 24 hours, on more than one day.",
		"A license", count(int(st.s.seats), "seat"), count(devices, "device"), count(networks, "network"))
	f.Expected = Expected{Value: float64(st.s.seats), High: float64(st.s.seats + 1)}
	f.Considered = []string{
		"one person with two computers: there were at least 3 networks a day",
		"build jobs: the devices come back",
	}
	f.Suggestion = "Offer seats for each person, or a floating license."
}
