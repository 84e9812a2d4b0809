package catalog

import (
	"context"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Policies are the use cases of administrators for policies.
type Policies struct {
	Store PolicyStore
	Clock clock.Clock
	// ShortLeases admits leases too short for production.
	ShortLeases bool
}

// Policy is a named set of terms that licenses are made by.
type Policy struct {
	// ID is a UUID.
	ID   string
	Name string
	licensing.Policy
	// Version grows with each change.
	Version   int
	CreatedAt time.Time
	UpdatedAt time.Time
}

// NewPolicy is what an administrator says of a policy to be made; what is absent is as in a license without policy.
type NewPolicy struct {
	Code string
	// Product is the code of a product, empty for a policy of any.
	Product string
	PolicyChange
}

// PolicyChange changes the members that are present.
type PolicyChange struct {
	Name *string
	licensing.TermsChange
}

// Create makes a policy. Errors: VALIDATION_ERROR, ErrPolicyExists.
func (s *Policies) Create(ctx context.Context, by *licensing.Actor, n NewPolicy) (Policy, error) {
	now := s.Clock.Now()
	p := Policy{
		ID:        newID(),
		Name:      n.Code,
		Policy:    licensing.Policy{Code: n.Code, Product: n.Product, Terms: licensing.DefaultTerms()},
		Version:   1,
		CreatedAt: now,
		UpdatedAt: now,
	}
	problems := apierr.Fields{}
	checkCode(problems, p.Code)
	n.ShortLeases = s.ShortLeases
	if n.check(problems); len(problems) > 0 {
		return Policy{}, problems.Err()
	}
	if err := p.apply(&n.PolicyChange, now); err != nil {
		return Policy{}, err
	}
	err := s.Store.CreatePolicy(ctx, p, []proto.Message{
		&eventsv1.PolicyCreated{Policy: p.snapshot()}, audited(by, "policy.create", nil, p.auditView()),
	})
	return p, err
}

// Update changes a policy that has the version, where that is not nil; the licenses that took it before stay as they
// are. A change that changes nothing publishes nothing. Errors: VALIDATION_ERROR, ErrPolicyNotFound, VERSION_MISMATCH.
func (s *Policies) Update(
	ctx context.Context, by *licensing.Actor, code string, version licensing.Versions, change PolicyChange,
) (Policy, error) {
	change.ShortLeases = s.ShortLeases
	problems := apierr.Fields{}
	if change.check(problems); len(problems) > 0 {
		return Policy{}, problems.Err()
	}
	return s.Store.ChangePolicy(ctx, code, func(p *Policy) ([]proto.Message, error) {
		if err := licensing.CheckVersion(version, p.Version); err != nil {
			return nil, err
		}
		before, now := p.auditView(), s.Clock.Now()
		if err := p.apply(&change, now); err != nil {
			return nil, err
		}
		was, is := audit.Changes(before, p.auditView())
		if len(is) == 0 {
			return nil, nil
		}
		p.Version++
		p.UpdatedAt = now
		return []proto.Message{
			&eventsv1.PolicyUpdated{Policy: p.snapshot(), Changed: slices.Sorted(maps.Keys(is))},
			audited(by, "policy.update", was, withCode(is, "code", p.Code)),
		}, nil
	})
}

// Delete removes a policy; its licenses stay as they are and keep its code. Errors: ErrPolicyNotFound,
// VERSION_MISMATCH.
func (s *Policies) Delete(ctx context.Context, by *licensing.Actor, code string, version licensing.Versions) error {
	return s.Store.DeletePolicy(ctx, code, func(p *Policy) ([]proto.Message, error) {
		if err := licensing.CheckVersion(version, p.Version); err != nil {
			return nil, err
		}
		return []proto.Message{
			&eventsv1.PolicyDeleted{Policy: p.snapshot()}, audited(by, "policy.delete", p.auditView(), nil),
		}, nil
	})
}

// check notes what is wrong with the members that are present, whatever policy they are for.
func (c *PolicyChange) check(problems map[string]string) {
	if c.Name != nil {
		checkName(problems, *c.Name)
	}
	c.PolicyProblems(problems)
}

func (p *Policy) apply(c *PolicyChange, now time.Time) error {
	set(&p.Name, c.Name)
	return p.Apply(&c.TermsChange, now)
}

func (p *Policy) snapshot() *eventsv1.Policy {
	return &eventsv1.Policy{
		PolicyId:  p.ID,
		Code:      p.Code,
		Name:      p.Name,
		Product:   p.Product,
		Version:   int32(p.Version),
		CreatedAt: event.Timestamp(p.CreatedAt),
		Terms:     p.Snapshot(),
	}
}

// auditView is what the audit log shows of a policy, in the form of the public API.
func (p *Policy) auditView() map[string]any {
	view := p.View()
	maps.Copy(view, map[string]any{"code": p.Code, "name": p.Name, "product": textValue(p.Product)})
	return view
}
