package counter

import (
	"context"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Facts adds to the use of a license, which is to be explained, what it needs of the counters. Errors:
// VALIDATION_ERROR.
func (s *Counters) Facts(ctx context.Context, r *licensing.Request, u Use) error {
	license, counters, err := s.Store.Read(ctx, r.License.ID)
	if err != nil {
		return err
	}
	l := Ledger{Change: licensing.Change{License: license}, Counters: counters}
	needs, err := l.needs(u, r.Now)
	if err == nil { // or the call would ask nothing of what it needs
		r.Needs = &needs
	}
	return err
}
