package detect

import (
	"cmp"
	"slices"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Caps of the lists in a history. Full lists drop their oldest entry, which loses evidence and raises no alarm. The
// sum of all lists of a state stays under 32 kB.
const (
	maxDevices    = 96
	maxPlaces     = 48
	maxArrivals   = 128
	maxDepartures = 128
)

const (
	// liveFor is the longest pause between two signs of life that still counts as running all the time; heartbeats
	// come more often than hourly.
	liveFor = time.Hour
	// seatsMemory is how long devices above a limit that was lowered are taken as admitted under the old one.
	seatsMemory = 30 * 24 * time.Hour
	// foldWithin is the time within which a success wipes out the same device's refusal: a retry is no alarm. Source:
	// Flexera's denial analysis, 60 s.
	foldWithin = 60 * time.Second
)

// history is what all detectors read of a license: its devices and networks, and who took and left seats.
type history struct {
	// clock is the latest observation's time, first the earliest's.
	clock, first int64

	// told is the number of seats by activation last told, slots that of leases that need none; seats is the largest
	// sum of both in memory, in force until seatsAt.
	told, slots, seats, seatsAt int64
	toldByEvent, slotsByEvent   bool

	devices     []device
	devicesLost bool // a device was forgotten: nobody can be called new any more
	places      []visited
	placesLost  bool
	arrivals    []arrival
	departures  []int64
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
	// Run is since when it has been running: without a pause beyond liveFor, and on its present seat.
	Run int64
	// Block is the network of people that it used last.
	Block uint64
}

type visited struct {
	place
	First, Last int64
}

// arrival is a device taking a seat.
type arrival struct {
	// Who is the device name and network, or the hardware id when it has no name: a reinstalled computer stays the
	// same.
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
	leftIdle    // its seat was freed because nobody saw it any more
	arrivedRebound
)

func (h *history) walk(c *codec) {
	c.int(&h.clock)
	c.clock = h.clock
	c.time(&h.first)
	c.time(&h.seatsAt)
	c.int(&h.told)
	c.int(&h.slots)
	c.int(&h.seats)
	c.bool(&h.toldByEvent)
	c.bool(&h.slotsByEvent)
	c.bool(&h.devicesLost)
	c.bool(&h.placesLost)
	list(c, &h.devices, maxDevices, (*codec).device)
	list(c, &h.places, maxPlaces, (*codec).visited)
	list(c, &h.arrivals, maxArrivals, (*codec).arrival)
	list(c, &h.departures, maxDepartures, (*codec).time)
}

func (c *codec) device(d *device) {
	c.hash(&d.ID)
	for _, t := range []*int64{&d.First, &d.Last, &d.Since, &d.Left, &d.Offline, &d.Run} {
		c.time(t)
	}
	c.uint(&d.Block)
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

// countSeats keeps the limit in mind, which is of seats and of leases that need none: devices admitted under a larger
// one stay when it is lowered. A limit that events tell is that of their time; the license's own, which may be today's
// while old events are replayed, is in force only until one has.
func (st *step) countSeats() {
	h, before := st.history, st.told+st.slots
	switch {
	case st.o.MaxDevices > 0:
		h.told, h.toldByEvent = int64(st.o.MaxDevices), true
	case !h.toldByEvent:
		h.told = int64(st.license.MaxDevices)
	}
	switch {
	case st.o.Snapshot:
		h.slots, h.slotsByEvent = int64(st.o.Slots), true
	case !h.slotsByEvent:
		h.slots = int64(st.license.Slots)
	}
	now := h.told + h.slots
	st.grown = now > before && before > 0
	if now >= h.seats || st.at > h.seatsAt {
		h.seats, h.seatsAt = now, st.at+micros(seatsMemory)
	}
}

// moveSeats takes in who took and left a seat.
func (st *step) moveSeats() {
	switch st.action {
	case actArrive:
		st.arrive(st.id)
	case actLeave:
		st.leave(st.id, st.o.By != "admin")
	case actMove:
		st.leave(digest(st.o.FromHardwareID), !st.rebound())
		st.arrive(digest(st.movedTo()))
	case actOffline:
		if d := st.device(st.id); d != nil && !st.o.OfflineUntil.IsZero() {
			d.Offline = max(d.Offline, st.o.OfflineUntil.UnixMicro())
		}
	}
}

// rebound says that a device with another hardware id was taken for the one that has the seat.
func (st *step) rebound() bool { return st.o.Type == eventsv1.TypeDeviceRebound }

// movedTo is the device that a seat moved to.
func (st *step) movedTo() string {
	if st.rebound() {
		return st.o.HardwareID
	}
	return st.o.ToHardwareID
}

// arrive takes in a device that got a seat.
func (st *step) arrive(id uint64) {
	if id == 0 {
		return
	}
	h := st.history
	if known := h.device(id); known != nil {
		if known.Since > known.Left {
			return // it has its seat already
		}
		st.before = *known
	}
	a := arrival{Who: st.who(id), Device: id, At: st.at, Block: st.place.Block, Flags: st.place.flag()}
	if st.before.Since != 0 {
		a.Flags |= arrivedReturning
	}
	if st.rebound() {
		a.Flags |= arrivedRebound
	}
	if st.before.Left > st.at {
		a.Left = st.before.Left // its departure arrived first
		a.Flags |= leftClean
	}
	d := h.admit(id, st.at)
	d.Since, d.Run = max(d.Since, st.at), max(d.Run, st.at)
	h.arrivals = slices.DeleteFunc(h.arrivals, func(a arrival) bool { return a.At < h.clock-micros(2*week) })
	h.arrivals = push(h.arrivals, a, maxArrivals)
	st.arrived = true
}

// leave takes in a device that gave up its seat.
func (st *step) leave(id uint64, clean bool) {
	if id == 0 {
		return
	}
	h := st.history
	h.departures = push(h.departures, st.at, maxDepartures)
	d := h.admit(id, st.at)
	d.Left = max(d.Left, st.at)
	offline := d.Offline > st.at
	for i := len(h.arrivals) - 1; i >= 0; i-- {
		a := &h.arrivals[i]
		if a.Device != id || a.Left != 0 || a.At > st.at {
			continue
		}
		a.Left = st.at
		if clean {
			a.Flags |= leftClean
		}
		if st.o.Type == eventsv1.TypeDeviceCulled { // its stay ended when it was used last
			a.Left, a.Flags = max(a.At, min(d.Last, st.at)), a.Flags|leftIdle
		}
		if offline {
			a.Flags |= leftOffline
			st.leftOffline = true
		}
		return
	}
}

// seen takes in where and when a device was at work; the detectors have compared it with what was there before.
func (st *step) seen() {
	if !st.located() {
		return
	}
	h := st.history
	d := h.admit(st.id, st.at)
	d.First = min(d.First, st.at)
	h.visit(st.place, st.at)
	if !st.admitted() {
		return // that it ran until then nobody can say: others may have had its slot meanwhile
	}
	st.locate(d)
	if d.Last == 0 || st.at-d.Last > micros(liveFor) {
		d.Run = max(d.Run, st.at)
	}
	if !st.late && st.place.people() {
		d.Block = st.place.Block
	}
	d.Last = max(d.Last, st.at)
}

// locate fills in where a transferred seat went: transfers carry no address, the first use after one does.
func (st *step) locate(d *device) {
	if d.Last > d.Since || st.place.Block == 0 {
		return
	}
	for i := range st.arrivals {
		if a := &st.arrivals[i]; a.Device == d.ID && a.Block == 0 {
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

// who folds reinstallations: a computer that comes back under its name from its network is the same, and so is one
// whose hardware id changes on its network while its components stay.
func (st *step) who(id uint64) uint64 {
	if st.rebound() && st.place.Block != 0 {
		return digest(st.o.Type) ^ st.place.Block
	}
	if st.o.DeviceName == "" || st.place.Block == 0 {
		return id
	}
	return digest(st.o.DeviceName) ^ st.place.Block
}

// device finds a device that is known, or nil.
func (h *history) device(id uint64) *device {
	for i := range h.devices {
		if h.devices[i].ID == id {
			return &h.devices[i]
		}
	}
	return nil
}

// admit finds or adds a device; a full list forgets the one silent for longest. Pointers got before are void
// afterwards.
func (h *history) admit(id uint64, at int64) *device {
	if d := h.device(id); d != nil {
		return d
	}
	if len(h.devices) == maxDevices {
		h.devicesLost = true
		h.devices = dropOldest(h.devices, func(d *device) int64 { return d.Last })
	}
	h.devices = append(h.devices, device{ID: id, First: at})
	return &h.devices[len(h.devices)-1]
}

// networkOf finds a network that is known, or nil.
func (h *history) networkOf(block uint64) *visited {
	for i := range h.places {
		if h.places[i].Block == block {
			return &h.places[i]
		}
	}
	return nil
}

// visit records use of a network.
func (h *history) visit(p place, at int64) {
	if p.Block == 0 {
		return
	}
	if v := h.networkOf(p.Block); v != nil {
		v.place, v.First, v.Last = p, min(v.First, at), max(v.Last, at)
		return
	}
	if len(h.places) == maxPlaces {
		h.placesLost = true
		h.places = dropOldest(h.places, func(v *visited) int64 { return v.Last })
	}
	h.places = append(h.places, visited{place: p, First: at, Last: at})
}

// dropOldest deletes the element that was used longest ago.
func dropOldest[T any, N cmp.Ordered](v []T, last func(*T) N) []T {
	oldest := 0
	for i := range v {
		if last(&v[i]) < last(&v[oldest]) {
			oldest = i
		}
	}
	return slices.Delete(v, oldest, oldest+1)
}

// push appends to a list and drops its oldest element when it is full.
func push[T any](v []T, x T, limit int) []T {
	if len(v) >= limit {
		v = slices.Delete(v, 0, len(v)-limit+1)
	}
	return append(v, x)
}
