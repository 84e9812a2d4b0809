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

// maxRemembered bounds the subjects whose states are held in memory, at 8 kB each on average.
const maxRemembered = 10_000

// state is what the detectors remember of a subject; one of both is set.
type state struct {
	license *detect.LicenseState
	address *detect.AddressState
}

// memory holds detector states between batches. They are those of the last commit: whoever changes them in a transaction
// that fails forgets them.
type memory struct {
	engine  detect.Engine
	log     *slog.Logger
	states  map[string]state
	touched []string
}

func newMemory(engine detect.Engine, log *slog.Logger) *memory {
	return &memory{engine: engine, log: log, states: map[string]state{}}
}

// forget drops everything that was touched since the last keep.
func (m *memory) forget() {
	for _, subject := range m.touched {
		delete(m.states, subject)
	}
	m.touched = nil
}

// keep says that what was touched has been committed, and makes room.
func (m *memory) keep() {
	m.touched = nil
	for subject := range m.states {
		if len(m.states) <= maxRemembered {
			return
		}
		delete(m.states, subject) // map order: any will do, it is read again when needed
	}
}

// judge runs the detectors over a batch. It is a usage.Judge.
func (m *memory) judge(b *usage.Batch) (*usage.Verdict, error) {
	m.forget()
	observed := observe(b)
	if err := m.recall(observed, b.States); err != nil {
		return nil, err
	}
	v := &usage.Verdict{States: make(map[string][]byte, len(observed))}
	for i := range b.Events {
		e := &b.Events[i]
		o := e.Observation()
		if id := o.LicenseID; id != "" {
			v.Findings = append(v.Findings, m.engine.License(m.states[licenseSubject(id)].license, b.Licenses[id].Detectable(), o)...)
		}
		if a := detect.AddressKey(o.IP); a != "" {
			v.Findings = append(v.Findings, m.judgeAddress(m.states[addressSubject(a)].address, &o)...)
		}
	}
	return v, m.encode(v.States)
}

// judgeAddress spares most addresses a state of their own: it begins with the first unknown key.
func (m *memory) judgeAddress(s *detect.AddressState, o *detect.Observation) []detect.Finding {
	if s.Empty() && !o.UnknownKey() {
		return nil
	}
	return m.engine.Address(s, *o)
}

// observe is the subjects of a batch, sorted, each once.
func observe(b *usage.Batch) []string {
	var subjects []string
	for i := range b.Events {
		if id := b.Events[i].Body.LicenseID; id != "" {
			subjects = append(subjects, licenseSubject(id))
		}
		if a := detect.AddressKey(b.Events[i].Body.IP); a != "" {
			subjects = append(subjects, addressSubject(a))
		}
	}
	slices.Sort(subjects)
	return slices.Compact(subjects)
}

// recall makes sure that the subjects' states are in memory, and marks them as touched. A state that cannot be read, of an older
// version perhaps, starts anew.
func (m *memory) recall(subjects []string, read func([]string) (map[string][]byte, error)) error {
	m.touched = subjects
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
			s, _ = restore(subject, nil)
		}
		m.states[subject] = s
	}
	return nil
}

func restore(subject string, data []byte) (state, error) {
	s := state{address: &detect.AddressState{}}
	read := s.address.UnmarshalBinary
	if isLicense(subject) {
		s = state{license: &detect.LicenseState{}}
		read = s.license.UnmarshalBinary
	}
	if data == nil {
		return s, nil
	}
	return s, read(data)
}

// encode writes what was touched, but for addresses without history: those without a state are the same.
func (m *memory) encode(into map[string][]byte) error {
	var errs []error
	for _, subject := range m.touched {
		s := m.states[subject]
		if s.address != nil && s.address.Empty() {
			continue
		}
		encode := s.address.MarshalBinary
		if s.license != nil {
			encode = s.license.MarshalBinary
		}
		data, err := encode()
		into[subject] = data
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

const licensePrefix = "license:"

func licenseSubject(id string) string { return licensePrefix + id }

func addressSubject(address string) string { return "ip:" + address }

func isLicense(subject string) bool { return strings.HasPrefix(subject, licensePrefix) }
