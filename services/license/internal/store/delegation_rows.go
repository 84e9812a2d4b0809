package store

import (
	"time"

	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
)

// organisationRow mirrors the table delegated_organisations.
type organisationRow struct {
	ID                      string
	Name                    string
	TotalCredit, UsedCredit int
	CreatedAt               time.Time
}

func (r *organisationRow) organisation() delegation.Organisation {
	return delegation.Organisation{
		ID:          r.ID,
		Name:        r.Name,
		TotalCredit: r.TotalCredit,
		UsedCredit:  r.UsedCredit,
		CreatedAt:   r.CreatedAt.UTC(),
	}
}

// masterRow mirrors the table delegated_masters.
type masterRow struct {
	ID, OrganisationID, LicenseID string
	Product, OperatingSystem      string
	Comment                       string
	KeySha256                     []byte
	CreatedAt                     time.Time
	RevokedAt                     *time.Time
}

func newMasterRow(m *delegation.Master, sum delegation.Sum) masterRow {
	return masterRow{
		ID:              m.ID,
		OrganisationID:  m.OrganisationID,
		LicenseID:       m.LicenseID,
		Product:         m.Product,
		OperatingSystem: m.OperatingSystem,
		Comment:         m.Comment,
		KeySha256:       sum[:],
		CreatedAt:       m.CreatedAt,
		RevokedAt:       nullable(m.RevokedAt),
	}
}

func (r *masterRow) master() delegation.Master {
	return delegation.Master{
		ID:              r.ID,
		OrganisationID:  r.OrganisationID,
		LicenseID:       r.LicenseID,
		Product:         r.Product,
		OperatingSystem: r.OperatingSystem,
		Comment:         r.Comment,
		CreatedAt:       r.CreatedAt.UTC(),
		RevokedAt:       value(r.RevokedAt),
	}
}

// slaveRow mirrors the table delegated_slaves.
type slaveRow struct {
	ID, OrganisationID, MasterID string
	Comment                      string
	KeySha256                    []byte
	RuntimeKey                   *string
	CreatedAt                    time.Time
	UsedAt, RevokedAt            *time.Time
}

func newSlaveRow(v *delegation.Slave, sum delegation.Sum) slaveRow {
	return slaveRow{
		ID:             v.ID,
		OrganisationID: v.OrganisationID,
		MasterID:       v.MasterID,
		Comment:        v.Comment,
		KeySha256:      sum[:],
		RuntimeKey:     textOrNull(v.RuntimeKey),
		CreatedAt:      v.CreatedAt,
		UsedAt:         nullable(v.UsedAt),
		RevokedAt:      nullable(v.RevokedAt),
	}
}

func (r *slaveRow) slave() delegation.Slave {
	return delegation.Slave{
		ID:             r.ID,
		OrganisationID: r.OrganisationID,
		MasterID:       r.MasterID,
		Comment:        r.Comment,
		RuntimeKey:     textOrNone(r.RuntimeKey),
		CreatedAt:      r.CreatedAt.UTC(),
		UsedAt:         value(r.UsedAt),
		RevokedAt:      value(r.RevokedAt),
	}
}

// chargeRow mirrors the table delegated_charges.
type chargeRow struct {
	ID, OrganisationID, Kind             string
	Amount, TotalCredit, UsedCredit      int
	Reason, ActorID, ActorName           *string
	MasterID, SlaveID, LicenseID         *string
	Product, OperatingSystem, RuntimeKey *string
	Token                                *string
	At                                   time.Time
}

func newChargeRow(c *delegation.Charge) chargeRow {
	return chargeRow{
		ID:              c.ID,
		OrganisationID:  c.OrganisationID,
		Kind:            c.Kind,
		Amount:          c.Amount,
		TotalCredit:     c.TotalCredit,
		UsedCredit:      c.UsedCredit,
		Reason:          textOrNull(c.Reason),
		ActorID:         textOrNull(c.ActorID),
		ActorName:       textOrNull(c.ActorName),
		MasterID:        textOrNull(c.MasterID),
		SlaveID:         textOrNull(c.SlaveID),
		LicenseID:       textOrNull(c.LicenseID),
		Product:         textOrNull(c.Product),
		OperatingSystem: textOrNull(c.OperatingSystem),
		RuntimeKey:      textOrNull(c.RuntimeKey),
		Token:           textOrNull(c.Token),
		At:              c.At,
	}
}

func (r *chargeRow) charge() delegation.Charge {
	return delegation.Charge{
		ID:             r.ID,
		OrganisationID: r.OrganisationID,
		Kind:           r.Kind,
		Amount:         r.Amount,
		TotalCredit:    r.TotalCredit,
		UsedCredit:     r.UsedCredit,
		Reason:         textOrNone(r.Reason),
		ActorID:        textOrNone(r.ActorID),
		ActorName:      textOrNone(r.ActorName),
		Activated: delegation.Activated{
			MasterID:        textOrNone(r.MasterID),
			SlaveID:         textOrNone(r.SlaveID),
			LicenseID:       textOrNone(r.LicenseID),
			Product:         textOrNone(r.Product),
			OperatingSystem: textOrNone(r.OperatingSystem),
			RuntimeKey:      textOrNone(r.RuntimeKey),
			Token:           textOrNone(r.Token),
		},
		At: r.At.UTC(),
	}
}
