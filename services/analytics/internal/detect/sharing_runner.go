package detect

import (
	"slices"
	"time"
)

const (
	// beatsForRhythm is how many events in a row must keep a network's interval within a fifth before it counts as a
	// rhythm. A client that picks one of two uplinks at random keeps a rhythm that long about once in a thousand
	// tries.
	beatsForRhythm = 5
	// maxStreams caps the networks of one device. Those in use stay, so that a copy on a further one does not push
	// out those that would prove it.
	maxStreams = 8
	// allStreams caps those of all devices of a license.
	allStreams = 192
	// manyNetworks is how many a device must use within the hour so that one client which takes turns between its
	// uplinks explains nothing.
	manyNetworks = 4
)

// runner is what sharing knows of one device: when and through which networks it runs.
type runner struct {
	Device uint64
	// Roams is when one session of it was last seen on two networks.
	Roams int64
	// FlapHour numbers the hour in which Flaps alternations between networks were seen.
	FlapHour, Flaps int64
	// All is the rhythm of its events on whatever network.
	All     rhythm
	Streams []stream
	// Networks are those of the day Day that it did not stay on, by vicinity. Here is the one it is on, Left the one
	// before; Came is since when it is there, 0 where it was among them before, or has stayed.
	Day, Came  int64
	Networks   []uint64
	Here, Left uint64
	// Spread has a bit for each of the 7 days to Day, which is the lowest, on which they were networksPerDay and more.
	Spread uint64
}

// stream is a device's use through one network.
type stream struct {
	Block, Session uint64
	rhythm
}

// rhythm is when something happened last, the interval between its events (microseconds), and how many in a row kept
// to it.
type rhythm struct{ Last, Every, Beats int64 }

func (c *codec) runner(r *runner) {
	c.hash(&r.Device)
	c.time(&r.Roams)
	c.int(&r.FlapHour)
	c.int(&r.Flaps)
	c.rhythm(&r.All)
	list(c, &r.Streams, maxStreams, (*codec).stream)
	c.int(&r.Day)
	c.time(&r.Came)
	c.hash(&r.Here)
	c.hash(&r.Left)
	list(c, &r.Networks, maxSpread, (*codec).hash)
	c.uint(&r.Spread)
}

func (c *codec) stream(s *stream) {
	c.hash(&s.Block)
	c.hash(&s.Session)
	c.rhythm(&s.rhythm)
}

func (c *codec) rhythm(r *rhythm) {
	c.time(&r.Last)
	c.int(&r.Every)
	c.int(&r.Beats)
}

// tick learns the interval.
func (r *rhythm) tick(at int64) {
	if r.Last != 0 {
		gap := at - r.Last
		if r.Every > 0 && r.within(gap) {
			r.Beats = min(r.Beats+1, beatsForRhythm)
		} else {
			r.Every, r.Beats = gap, 0
		}
	}
	r.Last = at
}

// within says whether a gap is as long as the interval, to a fifth.
func (r *rhythm) within(gap int64) bool {
	off := gap - r.Every
	return max(off, -off) <= r.Every/5
}

func (r *rhythm) steady() bool { return r.Beats >= beatsForRhythm }

// runner finds or adds the device of the observation, nil when there is no room for it. Full tables forget what proves
// nothing any more, then keep the devices of the lowest digests: a sample that stays, where those used last would drive
// each other out in turn with all they have shown. Pointers got before are void afterwards.
func (m *sharing) runner(st *step) *runner {
	own := func(r runner) bool { return r.Device == st.id }
	if !slices.ContainsFunc(m.runners, own) {
		m.runners = append(m.runners, runner{Device: st.id})
	}
	if m.full() {
		m.forget(st)
	}
	for m.full() {
		m.runners = dropOldest(m.runners, func(r *runner) uint64 { return ^r.Device })
	}
	if i := slices.IndexFunc(m.runners, own); i >= 0 {
		return &m.runners[i]
	}
	return nil
}

// full says whether the tables have no room for one network more.
func (m *sharing) full() bool {
	streams, networks := 0, 0
	for i := range m.runners {
		streams += len(m.runners[i].Streams)
		networks += len(m.runners[i].Networks)
	}
	return len(m.runners) > maxDevices || streams >= allStreams || networks >= allSpread
}

// forget drops networks out of use and devices silent for a week.
func (m *sharing) forget(st *step) {
	m.runners = slices.DeleteFunc(m.runners, func(r runner) bool {
		return r.Device != st.id && r.All.Last < st.clock-micros(week)
	})
	for i := range m.runners {
		r := &m.runners[i]
		r.Streams = slices.DeleteFunc(r.Streams, func(s stream) bool { return s.Last < st.clock-micros(flightWithin) })
		if r.Day < dayOf(st.clock) {
			r.Networks = nil
		}
	}
}

