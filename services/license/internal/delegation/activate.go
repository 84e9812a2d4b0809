package delegation

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Keys are the use cases of those who hold a key.
type Keys struct {
	Store    Store
	Licenses Licenses
	Seats    *licensing.Seats
	Tokens   TokenKeys
	Clock    clock.Clock
}

// Find is the master or slave whose key text is. Errors: ErrKey, with the cause secret.ErrEnded for one that was
// revoked, and ErrUnknownKey for one that nobody has.
func (s *Keys) Find(ctx context.Context, text string) (Key, error) {
	if any, err := s.Store.HasMasters(ctx); err != nil || !any {
		return Key{}, cmp.Or[error](err, ErrKey)
	}
	found, err := s.Store.FindKey(ctx, SumOf(text))
	switch {
	case err != nil:
		return Key{}, err
	case found == nil:
		return Key{}, ErrKey.WithCause(ErrUnknownKey)
	case found.ended():
		return Key{}, ErrKey.WithCause(secret.ErrEnded)
	}
	return *found, nil
}

// Unknown publishes that a client came with a key that nobody has, as with a license key.
func (s *Keys) Unknown(text string, c licensing.Client) {
	s.Seats.ActivationRefused(s.Clock.Now(), "", text, c, licensing.ErrNotFound)
}

// NewSlave is a slave that has just been made, and its key.
type NewSlave struct {
	Slave
	Key string
}

// AddSlave makes a slave of the master whose key was sent. Errors: ErrKey for the key of a slave or one that was
// revoked meanwhile, ErrTooManySlaves.
func (s *Keys) AddSlave(ctx context.Context, k Key, comment string) (NewSlave, error) {
	if k.Slave != nil {
		return NewSlave{}, ErrKey
	}
	made := NewSlave{Key: newKey(slaveBytes), Slave: Slave{
		ID:             newID(),
		OrganisationID: k.Master.OrganisationID,
		MasterID:       k.Master.ID,
		Comment:        comment,
		CreatedAt:      s.Clock.Now(),
	}}
	return made, s.Store.InTransaction(ctx, func(ctx context.Context) error {
		room := 0
		selected := Selection{OrganisationID: k.Master.OrganisationID, MasterID: k.Master.ID}
		err := s.Store.ChangeAccount(ctx, selected, func(a *Account) error {
			if a.Key == nil || a.Key.ended() {
				return ErrKey.WithCause(secret.ErrEnded)
			}
			room = a.Organisation.TotalCredit + SpareSlaves
			return nil
		})
		if err != nil {
			return err
		}
		live, err := s.Store.LiveSlaves(ctx, k.Master.OrganisationID)
		switch {
		case err != nil:
			return err
		case live >= room:
			return ErrTooManySlaves
		}
		return s.Store.CreateSlave(ctx, made.Slave, SumOf(made.Key))
	})
}

// Activation is what a device was given, and the account afterwards.
type Activation struct {
	Token                   string
	TotalCredit, UsedCredit int
}

// Activate gives the device that c names a seat of the license of the key's master, and a token. The first activation
// of a device costs the organisation one credit, further ones cost nothing, whatever is left. Errors: ErrKey,
// ErrSlaveUsed, ErrOtherMaster, ErrNoCredit, the verdicts on an activation and on a file.
func (s *Keys) Activate(ctx context.Context, k Key, c licensing.Client) (Activation, error) {
	c.OSName = k.Master.OperatingSystem
	made, err := s.activate(ctx, k, c)
	if err != nil {
		s.Seats.ActivationRefused(s.Clock.Now(), k.Master.LicenseID, "", c, err)
	}
	return made, err
}

