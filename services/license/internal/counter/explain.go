package counter

import (
	"context"
	"errors"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Facts adds to the use of a license, which is to be explained, what it needs of the counters, and answers that one of
// them is unknown. Errors: VALIDATION_ERROR.
func (s *Counters) Facts(ctx context.Context, r *licensing.Request, u Use) (*licensing.Condition, error) {
	license, counters, err := s.Store.Read(ctx, r.License.ID)
	if err != nil {
		return nil, err
	}
	l := Ledger{Change: licensing.Change{License: license}, Counters: counters}
	needs, err := l.needs(u, r.Now)
	if err == nil { // or the call would ask nothing of what it needs
		r.Needs = &needs
		return nil, nil
	}
	known := &licensing.Condition{Check: "counter_known", Before: "entitlement_granted"}
	if errors.As(err, &known.Refusal) && known.Refusal.Is(licensing.ErrCounterNotFound) {
		return known, nil
	}
	return nil, err
}
