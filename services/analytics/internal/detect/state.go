package detect

import (
	"errors"
	"time"
)

// ErrState reports bytes that are no state of this version.
var ErrState = errors.New("detector state: unknown version or damaged bytes")

// historyVersion is the first byte of every license's state: that of the history, which all detectors read. Raise it
// when its walk, or the meaning of a member, changes: the whole state is then made again from the received events.
const historyVersion = 6

// LicenseState is what the detectors remember of one license: at most 32 kB as bytes. The zero value is a license
// without history. Times in a state are microseconds since 1970, 0 meaning none; names and addresses are kept as
// hashes only.
type LicenseState struct {
	history
	memories []memory // of licenseDetectors, in their order; nil before the first observation
	stale    []bool   // which of them could not be read; nil when all could
}

// begin makes the memories of a license without history.
func (s *LicenseState) begin() {
	if s.memories != nil {
		return
	}
	s.memories = make([]memory, len(licenseDetectors))
	for i, d := range licenseDetectors {
		s.memories[i] = d.remember()
	}
}

// Grown is the open findings whose figures have changed since they were told or taken from here.
func (s *LicenseState) Grown() (found []Finding) {
	for _, m := range s.memories {
		found = m.evidence().takeGrown(found)
	}
	return found
}

// After says whether the clock of the state is later than t: it has seen an event that is.
func (s *LicenseState) After(t time.Time) bool { return s.clock > t.UnixMicro() }

// Stale says whether what a detector remembers was not stored, or by another version of it. Until Adopt it has no
// memory.
func (s *LicenseState) Stale() bool { return s.stale != nil }

// Adopt takes the memories that are stale from a state that was made of the same events.
func (s *LicenseState) Adopt(rebuilt *LicenseState) {
	rebuilt.begin()
	for i, stale := range s.stale {
		if stale {
			s.memories[i] = rebuilt.memories[i]
		}
	}
	s.stale = nil
}

// MarshalBinary encodes the state: the history, then each memory under its kind, version and length. Equal states
// give equal bytes.
func (s *LicenseState) MarshalBinary() ([]byte, error) {
	s.begin()
	c := codec{buf: make([]byte, 0, 256+128*len(s.devices)+48*len(s.arrivals))}
	c.version(historyVersion)
	s.walk(&c)
	for i, m := range s.memories {
		section := codec{clock: s.clock}
		m.evidence().walkTrail(&section, licenseDetectors[i].words)
		m.walk(&section)
		kind, version, body := string(licenseDetectors[i].kind), licenseDetectors[i].version, string(section.buf)
		c.section(&kind, &version, &body)
	}
	return c.buf, c.err
}

// UnmarshalBinary replaces the state. It fails with ErrState on bytes it did not write or of another version; the
// caller then makes the state again from stored events. A memory that is missing or of another version is stale; one
// of an unknown detector is dropped.
func (s *LicenseState) UnmarshalBinary(data []byte) error {
	c, fresh := codec{buf: data, reading: true}, LicenseState{}
	fresh.begin()
	c.version(historyVersion)
	fresh.walk(&c)
	fresh.stale = make([]bool, len(licenseDetectors))
	missing := len(licenseDetectors)
	for i := range fresh.stale {
		fresh.stale[i] = true
	}
	for c.err == nil && len(c.buf) > 0 {
		var kind, body string
		var version uint64
		c.section(&kind, &version, &body)
		for i, d := range licenseDetectors {
			if string(d.kind) != kind || d.version != version || !fresh.stale[i] {
				continue
			}
			section := codec{buf: []byte(body), reading: true, clock: fresh.clock, err: c.err}
			fresh.memories[i].evidence().walkTrail(&section, d.words)
			fresh.memories[i].walk(&section)
			section.end()
			c.err = section.err
			fresh.stale[i] = false
			missing--
		}
	}
	if missing == 0 {
		fresh.stale = nil
	}
	if c.err == nil {
		*s = fresh
	}
	return c.err
}

// section walks one memory in its stored form.
func (c *codec) section(kind *string, version *uint64, body *string) {
	c.text(kind, 64)
	c.uint(version)
	c.text(body, 32<<10)
}
