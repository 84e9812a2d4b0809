package counter

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Use is what a call consumes.
type Use struct {
	// Amounts are by the names of counters.
	Amounts map[string]int64
	// Entitlement is consumed where Amounts is empty: Amount counts on its counter.
	Entitlement string
	Amount      int64
	// Member is the member of the request with the amount, where it names one counter.
	Member string
	// OperationID names the operation within the license, empty for one that cannot be repeated or undone.
	OperationID string
	// Required are further entitlements that must be granted.
	Required []string
	// Happened tells of what a device with a seat consumed without the server: limits and the state of the license keep
	// nothing of it from being counted, and what nothing counts any more is left out. Of a device that acted by a
	// lease which is over, it counts only where Late tells that this was not reported before.
	Happened, Late bool
}

// Consumption is what was consumed, and what the counters show afterwards.
type Consumption struct {
	License     *licensing.License
	OperationID string
	States      []State
	// Undone tells of an operation that was undone since: nothing of it counts any more.
	Undone bool
	device *licensing.Device
}

// OperationRetention is how long the store keeps an operation: the 24 hours that callers are promised, and a reserve.
const OperationRetention = 25 * time.Hour

// Consume counts what a device consumes, or repeats its answer for an operation that was carried out before. Whether
// there is room, overage included, is decided by the row counter_has_room of licensing/verdict.go, which measures by
// CounterTerms.Ceiling. Errors: licensing.ErrNotFound, the verdicts on the use of the license, ErrReused,
// VALIDATION_ERROR.
func (s *Counters) Consume(ctx context.Context, key string, c licensing.Client, u Use) (Consumption, error) {
	found, _, err := s.Seats.LicenseByKey(ctx, key, &c)
	if err != nil {
		return Consumption{}, err
	}
	now := s.Clock.Now()
	done, err := s.consume(ctx, found.ID, &c, u, now)
	if err != nil {
		return Consumption{}, s.Seats.UseRefused(now, found.ID, key, c, err)
	}
	if done.device != nil {
		s.Seats.NoteSeen(done.device, c)
	}
	return done, nil
}

func (s *Counters) consume(
	ctx context.Context, licenseID string, c *licensing.Client, u Use, now time.Time,
) (done Consumption, err error) {
	caller, err := s.Seats.RecognizedForUse(ctx, licenseID, c)
	if err != nil {
		return Consumption{}, err
	}
	err = s.Seats.Rebound(ctx, licenseID, c, func(ctx context.Context) error {
		selected := Selection{LicenseID: licenseID, HardwareID: c.HardwareID, OperationID: u.OperationID}
		return s.change(ctx, selected, func(l *Ledger) (err error) {
			done, err = l.consume(caller, u, now)
			return err
		})
	})
	if err != nil {
		return Consumption{}, err
	}
	return done, nil
}

// Validate is licensing.Seats.Validate for a call that consumes as well: it does both or neither. Errors: those of
// both.
func (s *Counters) Validate(
	ctx context.Context, key string, c licensing.Client, u Use,
) (licensing.Validation, []State, error) {
	var done Consumption
	v, err := s.Seats.ValidateAnd(ctx, key, c, func(ctx context.Context, r licensing.Request) (err error) {
		c.HardwareID = r.HardwareID
		done, err = s.consume(ctx, r.License.ID, &c, u, r.Now)
		return err
	})
	v.Cached = false
	return v, done.States, err
}

// consume is the rule of consumption, under the lock of the license.
func (l *Ledger) consume(c licensing.Caller, u Use, now time.Time) (Consumption, error) {
	if o := l.Operations[u.OperationID]; o != nil {
		return l.repeat(o, u, c.HardwareID)
	}
	r := c.Asks(licensing.OperationUse, &l.License, l.Devices[c.HardwareID], now)
	needs, err := l.allowed(r, u, now)
	if err != nil {
		return Consumption{}, err
	}
	done := Consumption{License: &l.License, OperationID: u.OperationID, device: r.Device}
	var applied []Applied
	for i := range needs.Counters {
		a, state := l.add(needs.Counters[i].Terms, needs.Counters[i].Amount, c.HardwareID, now)
		if needs.Counters[i].Amount != 0 { // else it is only asked
			l.record(a, c.HardwareID, state.Used)
		}
		applied, done.States = append(applied, a), append(done.States, state)
	}
	if u.OperationID != "" && len(applied) > 0 {
		l.Operations[u.OperationID] = &Operation{
			ID:         u.OperationID,
			Request:    u.hash(""),
			HardwareID: c.HardwareID,
			At:         now,
			Applied:    applied,
			Answer:     done.States,
		}
	}
	return done, nil
}

