package delegation

import (
	"context"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// ImportedSlave is a slave that another system made.
type ImportedSlave struct {
	Key, Comment string
	// RuntimeKey is the device that the key has activated there, empty for none.
	RuntimeKey string
}

// check names the members as the API does.
func (v *ImportedSlave) check() error {
	f := apierr.Fields{}
	checkKey(f, "slave_key", v.Key)
	f.MaxLen("comment", v.Comment, MaxComment)
	f.MaxLen("runtime_key", v.RuntimeKey, maxText)
	return f.Err()
}

// errOtherKey is for a key that is here and is not what is imported.
var errOtherKey = apierr.InvalidField("slave_key", "is a key of another master, or of another device, already")

// ImportSlave takes over a slave of a master: its key goes on, and the device that it has activated gets a seat and
// costs a credit, once. A slave that is here already is left as it is: made is false. Errors: VALIDATION_ERROR,
// ErrMasterNotFound, ErrTooManySlaves, those of Activate.
func (s *Keys) ImportSlave(
	ctx context.Context, by *licensing.Actor, masterID string, in ImportedSlave,
) (v Slave, made bool, err error) {
	if err := in.check(); err != nil {
		return Slave{}, false, err
	}
	master, err := s.Store.Master(ctx, masterID)
	if err != nil {
		return Slave{}, false, err
	}
	// What tokens are signed with is there before the transaction begins.
	if _, err := s.Tokens.Delegated(ctx); err != nil {
		return Slave{}, false, err
	}
	err = s.Store.Together(ctx, func(ctx context.Context) error {
		if v, made, err = s.importSlave(ctx, by, master, in); err != nil || in.RuntimeKey == "" {
			return err
		}
		_, err = s.activate(ctx, Key{Master: master, Slave: &v}, licensing.Client{
			HardwareID: in.RuntimeKey, OSName: master.OperatingSystem, Trusted: true,
		})
		if err == nil {
			v, err = s.Store.Slave(ctx, v.ID)
		}
		return err
	})
	return v, made, err
}

// importSlave finds or makes the row, under the lock of the organisation.
func (s *Keys) importSlave(
	ctx context.Context, by *licensing.Actor, master Master, in ImportedSlave,
) (v Slave, made bool, err error) {
	room := 0
	selected := Selection{OrganisationID: master.OrganisationID, MasterID: master.ID}
	err = s.Store.ChangeAccount(ctx, selected, func(a *Account) error {
		room = a.Organisation.TotalCredit + SpareSlaves
		return nil
	})
	if err != nil {
		return Slave{}, false, err
	}
	found, err := s.Store.FindKey(ctx, SumOf(in.Key))
	if err != nil {
		return Slave{}, false, err
	}
	if found != nil {
		return found.same(master, in)
	}
	v = Slave{
		ID:             newID(),
		OrganisationID: master.OrganisationID,
		MasterID:       master.ID,
		Comment:        in.Comment,
		CreatedAt:      s.Clock.Now(),
	}
	if err := s.Store.CreateSlave(ctx, v, SumOf(in.Key), room); err != nil {
		return Slave{}, false, err
	}
	return v, true, s.Store.ChangeAccount(ctx, selected, func(a *Account) error {
		a.Emit(audit.Entry(by, "delegated.import_slave", nil, map[string]any{
			"slave": v.ID, "master": v.MasterID, "organisation": v.OrganisationID,
		})) // without the comment, as where a slave is revoked
		return nil
	})
}

// same is the slave that is here, where it is the one that is imported.
func (k *Key) same(master Master, in ImportedSlave) (Slave, bool, error) {
	if k.Slave == nil || k.Slave.MasterID != master.ID ||
		k.Slave.RuntimeKey != "" && in.RuntimeKey != "" && k.Slave.RuntimeKey != in.RuntimeKey {
		return Slave{}, false, errOtherKey
	}
	return *k.Slave, false, nil
}

// checkKey wants a key that could have been made by another system: text that a client can send.
func checkKey(f apierr.Fields, name, key string) {
	if !CouldBe(key) {
		f.Add(name, "must have 40 to 1024 characters; a shorter one could be guessed")
	}
	for _, r := range key {
		if r <= ' ' || r > '~' {
			f.Add(name, "must be printable ASCII without blanks, such as base64")
			return
		}
	}
}

// takeKey is the key of a new master: the one that is wanted, unless somebody has it.
func (s *Organisations) takeKey(ctx context.Context, wanted string) (string, error) {
	if wanted == "" {
		return newKey(masterBytes), nil
	}
	found, err := s.Store.FindKey(ctx, SumOf(wanted))
	if err == nil && found != nil {
		err = apierr.InvalidField("master_key", "is a key already")
	}
	return wanted, err
}
