package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/decode"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// bounds are how much is remembered between batches, and how much a restart has to judge again.
type bounds struct {
	// rollups is the number of licenses, of devices and of networks, at half a kilobyte each.
	rollups int
	// stateBytes is the memory for detector states that are stored; those that are not stay as long as they are not.
	stateBytes int64
	// unwritten is the number of subjects whose state was not written since it changed last, window the number of
	// events since it was. Writing a state at every change would be the dearest part of taking in an event.
	unwritten int
	window    int64
	// age is the longest that a state stays unwritten. Received events are pruned only once they are in a stored state:
	// where little happens, it is age that lets them go when their time has come.
	age time.Duration
}

var defaultBounds = bounds{rollups: 12_000, stateBytes: 48 << 20, unwritten: 10_000, window: 50_000, age: time.Hour}

const (
	// agedAtOnce is how many states are written with one batch because of their age alone: after a restart, those of
	// all events that were replayed are of one age.
	agedAtOnce = 500
	// replayPortion is how many events are judged again at a time.
	replayPortion = 1000
	// stateBytes is what a state takes with nothing in it, memoryPerByte how many times the size of its stored form
	// the rest takes.
	stateBytes    = 1200
	memoryPerByte = 3
)

// state is what the detectors remember of a subject; one of license and address is set.
type state struct {
	license *detect.LicenseState
	address *detect.AddressState
	// judged is the license as the detectors saw it last.
	judged detect.License
	// stored is the position of the stored state, unwritten that of the first batch since, or 0 when nothing has
	// changed.
	stored, unwritten int64
	// bytes is about what it took in memory when it was read or written last.
	bytes int64
}

// change says since when a state is unwritten.
type change struct {
	subject string
	since   int64
	at      time.Time
}

// stateCache holds detector states between batches, as of the last commit. What was not written before a restart is
// judged again from the received events, with the licenses as they are stored: that is exact because a state is written
// at once when its license has changed in the eyes of the detectors.
type stateCache struct {
	engine  detect.Engine
	clock   clock.Clock
	bounds  bounds
	log     *slog.Logger
	states  map[string]*state
	bytes   int64
	changes []change        // oldest first; a state that was written since does not know its own any more
	toWrite map[string]bool // subjects whose state is to be written with this batch
	// allDue has every state written, however lately it changed.
	allDue bool
	// grown is the latest of findings whose figures alone have changed since they were told, by subject and key.
	grown map[string]detect.Finding
}

func newStateCache(engine detect.Engine, c clock.Clock, b bounds, log *slog.Logger) *stateCache {
	return &stateCache{engine: engine, clock: c, bounds: b, log: log, states: map[string]*state{},
		toWrite: map[string]bool{}, grown: map[string]detect.Finding{}}
}

// load makes sure that the subjects' states are there.
func (c *stateCache) load(ctx context.Context, store Store, subjects []string) error {
	missing := slices.DeleteFunc(subjects, func(subject string) bool { return c.states[subject] != nil })
	stored, err := store.States(ctx, missing)
	if err != nil {
		return fmt.Errorf("read detector states: %w", err)
	}
	for _, subject := range missing {
		s, err := c.restore(ctx, store, subject, stored[subject])
		if err != nil {
			return fmt.Errorf("restore the detector state of %s: %w", subject, err)
		}
		c.states[subject] = s
		c.resize(s, len(stored[subject].Data))
	}
	return nil
}

// restore decodes a state. What detectors of another version stored of a license is made again from the events that
// were received of it. An address starts again: its state is about one day.
func (c *stateCache) restore(ctx context.Context, store Store, subject string, stored usage.State) (*state, error) {
	s := &state{stored: stored.Position}
	id, isLicense := strings.CutPrefix(subject, licensePrefix)
	if !isLicense {
		s.address = &detect.AddressState{}
		if err := s.address.UnmarshalBinary(stored.Data); stored.Data != nil && err != nil {
			c.log.Warn("detectors start again for an address whose state cannot be read",
				"subject", subject, "error", err)
		}
		return s, nil
	}
	s.license = &detect.LicenseState{}
	if stored.Data == nil {
		return s, nil
	}
	unreadable := s.license.UnmarshalBinary(stored.Data)
	if unreadable == nil && !s.license.Stale() {
		return s, nil
	}
	c.log.Debug("detector states of a license are rebuilt from the received events",
		"subject", subject, "error", unreadable)
	seen := func(e *usage.Received) bool { return e.Position <= stored.Position }
	rebuilt, err := c.rebuild(ctx, store, id, seen)
	if err != nil || unreadable != nil {
		s.license = rebuilt
		return s, err
	}
	s.license.Adopt(rebuilt)
	return s, nil
}

