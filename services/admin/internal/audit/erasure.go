package audit

import (
	"github.com/latchkey-dev/latchkey/proto/erasure"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Erasure is what the log must forget of a customer. Which members that are says proto/erasure; entries that arrive
// later are cleaned by store/erasure.go.
type Erasure struct {
	erasure.Rule
	// LicenseID is a license that the customer has or had; empty for the entries that name the customer and no license.
	LicenseID string
	// Had tells that the license belongs to another customer now: the former customer's id alone is erased.
	Had bool
}

// NewErasure is what an event tells to erase.
func NewErasure(m *eventsv1.CustomerErased) Erasure {
	return Erasure{LicenseID: m.GetLicenseId(), Had: m.GetHad(), Rule: erasure.RuleOf(m)}
}

// Clean takes what is to be forgotten out of an entry that the erasure is about, and reports whether there was
// anything. Who made the change stays.
func (x *Erasure) Clean(e *Entry) bool {
	if !x.Concerns(e.OccurredAt) {
		return false
	}
	changed := false
	for _, members := range []*[]byte{(*[]byte)(&e.Before), (*[]byte)(&e.After)} {
		if len(*members) == 0 {
			continue
		}
		clean, less := x.clean(*members, e)
		if less {
			*members, changed = clean, true
		}
	}
	return changed
}

func (x *Erasure) clean(members []byte, e *Entry) ([]byte, bool) {
	switch {
	case x.Had:
		return x.Rename(members, e.OccurredAt)
	case x.LicenseID != "":
		return x.Apply(members, e.OccurredAt)
	}
	renamed, names := x.Rename(members, e.OccurredAt)
	if !names {
		return members, false
	}
	if clean, less := x.Apply(renamed, e.OccurredAt); less {
		renamed = clean
	}
	return renamed, true
}
