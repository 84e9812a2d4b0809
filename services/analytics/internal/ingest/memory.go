package ingest

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

const (
	// maxRemembered bounds the subjects whose states are held in memory, at 4 kB each on average.
	maxRemembered = 12_000
	// maxUnwritten bounds those whose state was not written since it changed last, and replayWindow the events since it was: what a
	// restart has to judge again. Writing a state at every change would be the dearest part of taking in an event.
	maxUnwritten = 10_000
	replayWindow = 50_000
)

// state is what the detectors remember of a subject; one of license and address is set.
type state struct {
	license *detect.LicenseState
	address *detect.AddressState
	// judged is the license as the detectors saw it last.
	judged detect.License
	// stored is the position of the stored state, unwritten that of the first batch since, or 0 when nothing has changed.
	stored, unwritten int64
}

// change says since when a state is unwritten.
type change struct {
	subject string
	since   int64
}

// memory holds detector states between batches. They are those of the last commit: one that fails makes it start anew. What was not
// written before is then judged again from the log, with the licenses as they are stored: that is exact because a state is
// written at once when its license has changed in the eyes of the detectors.
type memory struct {
	engine   detect.Engine
	log      *slog.Logger
	states   map[string]*state
	changes  []change // oldest first; a state that was written since does not know its own any more
	window   int64    // is replayWindow
	replayed bool
	open     bool // a batch was judged and is not committed
}

func newMemory(engine detect.Engine, log *slog.Logger) *memory {
	return &memory{engine: engine, log: log, states: map[string]*state{}, window: replayWindow}
}

// keep says that what was judged has been committed, and makes room.
func (m *memory) keep() {
	m.open = false
	for subject, s := range m.states {
		if len(m.states) <= maxRemembered {
			return
		}
		if s.unwritten == 0 {
			delete(m.states, subject) // map order: any will do, it is read again when needed
		}
	}
}

// judge runs the detectors over a batch. It is a usage.Judge.
func (m *memory) judge(b *usage.Batch) (*usage.Verdict, error) {
	if m.open {
		*m = memory{engine: m.engine, log: m.log, states: map[string]*state{}, window: m.window}
	}
	if len(b.Events) == 0 {
		return &usage.Verdict{}, nil
	}
	m.open = true
	if err := m.catchUp(b); err != nil {
		return nil, err
	}
	subjects := subjectsOf(b.Events)
	if err := m.recall(subjects, b.States); err != nil {
		return nil, err
	}
	v := &usage.Verdict{States: map[string][]byte{}}
	for i := range b.Events {
		o := b.Events[i].Observation()
		var l detect.License
		if o.LicenseID != "" {
			l = b.Licenses[o.LicenseID].Detectable()
			if s := m.states[licenseSubject(o.LicenseID)]; s.unwritten != 0 && s.judged != l {
				v.States[licenseSubject(o.LicenseID)] = nil // encoded below
			}
		}
		v.Findings = append(v.Findings, m.observe(&o, l, b.Position)...)
	}
	return v, m.write(v, b.Position)
}

// observe shows one observation, of the batch that ends at position, to the detectors.
func (m *memory) observe(o *detect.Observation, l detect.License, position int64) (found []detect.Finding) {
	if o.LicenseID != "" {
		s := m.change(licenseSubject(o.LicenseID), position)
		if s.judged = l; s.stored < position {
			found = m.engine.License(s.license, l, *o)
		}
	}
	a := detect.AddressKey(o.IP, o.ViaProxy)
	if a == "" {
		return found
	}
	// Most addresses are spared a state of their own: it begins with the first unknown key.
	if s := m.states[addressSubject(a)]; s.stored < position && (o.UnknownKey() || !s.address.Empty()) {
		found = append(found, m.engine.Address(m.change(addressSubject(a), position).address, *o)...)
	}
	return found
}

// change is the subject's state, marked as unwritten.
func (m *memory) change(subject string, position int64) *state {
	s := m.states[subject]
	if s.unwritten == 0 && s.stored < position {
		s.unwritten = position
		m.changes = append(m.changes, change{subject, position})
	}
	return s
}

// write encodes the states that are named already, and those that were unwritten for long enough.
func (m *memory) write(v *usage.Verdict, position int64) error {
	var errs []error
	encode := func(subject string) {
		s := m.states[subject]
		data, err := s.encode()
		v.States[subject], s.stored, s.unwritten = data, position, 0
		errs = append(errs, err)
	}
	for subject := range v.States {
		encode(subject)
	}
	v.ReplayAfter = position
	for len(m.changes) > 0 {
		first := m.changes[0]
		if m.states[first.subject].unwritten == first.since {
			if first.since > position-m.window && len(m.changes) <= maxUnwritten {
				v.ReplayAfter = first.since - 1
				break
			}
			encode(first.subject)
		}
		m.changes = m.changes[1:]
	}
	return errors.Join(errs...)
}

// subjectsOf is the subjects of events, sorted, each once.
func subjectsOf(events []usage.Event) []string {
	var subjects []string
	for i := range events {
		if id := events[i].Body.LicenseID; id != "" {
			subjects = append(subjects, licenseSubject(id))
		}
		if a := detect.AddressKey(events[i].Body.IP, events[i].Body.ViaProxy); a != "" {
			subjects = append(subjects, addressSubject(a))
		}
	}
	slices.Sort(subjects)
	return slices.Compact(subjects)
}

// recall makes sure that the subjects' states are in memory. A state that cannot be read, of an older version perhaps, starts anew.
func (m *memory) recall(subjects []string, read func([]string) (map[string]usage.State, error)) error {
	var missing []string
	for _, subject := range subjects {
		if _, ok := m.states[subject]; !ok {
			missing = append(missing, subject)
		}
	}
	stored, err := read(missing)
	if err != nil {
		return fmt.Errorf("read detector states: %w", err)
	}
	for _, subject := range missing {
		s, err := restore(subject, stored[subject])
		if err != nil {
			m.log.Warn("detectors start anew for a subject whose memory cannot be read", "subject", subject, "error", err)
			s, _ = restore(subject, usage.State{Position: stored[subject].Position})
		}
		m.states[subject] = s
	}
	return nil
}

func restore(subject string, stored usage.State) (*state, error) {
	s := &state{stored: stored.Position}
	var read func([]byte) error
	if isLicense(subject) {
		s.license = &detect.LicenseState{}
		read = s.license.UnmarshalBinary
	} else {
		s.address = &detect.AddressState{}
		read = s.address.UnmarshalBinary
	}
	if stored.Data == nil {
		return s, nil
	}
	return s, read(stored.Data)
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

func isLicense(subject string) bool { return strings.HasPrefix(subject, licensePrefix) }
