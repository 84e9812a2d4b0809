package licensing

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
)

// MaxBulk is how many licenses one bulk change may be about. Each license is changed or refused by itself; how many
// share a transaction is bulkChunk of package manage.
const MaxBulk = 10_000

// Action is a change that is made to each of many licenses, in the name of by.
type Action func(ch *Change, by *Actor, now time.Time) error

// BulkResult is what came of an Action for one license.
type BulkResult struct {
	LicenseID string
	// Refusal is nil where the license changed, or had nothing to change.
	Refusal error
	// Before and After are the members that differ, by their public names.
	Before, After map[string]any
}

// RenewAll is Renew for many licenses. Errors: VALIDATION_ERROR.
func (s *Licenses) RenewAll(r Renewal) (Action, error) {
	return func(ch *Change, by *Actor, now time.Time) error { return ch.alter(by, r.alteration(now), now) }, r.check()
}

// SuspendAll is Suspend for many licenses. Errors: VALIDATION_ERROR.
func (s *Licenses) SuspendAll(n NewSuspension) (Action, error) {
	return func(ch *Change, by *Actor, now time.Time) error {
		return ch.alter(by, n.alteration(now), now)
	}, n.check(s.Clock.Now())
}

// ReinstateAll is Reinstate for many licenses.
func (s *Licenses) ReinstateAll() Action {
	return func(ch *Change, by *Actor, now time.Time) error { return ch.alter(by, reinstatement(now), now) }
}

// ConvertAll is Convert for many licenses. Errors: VALIDATION_ERROR.
func (s *Licenses) ConvertAll(ctx context.Context, c Conversion) (Action, error) {
	policy, err := s.boughtPolicy(ctx, &c)
	return func(ch *Change, by *Actor, now time.Time) error {
		return ch.alter(by, conversion(&c, policy, now), now)
	}, err
}

// UpdateAll is Update for many licenses. Errors: VALIDATION_ERROR.
func (s *Licenses) UpdateAll(p Patch) (Action, error) {
	p.ShortLeases = s.ShortLeases
	return func(ch *Change, by *Actor, now time.Time) error { return ch.patch(by, p, now) }, p.check()
}

// ChangePolicyAll is ChangePolicy for many licenses. Errors: VALIDATION_ERROR.
func (s *Licenses) ChangePolicyAll(ctx context.Context, code string) (Action, error) {
	if code == "" {
		return nil, apierr.InvalidField("policy", "is required")
	}
	reader := policyReader{reads: s.Reads}
	policy, err := reader.named(ctx, code)
	return func(ch *Change, by *Actor, now time.Time) error { return ch.takePolicy(by, policy, now) }, err
}

// Apply makes a change to licenses within the transaction in ctx, each standing alone, and tells of each in its turn.
// One that is refused leaves nothing behind. Errors: outages only.
func (s *Licenses) Apply(ctx context.Context, by *Actor, ids []string, do Action, tell func(BulkResult)) error {
	if err := s.Store.Lock(ctx, ids); err != nil {
		return err
	}
	return s.each(ids, func(id string, decide func(*Change) error) error {
		return s.Store.Change(ctx, id, nil, decide)
	}, by, do, tell)
}

// Try tells what Apply would do, and does nothing.
func (s *Licenses) Try(ctx context.Context, by *Actor, ids []string, do Action, tell func(BulkResult)) error {
	reads := triedReads{reads: s.Reads, ctx: ctx, groups: map[string]*Group{}}
	return s.each(ids, func(id string, decide func(*Change) error) error {
		l, err := s.Reads.Find(ctx, id)
		if err != nil {
			return err
		}
		return decide(&Change{License: l, Reads: reads})
	}, by, do, tell)
}

// triedReads finds what a change that is only tried asks for, without locks.
type triedReads struct {
	LockedReads // of devices, nothing is asked
	reads       Reads
	ctx         context.Context
	// groups are those that were asked for, with the places that they have given away meanwhile.
	groups map[string]*Group
}

// Group implements LockedReads.
func (r triedReads) Group(id string) (*Group, error) {
	if g := r.groups[id]; g != nil {
		return g, nil
	}
	g, err := r.reads.Group(r.ctx, id)
	if err == nil {
		r.groups[id] = g
	}
	return g, err
}

// each keeps no result: ten thousand licenses with all their metadata, before and after, would be gigabytes.
func (s *Licenses) each(
	ids []string, change func(id string, decide func(*Change) error) error, by *Actor, do Action,
	tell func(BulkResult),
) error {
	for _, id := range ids {
		r := BulkResult{LicenseID: id}
		r.Refusal = change(id, func(ch *Change) error {
			before := ch.License.auditView()
			if err := do(ch, by, s.Clock.Now()); err != nil {
				return err
			}
			r.Before, r.After = audit.Changes(before, ch.License.auditView())
			delete(r.Before, "version")
			delete(r.After, "version")
			return nil
		})
		if IsOutage(r.Refusal) {
			return r.Refusal
		}
		tell(r)
	}
	return nil
}

// ErrTooMany refuses a filter that matches more licenses than one bulk change may be about.
var ErrTooMany = apierr.InvalidField("filter",
	"matches more than 10000 licenses; narrow it, for example by created_before and created_after, and send several "+
		"calls")

// Select is the ids of the licenses that f selects. Errors: ErrTooMany.
func (s *Licenses) Select(ctx context.Context, f Filter) ([]string, error) {
	ids, err := s.Reads.LicenseIDs(ctx, f, s.Clock.Now(), MaxBulk+1)
	if err == nil && len(ids) > MaxBulk {
		err = ErrTooMany
	}
	return ids, err
}

// SelectOfPolicy is the ids of the licenses that have a policy. Errors: VALIDATION_ERROR where they are too many.
func (s *Licenses) SelectOfPolicy(ctx context.Context, code string) ([]string, error) {
	ids, err := s.Select(ctx, Filter{Policy: &code})
	if errors.Is(err, ErrTooMany) {
		err = errTooManyOfPolicy
	}
	return ids, err
}