// rebuild shows the detectors the events of a license that they have seen again. Their findings are known.
func (c *stateCache) rebuild(
	ctx context.Context, store Store, id string, seen func(*usage.Received) bool,
) (*detect.LicenseState, error) {
	rebuilt := &detect.LicenseState{}
	err := eachReceived(ctx, store, usage.Received{}, id, func(page []usage.Received) error {
		for i := range page {
			if seen(&page[i]) {
				c.engine.License(rebuilt, page[i].License.Detectable(), page[i].Observation)
			}
		}
		return nil
	})
	return rebuilt, err
}

// rewind makes the states of a batch's licenses again that have seen an event of after latest, without it: the clock
// of this computer was ahead, too, and all that comes until then would be late.
func (c *stateCache) rewind(ctx context.Context, store Store, b *usage.Batch, latest time.Time) error {
	for id := range b.Changes.Licenses {
		s := c.states[licenseSubject(id)]
		if !s.license.After(latest) {
			continue
		}
		past := func(e *usage.Received) bool { return !e.At.After(latest) }
		rebuilt, err := c.rebuild(ctx, store, id, past)
		if err != nil {
			return fmt.Errorf("make the detector state of %s again: %w", id, err)
		}
		c.log.Warn("the detectors forget events of a license that lie in the future", "license_id", id)
		s.license = rebuilt
		c.markUnwritten(licenseSubject(id), b.Position)
		c.toWrite[licenseSubject(id)] = true
	}
	return nil
}

// eachReceived calls each with pages of decoded events after last, of all licenses if licenseID is empty.
func eachReceived(
	ctx context.Context, store Store, last usage.Received, licenseID string, each func([]usage.Received) error,
) error {
	for {
		page, err := store.ReceivedAfter(ctx, last, licenseID, replayPortion)
		if err != nil {
			return err
		}
		for i := range page {
			if err := decode.Event(&page[i].Event); err != nil {
				return fmt.Errorf("stored event %s: %w", page[i].EventID, err)
			}
		}
		if err := each(page); err != nil {
			return err
		}
		if len(page) < replayPortion {
			return nil
		}
		last = page[len(page)-1]
	}
}

// replay judges again what was judged before this cache began and is not in the stored states. Its findings are known.
func (c *stateCache) replay(ctx context.Context, store Store, after int64) error {
	return eachReceived(ctx, store, usage.Received{Position: after}, "", func(page []usage.Received) error {
		events := make([]usage.Event, len(page))
		for i := range page {
			events[i] = page[i].Event
		}
		if err := c.load(ctx, store, subjectsOf(events)); err != nil {
			return err
		}
		for i := range page {
			c.observe(&page[i].Observation, page[i].License.Detectable(), page[i].Position)
		}
		c.grow(events)
		return nil
	})
}

// detect shows the events of a batch to the detectors, and returns what they find.
func (c *stateCache) detect(b *usage.Batch) (found []detect.Finding) {
	for i := range b.Events {
		o := &b.Events[i].Observation
		var l detect.License
		if o.LicenseID != "" {
			l = b.Changes.Licenses[o.LicenseID].Detectable()
			subject := licenseSubject(o.LicenseID)
			if s := c.states[subject]; s.unwritten != 0 && s.judged != l {
				c.toWrite[subject] = true
			}
		}
		found = append(found, c.observe(o, l, b.Position)...)
	}
	for i := range found {
		delete(c.grown, found[i].Subject+" "+found[i].Key)
	}
	c.grow(b.Events)
	return found
}

// grow keeps what the open findings of the events' subjects have become.
func (c *stateCache) grow(events []usage.Event) {
	for _, subject := range subjectsOf(events) {
		for _, f := range c.states[subject].grown() {
			c.grown[f.Subject+" "+f.Key] = f
		}
	}
}

