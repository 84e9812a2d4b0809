package lease

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Proof is what a lease token says: which lease the caller has, or had.
type Proof struct {
	LicenseID, LeaseID string
	Holder
}

func (p *Proof) call() Call {
	return Call{LicenseID: p.LicenseID, LeaseID: p.LeaseID, Holder: p.Holder}
}

// Renew extends a live lease. Errors: ErrNotFound, EndedError, and the verdicts on a lease.
func (s *Leases) Renew(ctx context.Context, proof Proof, c licensing.Client) (Grant, error) {
	caller, err := s.Seats.HolderOf(ctx, proof.LicenseID, &c)
	if err != nil {
		return Grant{}, err
	}
	renew := func(p *Pool) (Grant, error) { return p.renew(proof.LeaseID, caller) }
	g, err := s.grant(ctx, proof.call(), c, renew)
	if err != nil {
		return Grant{}, s.recordDenial(proof.LicenseID, c, err)
	}
	return g, nil
}

func (p *Pool) renew(id string, caller licensing.Caller) (Grant, error) {
	l, err := p.find(id)
	if err == nil {
		err = p.ended(l)
	}
	if err == nil {
		err = p.judge(wish{Holder: l.Holder, held: l, entitlement: l.Entitlement, caller: caller})
	}
	if err != nil {
		return Grant{}, err
	}
	p.extend(l, time.Time{})
	return p.granted(l, false), nil
}
