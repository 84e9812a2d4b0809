package detect

import (
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// jobLifetime is how long a build job keeps its seat at most; shorter stays that end cleanly and never return look
// like CI.
const jobLifetime = 6 * time.Hour

// reboundNetworks (s) is on how many networks a device must be recognized under another hardware id in a day to be more
// than one computer: a laptop has home, office, a phone, a VPN, and may have an id for each. Where no network is known,
// ids count.
const reboundNetworks = 5

// turnsPerSeat (s) is how many devices a day may take turns on a seat that is freed for idleness: the license is sold
// for that, but with more of them each has it for less than an hour of a working day.
const turnsPerSeat = 10

// turnover is what a license's arrivals of one window look like.
type turnover struct {
	who, blocks        []uint64
	regions            int // vicinities of the blocks
	days               []int64
	arrivals, replaced int
	hosting, people    int
	ended, quick       int // stays that had time to end, and those that ended cleanly within a build job's time
	returning, offline int
	idle               int // stays that ended because nobody saw the device any more
}

func (st *step) turnover(from, to int64) turnover {
	n := len(st.arrivals)
	both := make([]uint64, 2*n)
	t := turnover{who: both[:0:n], blocks: both[n:n]}
	for _, a := range st.arrivals {
		if a.At < from || a.At > to {
			continue
		}
		t.arrivals++
		t.who = append(t.who, st.computer(a))
		t.days = addDistinct(t.days, dayOf(a.At))
		if a.Block != 0 {
			t.blocks = append(t.blocks, a.Block)
		}
		t.count(a, to)
	}
	t.who, t.blocks = distinct(t.who), distinct(t.blocks)
	t.regions = regionsOf(t.blocks)
	left := 0
	for _, d := range st.departures {
		if d >= from && d <= to {
			left++
		}
	}
	t.replaced = min(len(t.who), left)
	if st.seats > 0 {
		t.replaced = max(t.replaced, len(t.who)-int(st.seats))
	}
	return t
}

// computer is who an arrival counts for: the rebinds of days on which one laptop may have made them are all of that.
func (st *step) computer(a arrival) uint64 {
	if a.Flags&arrivedRebound == 0 {
		return a.Who
	}
	var networks []uint64
	for _, b := range st.arrivals {
		if b.Flags&arrivedRebound != 0 && dayOf(b.At) == dayOf(a.At) {
			networks = addDistinct(networks, b.Who)
		}
	}
	if st.reaches(len(networks), reboundNetworks) {
		return a.Who
	}
	return digest(eventsv1.TypeDeviceRebound)
}

func (t *turnover) count(a arrival, now int64) {
	job := micros(jobLifetime)
	t.hosting += flag(a, arrivedHosting)
	t.people += flag(a, arrivedPeople)
	t.returning += flag(a, arrivedReturning)
	t.offline += flag(a, leftOffline)
	t.idle += flag(a, leftIdle)
	if a.Left == 0 && now-a.At < job {
		return
	}
	t.ended++
	if a.Left != 0 && a.Left-a.At <= job && a.Flags&leftClean != 0 {
		t.quick++
	}
}

// most and few are four fifths and one fifth.
func most(n, of int) bool { return 5*n >= 4*of }
func few(n, of int) bool  { return 5*n <= of }

func flag(a arrival, f uint64) int {
	if a.Flags&f != 0 {
		return 1
	}
	return 0
}

// jobs says whether the devices come and go like build jobs: short stays that end cleanly, never the same device
// again, no offline token taken along.
func (t turnover) jobs() bool {
	return t.offline == 0 && t.ended > 0 && most(t.quick, t.ended) &&
		few(t.returning, t.arrivals) && few(t.people, t.arrivals)
}

// apart says whether most devices came from a vicinity of their own, as people do. Build jobs on the networks of a
// cloud, each with an address of another one, come again and again from the ranges of their region.
func (t turnover) apart() bool { return t.scattered() && 2*t.regions > len(t.who) }

// freed says whether the seats moved because the license has seats freed that nobody is seen on.
func (t turnover) freed() bool { return t.ended > 0 && most(t.idle, t.ended) }

// crowded says whether more devices on networks apart took a seat within the day than a team that takes turns has.
func (st *step) crowded() bool {
	day := st.turnover(st.at-microsPerDay, st.at)
	return float64(len(day.who)) > st.limit(turnsPerSeat*float64(max(st.seats, 1))) && len(day.blocks) >= farApart
}

// scattered says whether the devices came from more networks than the build jobs of one customer do. A seat that is
// handed round the world leaves as cleanly as a build job.
func (t turnover) scattered() bool { return len(t.blocks) >= farApart && !most(t.hosting, t.arrivals) }

// ci says whether they are build jobs for sure: the network is a hosting one.
func (t turnover) ci() bool { return t.jobs() && most(t.hosting, t.arrivals) }

// regionsOf counts the vicinities of sorted blocks.
func regionsOf(blocks []uint64) (n int) {
	for i, b := range blocks {
		if i == 0 || (place{Block: b}).vicinity() != (place{Block: blocks[i-1]}).vicinity() {
			n++
		}
	}
	return n
}
