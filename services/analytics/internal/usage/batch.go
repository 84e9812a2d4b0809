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
	// States reads what the detectors remembered of subjects; those without memory are absent.
	States func(subjects []string) (map[string][]byte, error)
}

// Verdict is what the detectors made of a batch: what they remember of each subject they looked at, and what they found.
type Verdict struct {
	States   map[string][]byte
	Findings []detect.Finding
}

// Judge runs the detectors over a batch. It may be called again for the same batch when a transaction is repeated.
type Judge func(*Batch) (*Verdict, error)
