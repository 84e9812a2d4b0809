package delegation

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Store keeps organisations, their keys and what they were charged.
type Store interface {
	// InTransaction runs fn in one transaction, which the calls of stores within join. It may run more than once.
	InTransaction(ctx context.Context, fn func(ctx context.Context) error) error
	// CreateOrganisation inserts an organisation with its first charge, nil for none.
	CreateOrganisation(ctx context.Context, o Organisation, first *Charge, event proto.Message) error
	// Organisation reads an organisation; ErrOrganisationNotFound.
	Organisation(ctx context.Context, id string) (Organisation, error)
	// Organisations reads a part of the organisations, newest first.
	Organisations(ctx context.Context, span licensing.Span) (licensing.Page[Organisation], error)
	// ChangeAccount locks an organisation, loads what is named, lets decide change it, and writes what differs. When
	// decide fails nothing is written. ErrOrganisationNotFound.
	ChangeAccount(ctx context.Context, s Selection, decide func(*Account) error) error
	// CreateMaster inserts a master with the hash of its key; ErrMasterExists.
	CreateMaster(ctx context.Context, m Master, sum Sum, event proto.Message) error
	// FormerLicense is the license of the last master of an organisation for a product and operating system; empty for
	// none.
	FormerLicense(ctx context.Context, organisationID, product, operatingSystem string) (licenseID string, err error)
	// Master reads a master; ErrMasterNotFound.
	Master(ctx context.Context, id string) (Master, error)
	// Masters reads a part of the masters of an organisation, newest first; ErrOrganisationNotFound.
	Masters(ctx context.Context, organisationID string, span licensing.Span) (licensing.Page[Master], error)
	// LiveSlaves counts the slaves of an organisation that are not revoked, which takes as long as there are many.
	LiveSlaves(ctx context.Context, organisationID string) (int, error)
	// CreateSlave inserts a slave with the hash of its key.
	CreateSlave(ctx context.Context, v Slave, sum Sum) error
	// Slave reads a slave; ErrSlaveNotFound.
	Slave(ctx context.Context, id string) (Slave, error)
	// Slaves reads a part of the slaves of an organisation, newest first; ErrOrganisationNotFound.
	Slaves(ctx context.Context, organisationID string, span licensing.Span) (licensing.Page[Slave], error)
	// HasMasters reports whether a master was ever made. It may answer no for a second after another process made the
	// first one, so that strangers cost an installation without any nothing.
	HasMasters(ctx context.Context) (bool, error)
	// FindKey reads the master or slave whose key has the hash; nil for none.
	FindKey(ctx context.Context, sum Sum) (*Key, error)
	// Charges reads a part of the account of an organisation, newest first; ErrOrganisationNotFound.
	Charges(ctx context.Context, organisationID string, span licensing.Span) (licensing.Page[Charge], error)
}

// Selection names what a change of an account is about. Empty members name nothing.
type Selection struct {
	OrganisationID, MasterID, SlaveID, RuntimeKey string
}

// Licenses lets a license be changed under its lock, as in licensing.Store.
type Licenses interface {
	Change(ctx context.Context, licenseID string, hardwareIDs []string, decide func(*licensing.Change) error) error
}

// Catalog is what masters are made for.
type Catalog interface {
	// Product reads a product by its code; catalog.ErrProductNotFound.
	Product(ctx context.Context, code string) (catalog.Product, error)
	// Find reads a license; licensing.ErrNotFound.
	Find(ctx context.Context, licenseID string) (licensing.License, error)
}

// TokenKeys are the keys that sign what devices are given.
type TokenKeys interface {
	// Delegated is the current one.
	Delegated(ctx context.Context) (*licensefile.Key, error)
}
