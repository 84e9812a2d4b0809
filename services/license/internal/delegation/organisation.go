package delegation

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Bounds of what an administrator, or the holder of a master key, may write.
const (
	maxText = 255
	// MaxComment is the longest comment of a slave, in characters.
	MaxComment = 1000
	// MaxCredit is the most credits that an organisation may have.
	MaxCredit = 1_000_000_000
	// SpareSlaves is how many slaves an organisation may have, beyond one for each credit. Revoked ones do not count.
	SpareSlaves = 1000
)

// Organisations are the use cases of administrators.
type Organisations struct {
	Store    Store
	Licenses *licensing.Licenses
	Catalog  Catalog
	Tokens   TokenKeys
	Clock    clock.Clock
}

// Create makes an organisation with so many credits. Errors: VALIDATION_ERROR.
func (s *Organisations) Create(
	ctx context.Context, by *licensing.Actor, name string, credits int,
) (Organisation, error) {
	f := apierr.Fields{}
	f.Require("name", name)
	f.MaxLen("name", name, maxText)
	f.Range("credits", credits, 0, MaxCredit)
	if err := f.Err(); err != nil {
		return Organisation{}, err
	}
	o := Organisation{ID: newID(), Name: name, TotalCredit: credits, CreatedAt: s.Clock.Now()}
	var first *Charge
	if credits > 0 {
		first = o.credited(by, credits, "the organisation was created")
		first.At = o.CreatedAt
	}
	return o, s.Store.CreateOrganisation(ctx, o, first, audit.Entry(by, "delegated.create_organisation", nil,
		map[string]any{"organisation": o.ID, "name": o.Name, "total_credit": o.TotalCredit}))
}

// credited is the charge of credits that somebody gave.
func (o *Organisation) credited(by *licensing.Actor, amount int, reason string) *Charge {
	c := o.charged(ChargeCredit, amount, o.CreatedAt)
	c.Reason, c.ActorID, c.ActorName = reason, by.GetId(), by.GetName()
	return c
}

// AddCredit adds to the credits of an organisation; a negative amount takes unused ones away. Errors: VALIDATION_ERROR,
// ErrOrganisationNotFound.
func (s *Organisations) AddCredit(
	ctx context.Context, by *licensing.Actor, id string, amount int, reason string,
) (o Organisation, err error) {
	f := apierr.Fields{}
	f.Require("reason", reason)
	f.MaxLen("reason", reason, maxText)
	if f.Range("amount", amount, -MaxCredit, MaxCredit); amount == 0 {
		f.Add("amount", "must not be 0")
	}
	if err := f.Err(); err != nil {
		return Organisation{}, err
	}
	err = s.Store.ChangeAccount(ctx, Selection{OrganisationID: id}, func(a *Account) error {
		now := s.Clock.Now()
		before := a.Organisation.TotalCredit
		if after, used := before+amount, a.Organisation.UsedCredit; after < used || after > MaxCredit {
			return apierr.InvalidField("amount", fmt.Sprintf("must leave a total of at least %d credits, which are "+
				"used, and of at most %d", used, MaxCredit))
		}
		a.Organisation.TotalCredit += amount
		a.Made = a.Organisation.credited(by, amount, reason)
		a.Made.At, o = now, a.Organisation
		a.Emit(audit.Entry(by, "delegated.add_credit",
			map[string]any{"organisation": id, "total_credit": before},
			map[string]any{"organisation": id, "total_credit": o.TotalCredit, "amount": amount, "reason": reason}))
		return nil
	})
	return o, err
}

// WantedMaster is what an administrator says of a master to be made.
type WantedMaster struct {
	// Product is the code of a product.
	Product         string
	OperatingSystem string
	Comment         string
	// LicenseID is a license of the product whose seats the devices shall take; empty for that of the master before,
	// unless it is deactivated, or else a new one with any number of seats.
	LicenseID string
	// Key is that of a master of another system, which goes on; empty for a new one.
	Key string
}

// NewMaster is a master that has just been made. Nobody is shown the key again.
type NewMaster struct {
	Master
	Key string
	// PublicKey checks the tokens of devices.
	PublicKey ed25519.PublicKey
}

// AddMaster makes a master. Errors: VALIDATION_ERROR, ErrOrganisationNotFound, ErrMasterExists.
func (s *Organisations) AddMaster(
	ctx context.Context, by *licensing.Actor, id string, w WantedMaster,
) (made NewMaster, err error) {
	if err := s.check(ctx, &w); err != nil {
		return NewMaster{}, err
	}
	if _, err := s.Store.Organisation(ctx, id); err != nil {
		return NewMaster{}, err
	}
	// What devices check tokens by is there from now on.
	signer, err := s.Tokens.Delegated(ctx)
	if err != nil {
		return NewMaster{}, err
	}
	err = s.Store.InTransaction(ctx, func(ctx context.Context) error {
		made = NewMaster{PublicKey: signer.Public, Master: Master{
			ID:              newID(),
			OrganisationID:  id,
			Product:         w.Product,
			OperatingSystem: w.OperatingSystem,
			Comment:         w.Comment,
			CreatedAt:       s.Clock.Now(),
		}}
		// The lock keeps two from making a license each.
		err := s.Store.ChangeAccount(ctx, Selection{OrganisationID: id}, func(*Account) error { return nil })
		if err != nil {
			return err
		}
		if made.Key, err = s.takeKey(ctx, w.Key); err != nil {
			return err
		}
		if made.LicenseID, err = s.licenseFor(ctx, by, id, w); err != nil {
			return err
		}
		return s.Store.CreateMaster(ctx, made.Master, SumOf(made.Key),
			audit.Entry(by, "delegated.create_master", nil, made.auditView()))
	})
	return made, err
}

