package licensing

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// Needs are what a call needs of a license beside a seat.
type Needs struct {
	// Entitlements are codes, all of which must be granted.
	Entitlements []string
	Counters     []CounterNeed
}

// CounterNeed is what a call wants to consume.
type CounterNeed struct {
	Terms *CounterTerms
	// Used is what was consumed in this period, Amount what comes to it.
	Used, Amount int64
	// ResetsAt is when the counter starts again at 0, zero for never.
	ResetsAt time.Time
}

// hasRoom holds for whatever takes nothing, also where the limit was lowered below what is used.
func (n *CounterNeed) hasRoom() bool {
	return n.Amount <= 0 || n.Used <= n.Terms.Ceiling()-n.Amount
}

// Lacking is the first of the needed entitlements that the license does not grant now; ok is false where it grants all.
func (r Request) Lacking() (code string, why *apierr.Error, ok bool) {
	if r.Needs != nil {
		for _, code := range r.Needs.Entitlements {
			if why := r.License.Grants(code, r.Now); why != nil {
				return code, why, true
			}
		}
	}
	return "", nil, false
}

func (r Request) lacks(reason *apierr.Error) bool {
	_, why, lacking := r.Lacking()
	return lacking && why == reason
}

// Full is the first of the needed counters that has no room, nil where all have.
func (r Request) Full() *CounterNeed {
	if r.Needs != nil {
		for i := range r.Needs.Counters {
			if n := &r.Needs.Counters[i]; !n.hasRoom() {
				return n
			}
		}
	}
	return nil
}

// neededEntitlements are the facts of the checks of entitlements: what the license grants, and what the call needs.
func neededEntitlements(r Request) (granted, needed any) {
	if r.Needs == nil || len(r.Needs.Entitlements) == 0 {
		return nil, nil
	}
	return r.License.UsableFeatures(r.Now), r.Needs.Entitlements
}

// neededCounters are the facts of the check of counters: by their names what each would count, and its ceiling.
func neededCounters(r Request) (wanted, ceilings any) {
	if r.Needs == nil || len(r.Needs.Counters) == 0 {
		return nil, nil
	}
	would, most := map[string]int64{}, map[string]int64{}
	for _, n := range r.Needs.Counters {
		would[n.Terms.Name], most[n.Terms.Name] = max(0, n.Used+n.Amount), n.Terms.Ceiling()
	}
	return would, most
}

// Require is what Seats.ValidateAnd asks of a license that must grant entitlements.
func Require(codes []string) func(context.Context, Request) error {
	return func(_ context.Context, r Request) error {
		r.Needs = &Needs{Entitlements: codes}
		return Decide(r)
	}
}
