package detect

import "slices"

// Caps of the lists in a state. Full lists drop their oldest entry, which loses evidence and raises no alarm. The sum of all stays under 32 kB.
const (
	maxDevices    = 96
	maxPlaces     = 48
	maxArrivals   = 128
	maxDepartures = 128
	maxDenied     = 64
	maxMarks      = 32
	maxStreams    = 3
	maxNotes      = 5
	maxEventID    = 64
	dayCounters   = 8
	maxAttempts   = 256
	maxSlips      = 200
	maxUsers      = 128
)

// LicenseState is what the engine remembers of one license: at most 32 kB as bytes. The zero value is a license without history.
// Times in a state are microseconds since 1970, 0 meaning none; names and addresses are kept as hashes only.
type LicenseState struct {
	// clock is the latest observation's time, first the earliest's.
	clock, first int64

	// lastUse is the latest sign of use, longestGap the longest silence so far (microseconds), activeDays counts days with use.
	lastUse, longestGap, activeDays int64
	wake                            wake

	// limit is the number of seats last told, seats the largest in memory, in force until seatsAt.
	limit, seats, seatsAt int64
	limitTold             bool // limit comes from an event

	devices     []device
	devicesLost bool // a device was forgotten: nobody can be called new any more
	places      []visited
	placesLost  bool

	arrivals   []arrival
	departures []int64
	firstWeek  int64 // replacements in the license's own first week: its baseline

	denied   []denied
	refusals []dayCount

	overSeats []int64    // quarter hours with more devices running than seats
	overlaps  []overlap  // proofs that one device runs on two networks
	rounds    []dayCount // times a day that a seat came back to a device after others elsewhere had it

	trails [4]trail // in the order of licenseKinds
}

// device is one hardware id on a license.
type device struct {
	ID uint64
	// First and Last are the earliest and latest success.
	First, Last int64
	// Since is when it took its seat, Left when it gave it up.
	Since, Left int64
	// Offline is until when an offline token lets it run without the server.
	Offline int64
	// Run is since when it has been running: without a pause beyond SharingSettings.LiveFor, and on its present seat.
	Run int64
	// Roams is when one session of it was last seen on two networks.
	Roams int64
	// FlapHour numbers the hour in which Flaps alternations between networks were seen.
	FlapHour, Flaps int64
	Streams         [maxStreams]stream
}

// stream is a device's use through one network.
type stream struct {
	Block, Session uint64
	Last           int64
	// Every is the interval between its events (microseconds), Beats how many in a row kept to it.
	Every, Beats int64
}

type visited struct {
	place
	First, Last int64
}

// arrival is a device taking a seat.
type arrival struct {
	// Who is the device name and network, or the hardware id when it has no name: a reinstalled computer stays the same.
	Who, Device uint64
	At, Left    int64
	Block       uint64
	Flags       uint64
}

// Flags of an arrival.
const (
	arrivedReturning = 1 << iota
	arrivedHosting
	arrivedPeople // a geo database says that people sit there
	leftClean
	leftOffline // it left its seat with an offline token still good
)

// denied is a device that found no seat free.
type denied struct {
	Who, Device, Block  uint64
	First, Last, Starts int64 // Starts counts refusals, retries within Settings.FoldWithin taken as one
	Hosting             bool
}

type dayCount struct{ Day, N int64 }

// overlap is one proof that a device runs on two networks; What is one of whatOverlap*.
type overlap struct {
	At   int64
	What uint64
}

func (s *LicenseState) walk(c *codec) {
	c.version()
	c.int(&s.clock)
	c.clock = s.clock
	for _, t := range []*int64{&s.first, &s.lastUse, &s.seatsAt} {
		c.time(t)
	}
	for _, n := range []*int64{&s.longestGap, &s.activeDays, &s.limit, &s.seats, &s.firstWeek} {
		c.int(n)
	}
	s.wake.walk(c)
	c.bool(&s.limitTold)
	c.bool(&s.devicesLost)
	c.bool(&s.placesLost)
	list(c, &s.devices, maxDevices, (*codec).device)
	list(c, &s.places, maxPlaces, (*codec).visited)
	list(c, &s.arrivals, maxArrivals, (*codec).arrival)
	list(c, &s.departures, maxDepartures, walkTime)
	list(c, &s.denied, maxDenied, (*codec).denied)
	list(c, &s.refusals, dayCounters, (*codec).dayCount)
	list(c, &s.overSeats, maxMarks, walkTime)
	list(c, &s.overlaps, maxMarks, (*codec).overlap)
	list(c, &s.rounds, dayCounters, (*codec).dayCount)
	for i := range s.trails {
		s.trails[i].walk(c)
	}
	c.end()
}