// check finds what is wrong with the master that is wanted.
func (s *Organisations) check(ctx context.Context, w *WantedMaster) error {
	f := apierr.Fields{}
	f.MaxLen("comment", w.Comment, MaxComment)
	if w.Key != "" {
		checkKey(f, "master_key", w.Key)
	}
	if !catalog.IsCode(w.OperatingSystem) {
		f.Add("operating_system", "must be 1 to 64 letters, digits, dots, hyphens and underscores, such as linux")
	}
	_, err := s.Catalog.Product(ctx, w.Product)
	if errors.Is(err, catalog.ErrProductNotFound) {
		f.Add("product", "must be the code of a product; the list of products shows them")
		err = nil
	}
	if err == nil && w.LicenseID != "" {
		err = s.checkLicense(ctx, w, f)
	}
	return cmp.Or(err, f.Err())
}

func (s *Organisations) checkLicense(ctx context.Context, w *WantedMaster, f apierr.Fields) error {
	l, err := s.Catalog.Find(ctx, w.LicenseID)
	switch {
	case errors.Is(err, licensing.ErrNotFound), err == nil && l.Product != w.Product:
		f.Add("license_id", "must be the id of a license of the product")
	case err != nil:
		return err
	case !l.IsActive:
		f.Add("license_id", "must be the id of a license that is not deactivated")
	}
	return nil
}

// licenseFor is the license of a new master. A master that takes the place of another keeps its devices, unless their
// license is deactivated: devices with a seat of that would be refused forever.
func (s *Organisations) licenseFor(
	ctx context.Context, by *licensing.Actor, organisationID string, w WantedMaster,
) (string, error) {
	if w.LicenseID != "" {
		return w.LicenseID, nil
	}
	former, err := s.Store.FormerLicense(ctx, organisationID, w.Product, w.OperatingSystem)
	if err != nil {
		return "", err
	}
	if former != "" {
		l, err := s.Catalog.Find(ctx, former)
		if err != nil || l.IsActive {
			return former, err
		}
	}
	made, err := s.Licenses.Create(ctx, by, licensing.NewLicense{
		CustomerID:  organisationID,
		Product:     w.Product,
		TermsChange: licensing.TermsChange{MaxDevices: licensing.Null[int]()},
	})
	return made.License.ID, err
}

// RevokeMaster has a master key, and those of its slaves, activate nothing any more; devices keep what they have.
// Errors: ErrMasterNotFound.
func (s *Organisations) RevokeMaster(ctx context.Context, by *licensing.Actor, id string) (Master, error) {
	m, err := s.Store.Master(ctx, id)
	if err != nil {
		return Master{}, err
	}
	err = s.Store.ChangeAccount(ctx, Selection{OrganisationID: m.OrganisationID, MasterID: id}, func(a *Account) error {
		m = a.Key.Master
		if m.RevokedAt.IsZero() {
			m.RevokedAt = s.Clock.Now()
			a.Key.Master = m
			a.Emit(audit.Entry(by, "delegated.revoke_master", m.auditView(), nil))
		}
		return nil
	})
	return m, err
}

// RevokeSlave has a slave key activate nothing any more; a device that it activated keeps what it has. Errors:
// ErrSlaveNotFound.
func (s *Organisations) RevokeSlave(ctx context.Context, by *licensing.Actor, id string) (Slave, error) {
	v, err := s.Store.Slave(ctx, id)
	if err != nil {
		return Slave{}, err
	}
	selected := Selection{OrganisationID: v.OrganisationID, MasterID: v.MasterID, SlaveID: id}
	err = s.Store.ChangeAccount(ctx, selected, func(a *Account) error {
		v = *a.Key.Slave
		if v.RevokedAt.IsZero() {
			v.RevokedAt = s.Clock.Now()
			*a.Key.Slave = v
			a.Emit(audit.Entry(by, "delegated.revoke_slave", map[string]any{
				"slave": v.ID, "master": v.MasterID, "organisation": v.OrganisationID,
			}, nil)) // without the comment, which may name a person: erasure does not reach this entry
		}
		return nil
	})
	return v, err
}

// auditView is what the audit log shows of a master.
func (m *Master) auditView() map[string]any {
	return map[string]any{
		"master": m.ID, "organisation": m.OrganisationID, "product": m.Product,
		"operating_system": m.OperatingSystem, "comment": m.Comment, "license_id": m.LicenseID,
	}
}