// allowed is what u needs of the license, which grants it.
func (l *Ledger) allowed(r licensing.Request, u Use, now time.Time) (licensing.Needs, error) {
	if u.Happened {
		return l.happened(r, u, now)
	}
	if err := licensing.Decide(r); err != nil {
		return licensing.Needs{}, err
	}
	needs, err := l.needs(u, now)
	if err != nil {
		return licensing.Needs{}, err
	}
	r.Needs = &needs
	return needs, licensing.Decide(r)
}

// happened is what is to be counted of u, as far as the counters can.
func (l *Ledger) happened(r licensing.Request, u Use, now time.Time) (needs licensing.Needs, err error) {
	switch {
	case !r.Seated && r.License.LeaseIsSeat() && !u.Late:
		return needs, nil // the call was made before: what counted then must not count again
	case !r.Seated && !r.License.LeaseIsSeat():
		return needs, licensing.ErrNotActivated
	}
	amounts := u.Amounts
	if u.Entitlement != "" {
		e, _ := l.License.Entitlement(u.Entitlement)
		amounts = map[string]int64{e.Counter: u.Amount}
	}
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		t := l.License.Counter(name)
		if t == nil {
			continue
		}
		c, _ := l.counter(t, now)
		amount := min(max(0, amounts[name]), licensing.MaxCount-c.Used)
		needs.Counters = append(needs.Counters, licensing.CounterNeed{Terms: t, Amount: amount})
	}
	return needs, nil
}

// repeat answers as the operation did. Its device may have been called otherwise then.
func (l *Ledger) repeat(o *Operation, u Use, hardwareID string) (Consumption, error) {
	// Older versions hashed the hardware id, too.
	if o.HardwareID != hardwareID || o.Request != u.hash("") && o.Request != u.hash(hardwareID) {
		return Consumption{}, ErrReused
	}
	return Consumption{License: &l.License, OperationID: o.ID, States: o.Answer, Undone: !o.UndoneAt.IsZero()}, nil
}

// needs is what u needs of the license, its counters in the order of their names.
func (l *Ledger) needs(u Use, now time.Time) (licensing.Needs, error) {
	needs := licensing.Needs{Entitlements: slices.Clip(u.Required)}
	amounts := u.Amounts
	if u.Entitlement != "" {
		needs.Entitlements = append(needs.Entitlements, u.Entitlement)
		e, _ := l.License.Entitlement(u.Entitlement)
		switch {
		case l.License.Grants(e.Code, now) != nil:
			return needs, nil // which is refused
		case e.Counter == "":
			return needs, errNoEntitlementCounter.With("entitlement", e.Code)
		}
		amounts = map[string]int64{e.Counter: u.Amount}
	}
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		n, err := l.need(name, amounts[name], cmp.Or(u.Member, "consume."+name), now)
		if err != nil {
			return needs, err
		}
		needs.Counters = append(needs.Counters, n)
		needs.Entitlements = append(needs.Entitlements, l.entitlementsOf(name, now)...)
	}
	return needs, nil
}

// entitlementsOf is the entitlement that consumption of a counter needs: one of those that name it, none where none
// does.
func (l *Ledger) entitlementsOf(counter string, now time.Time) (codes []string) {
	for i := range l.License.Entitlements {
		if e := &l.License.Entitlements[i]; e.Counter == counter {
			if codes = append(codes, e.Code); l.License.Grants(e.Code, now) == nil {
				return codes[len(codes)-1:]
			}
		}
	}
	return codes[:min(1, len(codes))]
}

func (l *Ledger) need(name string, amount int64, member string, now time.Time) (licensing.CounterNeed, error) {
	t := l.License.Counter(name)
	if t == nil {
		return licensing.CounterNeed{}, unknownCounter(&l.License, name)
	}
	if amount < 0 && !t.AllowNegative {
		return licensing.CounterNeed{}, apierr.InvalidField(member,
			"must not be negative: this counter allows no giving back")
	}
	c, _ := l.counter(t, now)
	return licensing.CounterNeed{Terms: t, Used: c.Used, Amount: amount, ResetsAt: c.ResetsAt}, nil
}

// hash is equal for requests that consume the same. The hardware id is empty but for operations of older versions.
func (u *Use) hash(hardwareID string) string {
	text, _ := json.Marshal([]any{hardwareID, u.Amounts, u.Entitlement, u.Amount}) // texts and numbers always marshal
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