func (c *codec) device(d *device) {
	c.hash(&d.ID)
	for _, t := range []*int64{&d.First, &d.Last, &d.Since, &d.Left, &d.Offline, &d.Roams, &d.Run} {
		c.time(t)
	}
	c.int(&d.FlapHour)
	c.int(&d.Flaps)
	n := 0
	for n < maxStreams && d.Streams[n].Block != 0 {
		n++
	}
	n = c.count(n, maxStreams)
	for i := range n {
		st := &d.Streams[i]
		c.hash(&st.Block)
		if st.Block == 0 {
			c.fail("stream")
		}
		c.hash(&st.Session)
		c.time(&st.Last)
		c.int(&st.Every)
		c.int(&st.Beats)
	}
}

func (c *codec) visited(v *visited) {
	c.hash(&v.Block)
	c.int(&v.Lat)
	c.int(&v.Lon)
	c.uint(&v.ASN)
	c.uint(&v.Country)
	c.uint(&v.Kind)
	c.time(&v.First)
	c.time(&v.Last)
}

func (c *codec) arrival(a *arrival) {
	c.hash(&a.Who)
	c.hash(&a.Device)
	c.hash(&a.Block)
	c.time(&a.At)
	c.time(&a.Left)
	c.uint(&a.Flags)
}

func (c *codec) denied(d *denied) {
	c.hash(&d.Who)
	c.hash(&d.Device)
	c.hash(&d.Block)
	c.time(&d.First)
	c.time(&d.Last)
	c.int(&d.Starts)
	c.bool(&d.Hosting)
}

func (c *codec) dayCount(d *dayCount) { c.int(&d.Day); c.int(&d.N) }

func (c *codec) overlap(o *overlap) { c.time(&o.At); c.uint(&o.What) }

// MarshalBinary encodes the state: a version byte, then the fields in order. Equal states give equal bytes; it never fails.
func (s *LicenseState) MarshalBinary() ([]byte, error) {
	c := codec{buf: make([]byte, 0, 128+128*len(s.devices)+48*len(s.arrivals))}
	s.walk(&c)
	return c.buf, c.err
}

// UnmarshalBinary replaces the state. It fails with ErrState on bytes it did not write or of another version; the caller then
// starts from the zero state, or rebuilds it from stored events.
func (s *LicenseState) UnmarshalBinary(data []byte) error {
	c, fresh := codec{buf: data, reading: true}, LicenseState{}
	fresh.walk(&c)
	if c.err == nil {
		*s = fresh
	}
	return c.err
}

// device finds a device that is known, or nil.
func (s *LicenseState) device(id uint64) *device {
	for i := range s.devices {
		if s.devices[i].ID == id {
			return &s.devices[i]
		}
	}
	return nil
}

// admit finds or adds a device; a full list forgets the one silent for longest. Pointers got before are void afterwards.
func (s *LicenseState) admit(id uint64, at int64) *device {
	if d := s.device(id); d != nil {
		return d
	}
	fresh := device{ID: id, First: at}
	if len(s.devices) < maxDevices {
		s.devices = append(s.devices, fresh)
		return &s.devices[len(s.devices)-1]
	}
	oldest := 0
	for i := range s.devices {
		if s.devices[i].Last < s.devices[oldest].Last {
			oldest = i
		}
	}
	s.devicesLost = true
	s.devices[oldest] = fresh
	return &s.devices[oldest]
}

func (s *LicenseState) place(block uint64) *visited {
	for i := range s.places {
		if s.places[i].Block == block {
			return &s.places[i]
		}
	}
	return nil
}

// visit records use of a network.
func (s *LicenseState) visit(p place, at int64) {
	if p.Block == 0 {
		return
	}
	if v := s.place(p.Block); v != nil {
		v.place, v.First, v.Last = p, min(v.First, at), max(v.Last, at)
		return
	}
	if len(s.places) == maxPlaces {
		oldest := 0
		for i := range s.places {
			if s.places[i].Last < s.places[oldest].Last {
				oldest = i
			}
		}
		s.placesLost = true
		s.places = slices.Delete(s.places, oldest, oldest+1)
	}
	s.places = append(s.places, visited{place: p, First: at, Last: at})
}

// push appends to a list and drops its oldest element when it is full.
func push[T any](v []T, x T, limit int) []T {
	if len(v) >= limit {
		v = slices.Delete(v, 0, len(v)-limit+1)
	}
	return append(v, x)
}