func (s *Keys) activate(ctx context.Context, k Key, c licensing.Client) (made Activation, err error) {
	caller, err := s.Seats.Caller(ctx, k.Master.LicenseID, &c)
	if err != nil {
		return Activation{}, err
	}
	// The key is read before the transaction begins.
	key, err := s.Tokens.Delegated(ctx)
	if err != nil {
		return Activation{}, err
	}
	a := Activated{
		MasterID:        k.Master.ID,
		LicenseID:       k.Master.LicenseID,
		Product:         k.Master.Product,
		OperatingSystem: k.Master.OperatingSystem,
		RuntimeKey:      c.HardwareID,
	}
	if k.Slave != nil {
		a.SlaveID = k.Slave.ID
	}
	if a.Token, err = sign(key, &a); err != nil {
		return Activation{}, err
	}
	seat, isNew := licensing.Device{}, false
	err = s.Store.InTransaction(ctx, func(ctx context.Context) error {
		now := s.Clock.Now()
		account, err := s.charge(ctx, k.Master.OrganisationID, a, now)
		if err != nil {
			return err
		}
		made, isNew = account.activation(a), account.Made != nil
		return s.Licenses.Change(ctx, a.LicenseID, []string{a.RuntimeKey}, func(ch *licensing.Change) error {
			d, err := ch.SeatForDelegation(caller, account.told(), now)
			if err == nil {
				seat = *d
			}
			return err
		})
	})
	if err == nil && !isNew {
		s.Seats.NoteSeen(&seat, c)
	}
	return made, err
}

// charge settles the account. Accounts are locked before licenses.
func (s *Keys) charge(ctx context.Context, organisationID string, a Activated, now time.Time) (*Account, error) {
	var settled *Account
	selected := Selection{
		OrganisationID: organisationID, MasterID: a.MasterID, SlaveID: a.SlaveID, RuntimeKey: a.RuntimeKey,
	}
	err := s.Store.ChangeAccount(ctx, selected, func(account *Account) error {
		settled = account
		return account.charge(a, now)
	})
	return settled, err
}

// charge is the rule of charging, under the lock of the organisation.
func (a *Account) charge(of Activated, now time.Time) error {
	if a.Key == nil || a.Key.ended() {
		return ErrKey.WithCause(secret.ErrEnded)
	}
	if a.Key.Slave != nil {
		if err := a.Key.Slave.freeze(of.RuntimeKey, now); err != nil {
			return err
		}
	}
	if a.Known != nil { // first, so that it holds with an empty balance, too
		if a.Known.Product != of.Product || a.Known.OperatingSystem != of.OperatingSystem {
			return ErrOtherMaster
		}
		return nil
	}
	o := &a.Organisation
	if o.UsedCredit >= o.TotalCredit {
		return ErrNoCredit
	}
	o.UsedCredit++
	a.Made = o.charged(ChargeActivation, 1, now)
	a.Made.Activated = of
	return nil
}

// charged is a charge that leads to the organisation as it is.
func (o *Organisation) charged(kind string, amount int, now time.Time) *Charge {
	return &Charge{
		ID:             uuid.Must(uuid.NewV7()).String(),
		OrganisationID: o.ID,
		Kind:           kind,
		Amount:         amount,
		TotalCredit:    o.TotalCredit,
		UsedCredit:     o.UsedCredit,
		At:             now,
	}
}

// freeze ties the slave to its first device.
func (v *Slave) freeze(runtimeKey string, now time.Time) error {
	if v.RuntimeKey == "" {
		v.RuntimeKey, v.UsedAt = runtimeKey, now
	}
	if v.RuntimeKey != runtimeKey {
		return ErrSlaveUsed
	}
	return nil
}

// activation is what is answered. A device that was charged for before gets the token of that time, unless its master
// had another license then, which that token names.
func (a *Account) activation(of Activated) Activation {
	token := of.Token
	if a.Known != nil && a.Known.LicenseID == of.LicenseID {
		token = a.Known.Token
	}
	return Activation{Token: token, TotalCredit: a.Organisation.TotalCredit, UsedCredit: a.Organisation.UsedCredit}
}

// told is what the event of an activation says; nil for one that cost nothing, and has no event.
func (a *Account) told() *licensing.Delegation {
	if a.Made == nil {
		return nil
	}
	return &licensing.Delegation{
		OrganisationID: a.Organisation.ID,
		MasterID:       a.Made.MasterID,
		SlaveID:        a.Made.SlaveID,
		TotalCredit:    a.Organisation.TotalCredit,
		UsedCredit:     a.Organisation.UsedCredit,
	}
}
