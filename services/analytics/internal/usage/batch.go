package usage

import (
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

// Why a batch was not written.
var (
	// ErrFenced says that another process has become the consumer since the epoch was taken.
	ErrFenced = errors.New(
		"another process has become the consumer of the events; what this one remembers is out of date")
	// ErrRepeated says that an event of the batch was taken in before.
	ErrRepeated = errors.New("an event of the batch was taken in before")
)

// Progress is how far the consumption has come.
type Progress struct {
	// Epoch is at least 1 and grows with every consumer that takes over.
	Epoch int64
	// Taken counts the events that were ever taken in.
	Taken int64
	// ReplayAfter is the position up to which events are part of every stored detector state.
	ReplayAfter int64
}

// Batch is what one transaction writes: events that were never taken in before, and what follows from them.
type Batch struct {
	Epoch int64
	// Events are in the order of time and id. None: States alone are written.
	Events []Event
	// Position counts the events that were ever taken in, up to the end of this batch.
	Position int64
	// Changes are complete; Before is the rollups that they were completed with.
	Changes *Changes
	Before  Rollups
	// States are the detector states to be written, by subject; those of all events up to ReplayAfter are stored then.
	States      map[string][]byte
	ReplayAfter int64
	Findings    []detect.Finding
}

// State is what the detectors remembered of a subject after its events up to Position.
type State struct {
	Data     []byte
	Position int64
}

// Received is a received event, of which the body is not decoded, and its license as it is stored now.
type Received struct {
	Event
	Position int64
	License  *License
}

// Rollups are rows of licenses and devices, each with its latest day, and on which day each network was used last.
type Rollups struct {
	Licenses map[string]*License
	Devices  map[DeviceKey]*Device
	Networks map[NetworkKey]time.Time
}

// NewRollups returns rollups that hold nothing.
func NewRollups() Rollups {
	return Rollups{
		Licenses: map[string]*License{},
		Devices:  map[DeviceKey]*Device{},
		Networks: map[NetworkKey]time.Time{},
	}
}

// Expiry says before when each kind of row is forgotten.
type Expiry struct {
	Now time.Time
	// Events is the start of the received events, States that of what detectors, networks and devices without a seat
	// are remembered, Rollups that of days and closed anomalies.
	Events, States, Rollups time.Time
}