// roam notes a session that is seen on another network than before: the computer moves, or has two uplinks. Or a
// client sends the same session id everywhere; then only rhythms tell.
func (r *runner) roam(st *step, session uint64) {
	for _, b := range r.Streams {
		if session != 0 && b.Session == session && b.Block != st.place.Block {
			r.Roams = st.at
		}
	}
}

// stream finds or adds the stream of a network, in place of one that is out of use. It is nil when there is no room.
func (r *runner) stream(block uint64, at int64) *stream {
	oldest := 0
	for i := range r.Streams {
		if r.Streams[i].Block == block {
			return &r.Streams[i]
		}
		if r.Streams[i].Last < r.Streams[oldest].Last {
			oldest = i
		}
	}
	if len(r.Streams) < maxStreams {
		r.Streams = append(r.Streams, stream{Block: block})
		return &r.Streams[len(r.Streams)-1]
	}
	if at-r.Streams[oldest].Last <= micros(returnWithin) {
		return nil
	}
	r.Streams[oldest] = stream{Block: block}
	return &r.Streams[oldest]
}

// inUse counts the networks in use since so long ago.
func (r *runner) inUse(at int64, since time.Duration) (n int) {
	for i := range r.Streams {
		if at-r.Streams[i].Last <= micros(since) {
			n++
		}
	}
	return n
}

// proof says whether coming back to network a shows that the device ran on another one at the same time, and by what.
func (st *step) proof(r *runner, a *stream, session uint64) (uint64, bool) {
	others := slices.DeleteFunc(slices.Clone(r.Streams), func(b stream) bool {
		return b.Block == a.Block || b.Last <= a.Last || st.maybeNear(b.Block)
	})
	if len(others) == 0 {
		return 0, false
	}
	back := st.at - a.Last
	if back > micros(returnWithin) {
		fast := func(b stream) bool { return st.distant(b.Block, back) }
		return sharingFar, r.inUse(st.at, flightWithin) >= manyNetworks && slices.ContainsFunc(others, fast)
	}
	networks := r.inUse(st.at, returnWithin)
	far := slices.ContainsFunc(others, func(b stream) bool { return st.distant(b.Block, 0) })
	own := slices.ContainsFunc(others, func(b stream) bool { return ownRhythms(a, &b, st.at, networks) })
	roams := r.Roams != 0 && st.at-r.Roams < micros(week)
	flaps := int64(0)
	if !r.All.steady() || a.steady() { // else one client whose uplinks are picked at random
		flaps = r.flap(st.at)
	}
	switch {
	case roams && !own && (networks <= 2 || networks < manyNetworks && !far):
		return 0, false
	case far:
		return sharingFar, true
	case slices.ContainsFunc(others, func(b stream) bool {
		return session != 0 && a.Session == session && b.Session != 0 && b.Session != session
	}):
		return sharingSession, true
	case own:
		return sharingBeat, true
	}
	// More networks without rhythm may be a carrier that gives each call another one; spreads counts them.
	return sharingFlap, networks < manyNetworks && flaps > flapsPerHour
}

// maybeNear says whether one client may own the observation's network and another one. Of one that the history has
// forgotten the addresses tell, unless a geo database knows more than they.
func (st *step) maybeNear(block uint64) bool {
	if v := st.networkOf(block); v != nil {
		return v.near(st.place)
	}
	return st.place.known() || place{Block: block}.near(st.place)
}

// distant says whether no journey leads from a network to the observation's within the hour, and none there and back
// within so many microseconds.
func (st *step) distant(block uint64, back int64) bool {
	v := st.networkOf(block)
	if v == nil {
		return false
	}
	reach := flightSpeed * float64(back) / float64(micros(2*time.Hour))
	return st.place.km(v.place) > max(farKm, reach) && st.place.Kind != kindMobile && v.Kind != kindMobile
}

// ownRhythms says whether both networks keep their own beat while they interleave. Few that interleave evenly may be
// one client that takes turns between its uplinks.
func ownRhythms(a, b *stream, now int64, networks int) bool {
	gap := now - a.Last
	if !a.steady() || !b.steady() || !a.within(gap) {
		return false
	}
	switch percent := 100 * (now - b.Last) / max(gap, 1); {
	case networks >= manyNetworks:
		return true
	case networks == 2:
		return percent < 40 || percent >= 60
	default: // a third, half or two thirds of the way
		return percent < 23 || percent >= 77
	}
}

// flap counts an alternation and returns how many this hour has had.
func (r *runner) flap(at int64) int64 {
	hour := at / (microsPerDay / 24)
	if r.FlapHour != hour {
		r.FlapHour, r.Flaps = hour, 0
	}
	r.Flaps++
	return r.Flaps
}
