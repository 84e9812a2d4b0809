package detect

import (
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// week is the window of the rules that count: natural turnover has weekly rhythm.
const week = 7 * 24 * time.Hour

// Engine runs the detectors. It holds settings only; use New.
type Engine struct {
	settings    Settings
	sensitivity float64
}

// New returns an engine with these settings and sensitivity 1.
func New(s Settings) Engine { return Engine{settings: s, sensitivity: 1} }

// WithSensitivity returns an engine whose thresholds are divided by factor: 2 alarms at half of what 1 needs. The factor is held
// within 0.5 and 2; 0 or less means 1.
func (e Engine) WithSensitivity(factor float64) Engine {
	if factor <= 0 {
		factor = 1
	}
	e.sensitivity = min(max(factor, 0.5), 2)
	return e
}

// limit scales a threshold by the sensitivity.
func (e Engine) limit(v float64) float64 { return v / e.sensitivity }

// reaches says whether a count has come up to a threshold, scaled but never below 1.
func (e Engine) reaches(n, threshold int) bool {
	return float64(n) >= max(e.limit(float64(threshold)), 1)
}

// step is one observation on its way through the detectors of a license.
type step struct {
	Engine
	s       *LicenseState
	license License
	o       *Observation
	at      int64
	// late is an observation older than the clock: it counts, but says nothing of order.
	late   bool
	id     uint64 // the device
	place  place
	action action
	found  []Finding
}

// action is what an observation means to the detectors.
type action int

const (
	actOther   action = iota
	actUse            // a sign of life of an admitted device
	actArrive         // a device took a seat
	actLeave          // a device gave up its seat
	actMove           // a seat moved to another device
	actRefused        // no seat was free
	actOffline        // a device may run without the server
)

func actionOf(o *Observation) action {
	switch o.Type {
	case eventsv1.TypeLicenseValidated, eventsv1.TypeLicenseHeartbeat:
		return actUse
	case eventsv1.TypeLicenseActivated:
		return actArrive
	case eventsv1.TypeDeviceDeactivated:
		return actLeave
	case eventsv1.TypeLicenseTransferred:
		return actMove
	case eventsv1.TypeLicenseDeviceLimitExceeded:
		return actRefused
	case eventsv1.TypeLicenseOfflineTokenIssued:
		return actOffline
	case eventsv1.TypeLicenseValidationFailed, eventsv1.TypeLicenseActivationRefused:
		if o.ErrorCode == codeDeviceLimitExceeded {
			return actRefused
		}
	}
	return actOther
}

// License feeds one observation of a license to its state and returns what came of it, in a fixed order of kinds.
// A zero LicenseState is a license without history.
func (e Engine) License(s *LicenseState, l License, o Observation) []Finding {
	if o.At.IsZero() {
		return nil
	}
	st := step{Engine: e, s: s, license: l, o: &o, at: o.At.UnixMicro(), place: placeOf(&o), action: actionOf(&o)}
	st.id = digest(o.HardwareID)
	st.late = s.clock != 0 && st.at < s.clock
	if s.clock == 0 || st.at < s.first {
		s.first = st.at
	}
	s.clock = max(s.clock, st.at)
	st.seats()
	st.wakes()
	st.churn()
	st.overuse()
	st.sharing()
	st.dormant()
	st.remember()
	return st.found
}

// seats keeps the limit in mind: devices admitted under a larger one stay when it is lowered. A limit that events tell is that of their time; the
// license's own, which may be today's while old events are replayed, stands in only until one has.
func (st *step) seats() {
	s, now := st.s, int64(st.license.MaxDevices)
	switch {
	case st.o.MaxDevices > 0:
		now, s.limitTold = int64(st.o.MaxDevices), true
	case s.limitTold:
		now = s.limit
	}
	if now > s.limit && s.limit > 0 {
		s.denied, s.refusals = nil, nil // the license has grown: the refusals were its growing pains
	}
	s.limit = now
	if now >= s.seats || st.at > s.seatsAt {
		s.seats, s.seatsAt = now, st.at+micros(st.settings.Sharing.SeatsMemory)
	}
}

// remember takes the observation into the tables that every rule reads; the rules have compared it with what was there before.
func (st *step) remember() {
	if st.id == 0 || st.action != actUse && st.action != actArrive {
		return
	}
	s := st.s
	d := s.admit(st.id, st.at)
	st.locate(d)
	if d.Last == 0 || st.at-d.Last > micros(st.settings.Sharing.LiveFor) {
		d.Run = max(d.Run, st.at)
	}
	d.First, d.Last = min(d.First, st.at), max(d.Last, st.at)
	s.visit(st.place, st.at)
	st.used()
}

// used moves the sign of use by which silence is measured. Refusals count: somebody is there.
func (st *step) used() {
	s := st.s
	if s.lastUse == 0 || dayOf(st.at) > dayOf(s.lastUse) {
		s.activeDays++
	}
	s.lastUse = max(s.lastUse, st.at)
}

// note keeps the observation as evidence for a kind.
func (st *step) note(trail int, what uint64, window time.Duration) {
	t := &st.s.trails[trail]
	t.closes(st.at, st.settings.CloseAfter)
	t.note(st.o, what, window)
}

// raise tells a finding when there is something to tell; describe fills in the words and is called only then.
func (st *step) raise(trail int, score float64, describe func(f *Finding)) {
	if st.license.IsTest {
		score = min(score, scoreTest)
	}
	t := &st.s.trails[trail]
	status := t.raise(st.at, score)
	if status == "" {
		return
	}
	f := t.finding(licenseKinds[trail], status)
	f.Subject, f.LicenseID = "license:"+st.license.ID, st.license.ID
	f.BaselineDays = int((st.s.clock - st.s.first) / microsPerDay)
	describe(&f)
	st.found = append(st.found, f)
}
