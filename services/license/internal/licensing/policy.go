package licensing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/nearest"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Policy is a named set of terms. A license keeps its own copy of them, made when it takes the policy.
type Policy struct {
	Code string
	// Product is the code of the product for whose licenses the policy is, empty for any.
	Product string
	Terms
}

// PolicyProblems notes what is wrong with a change of any policy, by public names.
func (c *TermsChange) PolicyProblems(problems map[string]string) {
	c.problems(problems)
	if c.ExpiresInDays != nil {
		problems["expires_in_days"] = "counts from the creation of a license; send duration_days in a policy"
	}
}

// Apply changes the terms of the policy. Errors: VALIDATION_ERROR where they contradict one another.
func (p *Policy) Apply(c *TermsChange, now time.Time) error {
	before := p.Terms
	p.Terms.apply(c)
	if c.ExpiresAt.Present {
		p.ExpiresAt = c.ExpiresAt.Value.orNever(c.ExpiresAt.Null, &p.Terms)
	}
	problems := apierr.Fields{}
	p.contradictions(problems, &before)
	if p.endlessTrial() && !before.endlessTrial() { // one that was accepted earlier stays
		problems["is_trial"] = endlessTrial
	}
	if p.TrialsOver(now) && !(before.IsTrial && before.ExpiresAt.Equal(p.ExpiresAt)) {
		problems["expires_at"] = endedTrial
	}
	return problems.Err()
}

// View is what the audit log shows of the terms of the policy, by their public names.
func (p *Policy) View() map[string]any { return p.Terms.View() }

// Snapshot is the terms of the policy as events carry them.
func (p *Policy) Snapshot() *eventsv1.Terms { return termsSnapshot(&p.Terms, time.Time{}) }

// policyReader reads each policy once.
type policyReader struct {
	reads Reads
	known map[string]*Policy
}

// named is the policy that a request names, nil where it names none. Errors: VALIDATION_ERROR.
func (r *policyReader) named(ctx context.Context, code string) (*Policy, error) {
	if code == "" {
		return nil, nil
	}
	policy, known := r.known[code]
	if known {
		return policy, nil
	}
	policy, err := r.reads.Policy(ctx, code)
	if err == nil && policy == nil {
		err = r.unknown(ctx, code)
	}
	if err != nil {
		return nil, err
	}
	if r.known == nil {
		r.known = map[string]*Policy{}
	}
	r.known[code] = policy
	return policy, nil
}

// unknown names the policy that may be meant.
func (r *policyReader) unknown(ctx context.Context, code string) error {
	codes, err := r.reads.PolicyCodes(ctx)
	if err != nil {
		return err
	}
	problem := "no policy has this code"
	if near := nearest.Name(code, codes); near != "" {
		problem += "; did you mean " + near + "?"
	}
	return apierr.InvalidField("policy", problem)
}

// IsOutage tells of a failure that is no refusal of what was asked for.
func IsOutage(err error) bool {
	var typed *apierr.Error
	return err != nil && (!errors.As(err, &typed) || typed.Kind == apierr.Internal || typed.Kind == apierr.Unavailable)
}

// takePolicy gives a license that is being made the terms of a policy, nil for none, and tells what is wrong with that.
// product is what the license named as its product.
func (l *License) takePolicy(p *Policy, product string, now time.Time) (problem string) {
	if p == nil {
		return ""
	}
	if p.Product != "" && product != "" && p.Product != product {
		return otherProduct(p)
	}
	if p.Product != "" {
		l.Product = p.Product
	}
	l.Policy = p.Code
	l.setTerms(p.Terms, now)
	return ""
}

func otherProduct(p *Policy) string {
	return fmt.Sprintf("is for licenses of the product %s", p.Product)
}

// setTerms replaces all terms. A running end stays where the new terms have a duration: renewals go by that from then
// on.
func (l *License) setTerms(t Terms, now time.Time) {
	end := t.ExpiresAt
	if end.IsZero() && t.hasDuration() {
		end = l.ExpiresAt
	}
	usableUntil := l.UsableUntil()
	t.ExpiresAt = l.ExpiresAt
	l.Terms = t
	l.keepFreedSeats()
	l.setExpiry(end, now)
	if l.Announced != StatusNotStarted && !l.UsableUntil().Equal(usableUntil) { // another grace is another end
		l.Announced = ""
	}
}

// ChangePolicy gives a license the terms of another policy, or the present ones of its own policy. Errors:
// VALIDATION_ERROR, ErrNotFound.
func (s *Licenses) ChangePolicy(ctx context.Context, by *Actor, licenseID, code string) (License, error) {
	if code == "" {
		return License{}, apierr.InvalidField("policy", "is required")
	}
	reader := policyReader{reads: s.Reads}
	policy, err := reader.named(ctx, code)
	if err != nil {
		return License{}, err
	}
	var out License
	err = s.Store.Change(ctx, licenseID, nil, func(ch *Change) error {
		err := ch.takePolicy(by, policy, s.Clock.Now())
		out = ch.License
		return err
	})
	return out, err
}

// takePolicy gives the license the terms of a policy. One that has them already stays as it is. A trial that takes the
// policy of full licenses was sold, and is converted; what was sold does not become a trial again because its policy
// makes trials.
func (ch *Change) takePolicy(by *Actor, p *Policy, now time.Time) error {
	ch.Announce(now) // as alter does
	before := ch.License
	l := &ch.License
	switch {
	case p.Product != "" && p.Product != l.Product:
		return apierr.InvalidField("policy", otherProduct(p))
	case p.IsTrial && !l.IsTrial:
		return apierr.InvalidField("policy", "makes trials, and the license is not one, or no longer; to make it one "+
			"anyway, set its terms and is_trial by PATCH")
	case l.IsTrial && !p.IsTrial:
		return ch.alter(by, conversion(&Conversion{}, p, now), now)
	}
	l.Policy = p.Code
	l.setTerms(p.Terms, now)
	if l.endsBeforeStart() && !before.endsBeforeStart() {
		return apierr.InvalidField("policy", "the license would start at its end or later: "+neverUsable)
	}
	l.begin(now)
	was, is := audit.Changes(before.auditView(), l.auditView())
	if len(is) == 0 {
		ch.License = before
		return nil
	}
	l.touch(now)
	ch.Emit(updated(l, slices.Sorted(maps.Keys(is)), now))
	ch.Emit(audited(by, "license.change_policy", l.ID, was, is))
	return nil
}