func (s *state) grown() []detect.Finding {
	if s.license != nil {
		return s.license.Grown()
	}
	return s.address.Grown()
}

// observe shows one observation, of the batch that ends at position, to the detectors.
func (c *stateCache) observe(o *detect.Observation, l detect.License, position int64) (found []detect.Finding) {
	if o.LicenseID != "" {
		s := c.markUnwritten(licenseSubject(o.LicenseID), position)
		if s.judged = l; s.stored < position {
			found = c.engine.License(s.license, l, *o)
		}
	}
	a := detect.AddressKey(o.IP, o.ViaProxy)
	if a == "" {
		return found
	}
	// Most addresses are spared their own state: it begins with the first unknown key.
	if s := c.states[addressSubject(a)]; s.stored < position && (o.UnknownKey() || !s.address.Empty()) {
		found = append(found, c.engine.Address(c.markUnwritten(addressSubject(a), position).address, *o)...)
	}
	return found
}

// markUnwritten returns the subject's state, marked as unwritten.
func (c *stateCache) markUnwritten(subject string, position int64) *state {
	s := c.states[subject]
	if s.unwritten == 0 && s.stored < position {
		s.unwritten = position
		c.changes = append(c.changes, change{subject, position, c.clock.Now()})
	}
	return s
}

// due is the states to be written with the batch that ends at position: those whose license has changed, and those
// that were unwritten for long enough. All of events up to replayAfter are stored then.
func (c *stateCache) due(position int64) (due map[string][]byte, replayAfter int64, err error) {
	for len(c.changes) > 0 {
		first := c.changes[0]
		if s := c.states[first.subject]; s != nil && s.unwritten == first.since && !c.toWrite[first.subject] {
			many := first.since <= position-c.bounds.window || len(c.changes) > c.bounds.unwritten
			if !many && (!c.aged() || len(c.toWrite) >= agedAtOnce) {
				break
			}
			c.toWrite[first.subject] = true
		}
		c.changes = c.changes[1:]
	}
	due = make(map[string][]byte, len(c.toWrite))
	for subject := range c.toWrite {
		s := c.states[subject]
		if due[subject], err = s.encode(); err != nil {
			return nil, 0, fmt.Errorf("encode the detector state of %s: %w", subject, err)
		}
		s.stored, s.unwritten = position, 0
		c.resize(s, len(due[subject]))
	}
	clear(c.toWrite)
	if len(c.changes) > 0 {
		return due, c.changes[0].since - 1, nil
	}
	return due, position, nil
}

// aged says whether a state has been unwritten for too long, or for nobody knows how long: one that was changed later
// than now was so before the clock was set back.
func (c *stateCache) aged() bool {
	return len(c.changes) > 0 && (c.allDue || c.clock.Now().Sub(c.changes[0].at).Abs() >= c.bounds.age)
}

// resize counts the memory of a state whose stored form has so many bytes.
func (c *stateCache) resize(s *state, stored int) {
	c.bytes -= s.bytes
	s.bytes = stateBytes + memoryPerByte*int64(stored)
	c.bytes += s.bytes
}

// evict makes room. Map order: any state will do, it is read again when needed.
func (c *stateCache) evict() {
	for subject, s := range c.states {
		if c.bytes <= c.bounds.stateBytes {
			return
		}
		if s.unwritten == 0 {
			delete(c.states, subject)
			c.bytes -= s.bytes
		}
	}
}

// subjectsOf is the subjects of events, sorted, each once.
func subjectsOf(events []usage.Event) []string {
	var subjects []string
	for i := range events {
		if id := events[i].LicenseID; id != "" {
			subjects = append(subjects, licenseSubject(id))
		}
		if a := detect.AddressKey(events[i].IP, events[i].ViaProxy); a != "" {
			subjects = append(subjects, addressSubject(a))
		}
	}
	slices.Sort(subjects)
	return slices.Compact(subjects)
}

func (s *state) encode() ([]byte, error) {
	if s.license != nil {
		return s.license.MarshalBinary()
	}
	return s.address.MarshalBinary()
}

const licensePrefix = "license:"

func licenseSubject(id string) string { return licensePrefix + id }

func addressSubject(address string) string { return "ip:" + address }
