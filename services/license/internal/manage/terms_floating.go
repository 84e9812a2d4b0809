package manage

import (
	"cmp"

	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// floatingTerms is what is read of floating terms: what is left out or null has its default, also in a change.
type floatingTerms struct {
	Slots          int                       `json:"slots"`
	LeaseSeconds   *int                      `json:"lease_seconds"`
	Overflow       licensing.Overflow        `json:"overflow"`
	BorrowMaxHours int                       `json:"borrow_max_hours"`
	Activation     licensing.LeaseActivation `json:"activation"`
}

func floating(o jsonbody.Optional[floatingTerms]) licensing.Optional[licensing.FloatingTerms] {
	f, t := o.Value, licensing.DefaultFloatingTerms(o.Value.Slots)
	if f.LeaseSeconds != nil {
		t.LeaseSeconds = *f.LeaseSeconds
	}
	t.Overflow = cmp.Or(f.Overflow, t.Overflow)
	t.BorrowMaxHours = f.BorrowMaxHours
	t.Activation = cmp.Or(f.Activation, t.Activation)
	return licensing.Optional[licensing.FloatingTerms]{Present: o.Present, Null: o.Null, Value: t}
}
