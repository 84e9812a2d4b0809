package licensing

import (
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// PutEntitlement makes an entitlement of a license, or puts it in place of the one with its code. Errors:
// VALIDATION_ERROR, ErrNotFound, ErrVersionMismatch.
func (s *Licenses) PutEntitlement(ctx context.Context, by *Actor, licenseID string, e Entitlement) (License, error) {
	if err := problemsOf(e.problems); err != nil {
		return License{}, err
	}
	return s.changeTerms(ctx, by, licenseID, func(t *Terms) (TermsChange, error) {
		if e.Counter != "" && t.Counter(e.Counter) == nil {
			return TermsChange{}, apierr.InvalidField("counter",
				"no counter of the license has this name; "+t.knownCounters())
		}
		all := t.withEntitlement(e)
		return TermsChange{Entitlements: &all}, nil
	})
}

// DeleteEntitlement takes an entitlement from a license. Errors: ErrNotFound, ErrEntitlementNotFound,
// ErrVersionMismatch.
func (s *Licenses) DeleteEntitlement(ctx context.Context, by *Actor, licenseID, code string) (License, error) {
	return s.changeTerms(ctx, by, licenseID, func(t *Terms) (TermsChange, error) {
		if _, ok := t.Entitlement(code); !ok {
			return TermsChange{}, ErrEntitlementNotFound
		}
		left := slices.DeleteFunc(t.AllEntitlements(), func(e Entitlement) bool { return e.Code == code })
		return TermsChange{Entitlements: &left}, nil
	})
}

// PutCounter gives a license a counter, or puts its terms in place of those of the counter with its name, which goes on
// counting. Errors: those of PutEntitlement.
func (s *Licenses) PutCounter(ctx context.Context, by *Actor, licenseID string, c CounterTerms) (License, error) {
	if err := problemsOf(c.problems); err != nil {
		return License{}, err
	}
	return s.changeTerms(ctx, by, licenseID, func(t *Terms) (TermsChange, error) {
		all := t.withCounter(c)
		return TermsChange{Counters: &all}, nil
	})
}

// DeleteCounter takes a counter, and what it counted, from a license. Errors: ErrNotFound, ErrCounterNotFound,
// ErrCounterInUse, ErrVersionMismatch.
func (s *Licenses) DeleteCounter(ctx context.Context, by *Actor, licenseID, name string) (License, error) {
	return s.changeTerms(ctx, by, licenseID, func(t *Terms) (TermsChange, error) {
		if t.Counter(name) == nil {
			return TermsChange{}, ErrCounterNotFound
		}
		if slices.ContainsFunc(t.Entitlements, func(e Entitlement) bool { return e.Counter == name }) {
			return TermsChange{}, ErrCounterInUse
		}
		left := slices.DeleteFunc(slices.Clone(t.Counters), func(c CounterTerms) bool { return c.Name == name })
		return TermsChange{Counters: &left}, nil
	})
}

// problemsOf is a VALIDATION_ERROR with what note finds wrong, nil for nothing.
func problemsOf(note func(p map[string]string, path string)) error {
	p := apierr.Fields{}
	note(p, "")
	return p.Err()
}

// changeTerms changes terms by what they are under the lock of the license.
func (s *Licenses) changeTerms(
	ctx context.Context, by *Actor, licenseID string, change func(*Terms) (TermsChange, error),
) (License, error) {
	var out License
	err := s.Store.Change(ctx, licenseID, nil, func(ch *Change) error {
		c, err := change(&ch.License.Terms)
		if err != nil {
			return err
		}
		p := Patch{TermsChange: c}
		if err := p.check(); err != nil {
			return err
		}
		if err := ch.patch(by, p, s.Clock.Now()); err != nil {
			return err
		}
		out = ch.License
		return nil
	})
	return out, err
}
