package delegation

import (
	"context"
	"fmt"

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

// Imported is what became of a slave that was imported.
type Imported string

// Left is a slave that was here as it is imported, Updated one whose device is new.
const (
	Left    Imported = "unchanged"
	Created Imported = "created"
	Updated Imported = "updated"
)

// The reasons why a slave is not imported.
var (
	// errOtherKey is for a key that is here and is not what is imported.
	errOtherKey     = apierr.InvalidField("slave_key", "is a key of another master, or of another device, already")
	errRevokedSlave = apierr.InvalidField("slave_key", "was revoked here and no longer works; make a new slave")
)

// Import takes over slaves of a master, one after the other.
type Import struct {
	*Keys
	By     *licensing.Actor
	Master Master
	// room is for how many more slaves the organisation has room, nil before it was counted. That is once, as others
	// wait for the organisation meanwhile; so the bound may be passed by what they add while the import runs.
	room *int
}

// Slave takes over one: its key goes on, and the device that it has activated gets a seat and costs a credit, once. A
// slave that is here with this device, or shall have none, is left as it is. Errors: VALIDATION_ERROR,
// ErrMasterRevoked, ErrTooManySlaves, those of Activate.
func (s *Import) Slave(ctx context.Context, in ImportedSlave) (v Slave, outcome Imported, err error) {
	if err := in.check(); err != nil {
		return Slave{}, "", err
	}
	// What tokens are signed with is there before the transaction begins.
	if _, err = s.Tokens.Delegated(ctx); err != nil {
		return Slave{}, "", err
	}
	err = s.Store.InTransaction(ctx, func(ctx context.Context) error {
		v, outcome, err = s.take(ctx, in)
		if err != nil || v.RuntimeKey == in.RuntimeKey || in.RuntimeKey == "" {
			return err
		}
		_, err = s.activate(ctx, Key{Master: s.Master, Slave: &v}, licensing.Client{
			HardwareID: in.RuntimeKey, OSName: s.Master.OperatingSystem, Trusted: true,
		})
		if err == nil {
			v, err = s.Store.Slave(ctx, v.ID)
		}
		return err
	})
	if err == nil && outcome == Created {
		*s.room--
	}
	return v, outcome, err
}

// take finds or makes the row, under the lock of the organisation.
func (s *Import) take(ctx context.Context, in ImportedSlave) (v Slave, outcome Imported, err error) {
	selected := Selection{OrganisationID: s.Master.OrganisationID, MasterID: s.Master.ID}
	err = s.Store.ChangeAccount(ctx, selected, func(a *Account) error {
		if a.Key == nil || a.Key.ended() {
			return ErrMasterRevoked
		}
		v, outcome, err = s.findOrCreate(ctx, in, a.Organisation.TotalCredit+SpareSlaves)
		if err != nil || outcome == Left {
			return err
		}
		a.Emit(audit.Entry(s.By, "delegated.import_slave", nil, map[string]any{
			"slave":        v.ID,
			"master":       v.MasterID,
			"organisation": v.OrganisationID,
			"outcome":      string(outcome),
		})) // without the comment, as where a slave is revoked
		return nil
	})
	return v, outcome, err
}

// findOrCreate finds the slave that is imported, or makes it where the organisation, which is locked and may have most,
// has room for it.
func (s *Import) findOrCreate(ctx context.Context, in ImportedSlave, most int) (v Slave, outcome Imported, err error) {
	found, err := s.Store.FindKey(ctx, SumOf(in.Key))
	if err != nil {
		return Slave{}, "", err
	}
	if found != nil {
		return found.same(s.Master, in)
	}
	if s.room == nil {
		live, err := s.Store.LiveSlaves(ctx, s.Master.OrganisationID)
		if err != nil {
			return Slave{}, "", err
		}
		s.room = new(most - live)
	}
	if *s.room <= 0 {
		return Slave{}, "", ErrTooManySlaves
	}
	v = Slave{
		ID:             newID(),
		OrganisationID: s.Master.OrganisationID,
		MasterID:       s.Master.ID,
		Comment:        in.Comment,
		CreatedAt:      s.Clock.Now(),
	}
	return v, Created, s.Store.CreateSlave(ctx, v, SumOf(in.Key))
}

// same is the slave that is here, where it is the one that is imported.
func (k *Key) same(master Master, in ImportedSlave) (Slave, Imported, error) {
	switch {
	case k.Slave == nil || k.Slave.MasterID != master.ID,
		k.Slave.RuntimeKey != "" && in.RuntimeKey != "" && k.Slave.RuntimeKey != in.RuntimeKey:
		return Slave{}, "", errOtherKey
	case !k.Slave.RevokedAt.IsZero():
		return Slave{}, "", errRevokedSlave
	case k.Slave.RuntimeKey == "" && in.RuntimeKey != "":
		return *k.Slave, Updated, nil
	}
	return *k.Slave, Left, nil
}

// minDistinctChars is how many different characters a key has at least: a column that was filled with one value makes
// no key.
const minDistinctChars = 10

// checkKey wants a key that could have been made by another system: text that a client can send.
func checkKey(f apierr.Fields, name, key string) {
	if !PlausibleLength(key) {
		f.Add(name, "must have 40 to 1024 characters; a shorter one could be guessed")
	}
	for _, r := range key {
		if r <= ' ' || r > '~' {
			f.Add(name, "must be printable ASCII without blanks, such as base64")
			return
		}
	}
	if different := map[rune]bool{}; PlausibleLength(key) {
		for _, r := range key {
			different[r] = true
		}
		if len(different) < minDistinctChars {
			f.Add(name, fmt.Sprintf("must have %d different characters; a uniform one could be guessed",
				minDistinctChars))
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
