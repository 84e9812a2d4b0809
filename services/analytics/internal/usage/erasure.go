package usage

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/proto/erasure"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Erasure is a license of a customer that was erased.
type Erasure struct {
	LicenseID string
	erasure.Rule
	// Had tells that the license belongs to another customer now: the former customer's id alone is erased.
	Had bool
}

// Clean returns what is left of an event of the license that happened at a time, and whether it is less.
func (e *Erasure) Clean(data []byte, at time.Time) ([]byte, bool) {
	if e.Had {
		return e.Rename(data, at)
	}
	return e.Apply(data, at)
}

// ErasureOf reads what an event erases of a license; nil for events that erase nothing of one.
func ErasureOf(e *Event) (*Erasure, error) {
	if e.Type != eventsv1.TypeCustomerErased || e.LicenseID == "" {
		return nil, nil
	}
	var m eventsv1.CustomerErased
	if err := (event.Event{ID: e.EventID, Type: e.Type, Data: e.Data}).Into(&m); err != nil {
		return nil, err
	}
	return &Erasure{LicenseID: e.LicenseID, Had: m.GetHad(), Rule: erasure.RuleOf(&m)}, nil
}
