package detect

import (
	"math"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const (
	// week is the window of the rules that count: natural turnover has weekly rhythm.
	week = 7 * 24 * time.Hour
	// CloseAfter is the silence, in event time, after which an open finding is over.
	CloseAfter = 24 * time.Hour
)

// The sensitivity of an engine is within these.
const (
	MinSensitivity = 0.5
	MaxSensitivity = 2
)

// Engine runs the detectors. It holds the sensitivity only; use New.
//
// A threshold of a detector says where honest use ends; those marked (s) are divided by the sensitivity. Thresholds
// without a named source are reasoned from the look-alikes that the tests of their detector play through.
type Engine struct{ sensitivity float64 }

// New returns an engine with sensitivity 1.
func New() Engine { return Engine{sensitivity: 1} }

// WithSensitivity returns an engine whose thresholds are divided by factor: 2 alarms at half of what 1 needs. The
// factor is held within MinSensitivity and MaxSensitivity; 0 or less means 1.
func (e Engine) WithSensitivity(factor float64) Engine {
	if factor <= 0 {
		factor = 1
	}
	e.sensitivity = min(max(factor, MinSensitivity), MaxSensitivity)
	return e
}

// limit scales a threshold by the sensitivity.
func (e Engine) limit(v float64) float64 { return v / e.sensitivity }

// reaches says whether a count has come up to a threshold, scaled but never below 1.
func (e Engine) reaches(n, threshold int) bool {
	return float64(n) >= max(e.limit(float64(threshold)), 1)
}

// under is the highest count that does not reach a threshold.
func (e Engine) under(threshold int) float64 {
	return math.Ceil(max(e.limit(float64(threshold)), 1)) - 1
}

// step is one observation on its way through the detectors of a license.
type step struct {
	Engine
	*history
	license License
	o       *Observation
	at      int64
	// late is an observation older than the clock: it counts, but says nothing of order.
	late   bool
	id     uint64 // the device
	place  place
	action action
	// grown: the license has more seats than before. arrived: a device took a seat; before is what was known of it,
	// zero for a new one. leftOffline: a device gave up its seat with an offline token still good.
	grown, arrived, leftOffline bool
	before                      device
	// detector and trail are those of the detector that is asked now.
	detector *detector
	trail    *trail
	found    []Finding
}

// action is what an observation means to the detectors.
type action int

const (
	actOther   action = iota
	actUse            // a sign of life of an admitted device
	actTouch          // a device was used, for how long nobody knows: it took a lease or a file along
	actArrive         // a device took a seat
	actLeave          // a device gave up its seat
	actMove           // a seat moved to another device
	actRefused        // no seat, or slot for a lease, was free
	actOffline        // a device may run without the server
)

func actionOf(o *Observation) action {
	switch o.Type {
	case eventsv1.TypeLicenseValidated, eventsv1.TypeLicenseHeartbeat:
		return actUse
	case eventsv1.TypeLicenseLeased, eventsv1.TypeLicenseFileIssued:
		return actTouch
	case eventsv1.TypeLicenseActivated:
		return actArrive
	case eventsv1.TypeDeviceDeactivated, eventsv1.TypeDeviceCulled:
		return actLeave
	case eventsv1.TypeLicenseTransferred, eventsv1.TypeDeviceRebound:
		return actMove
	case eventsv1.TypeLicenseDeviceLimitExceeded:
		return actRefused
	case eventsv1.TypeLicenseOfflineTokenIssued:
		return actOffline
	case eventsv1.TypeLicenseValidationFailed, eventsv1.TypeLicenseActivationRefused:
		if o.SeatedAlready() {
			return actUse
		}
		if o.ErrorCode == codeDeviceLimitExceeded {
			return actRefused
		}
	case eventsv1.TypeLicenseLeaseDenied:
		if o.ErrorCode == codeLeaseLimitExceeded {
			return actRefused
		}
	}
	return actOther
}

// SeatedAlready says whether a device that has its seat asked for one, as applications do that activate at each start.
// It came with the license's key, or by a user of the license: a stranger is refused otherwise.
func (o *Observation) SeatedAlready() bool {
	return o.Type == eventsv1.TypeLicenseActivationRefused && o.ErrorCode == codeAlreadyActivated
}

// License feeds one observation of a license to its state and returns what came of it, in the order of the detectors.
// A zero LicenseState is a license without history.
func (e Engine) License(s *LicenseState, l License, o Observation) []Finding {
	if o.At.IsZero() {
		return nil
	}
	s.begin()
	st := step{
		Engine: e, history: &s.history, license: l, o: &o, at: o.At.UnixMicro(), id: digest(o.HardwareID),
		place: placeOf(&o), action: actionOf(&o),
	}
	st.late = s.clock != 0 && st.at < s.clock
	if s.clock == 0 || st.at < s.first {
		s.first = st.at
	}
	s.clock = max(s.clock, st.at)
	st.countSeats()
	st.moveSeats()
	for i, m := range s.memories {
		st.detector, st.trail = licenseDetectors[i], m.evidence()
		m.observe(&st)
	}
	st.seen()
	return st.found
}

// signOfUse says whether somebody with a device is there, admitted or refused.
func (st *step) signOfUse() bool {
	return st.admitted() || st.id != 0 && (st.action == actTouch || st.action == actRefused)
}

// located says whether the observation tells where a device is used.
func (st *step) located() bool {
	return st.admitted() || st.id != 0 && (st.action == actTouch || st.action == actOffline)
}

// admitted says whether a device is at work.
func (st *step) admitted() bool { return st.id != 0 && (st.action == actUse || st.action == actArrive) }

// note keeps the observation as evidence for the detector that is asked.
func (st *step) note(what uint64, window time.Duration) {
	st.trail.closes(st.at)
	st.trail.note(st.o, what, window)
}

// raise tells a finding when there is something to tell; describe fills in the words, then or when they are asked for.
func (st *step) raise(score float64, describe func(f *Finding)) {
	if st.license.IsTest {
		score = min(score, scoreLow)
	}
	f, told := st.trail.raise(st.detector, st.at, score, func(f *Finding) {
		f.Subject, f.LicenseID = "license:"+st.license.ID, st.license.ID
		f.BaselineDays = int((st.clock - st.first) / microsPerDay)
		describe(f)
	})
	if told {
		st.found = append(st.found, f)
	}
}
