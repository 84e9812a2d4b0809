package usage

import (
	"errors"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

// ErrFenced says that another process has become the consumer since the epoch was taken; nothing was written.
var ErrFenced = errors.New("another process has become the consumer of the events; what this one remembers is out of date")

// Batch is what a transaction takes in: events never taken before, in the order of time and id, and their licenses as they
// are after them.
type Batch struct {
	Events   []Event
	Licenses map[string]*License
	// Position counts the events that were ever taken, up to the end of this batch.
	Position int64
	// States reads what the detectors remembered of subjects; those without memory are absent.
	States func(subjects []string) (map[string]State, error)
	// Replay tells, in the order in which they were judged, the events after the last verdict's ReplayAfter.
	Replay func(each func(*Replayed) error) error
}

// State is what the detectors remembered of a subject after its events up to Position.
type State struct {
	Data     []byte
	Position int64
}

// Replayed is an event of the log, without its body, and its license as it is stored now.
type Replayed struct {
	Event
	Position int64
	License  *License
}

// Verdict is what the detectors made of a batch. The states of subjects are written now and then: those of events up to ReplayAfter
// are, and the others can be made again from the log.
type Verdict struct {
	States      map[string][]byte
	ReplayAfter int64
	Findings    []detect.Finding
}

// Judge runs the detectors over a batch. It may be called again for the same batch when a transaction is repeated.
type Judge func(*Batch) (*Verdict, error)
