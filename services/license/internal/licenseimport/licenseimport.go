// Package licenseimport takes over licenses that another system kept until now, with their customers, users, devices
// and counters. A license is known by its key: what is here already is not made again, so an import can be repeated.
package licenseimport

import (
	"context"
	"errors"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
)

// Imports are the use cases of administrators for imports.
type Imports struct {
	Store     Store
	Licenses  *licensing.Licenses
	Reads     licensing.Reads
	Customers *customer.Customers
	Users     *user.Users
	Counters  *counter.Counters
	Blocks    licensing.Blocks
	Clock     clock.Clock
}

// Row is a license to be imported.
type Row struct {
	// Import is without its devices.
	licensing.Import
	Customer customer.Profile
	Users    []User
	Devices  []Device
	// Used is what counters have counted, by their names.
	Used map[string]int64
}

// User is somebody who signs in to use the license.
type User struct {
	Email, Name string
	MaxDevices  licensing.Optional[int]
}

// Device is a device of the license.
type Device struct {
	licensing.ImportedDevice
	// User is the e-mail of the user who has taken the seat. Empty is the only user of the license, if it has one.
	User string
}

// Options say how an import is carried out.
type Options struct {
	// DryRun tells what would happen, and does nothing.
	DryRun bool
	// Update makes licenses that are here already what the rows say; otherwise they stay as they are.
	Update bool
}

// Outcome is what came of a row.
type Outcome string

// The outcomes of rows that are not refused.
const (
	Created Outcome = "created"
	Updated Outcome = "updated"
	// Unchanged is a license that is here and is what the row says.
	Unchanged Outcome = "unchanged"
	// Differs is a license that is here and stays as it is, though the row says something else.
	Differs Outcome = "differs"
)

// Result is what came of a row.
type Result struct {
	LicenseID string
	Outcome
	// Changed are the members that differ, or that differed before.
	Changed []string
	// Skipped are the devices that get no seat because they are blocked; nil for none.
	Skipped []Skipped
	// Refusal is why nothing of the row was written, nil for a row that is good.
	Refusal error
}

// Skipped is a device of a row that is left out.
type Skipped struct {
	// Index is its place in Row.Devices.
	Index      int
	HardwareID string
	// Reason is why the vendor has blocked it.
	Reason string
}

// errStays ends a row that is about a license which is not to be changed.
var errStays = errors.New("the license stays as it is")

// Run imports rows in one transaction, in the order of their keys. Each stands alone: of one that is refused, nothing
// is written. Errors: outages only.
func (s *Imports) Run(ctx context.Context, by *licensing.Actor, rows []Row, o Options) ([]Result, error) {
	results := make([]Result, len(rows))
	err := s.Store.Import(ctx, !o.DryRun, func(ctx context.Context) error {
		known, err := s.hold(ctx, rows)
		if err != nil {
			return err
		}
		for _, i := range byKey(rows) {
			err := s.Store.InTransaction(ctx, func(ctx context.Context) (err error) {
				results[i], err = s.row(ctx, by, &rows[i], known, o.Update)
				return err
			})
			switch {
			case err == nil || errors.Is(err, errStays):
			case licensing.IsOutage(err):
				return err
			default:
				results[i] = Result{Refusal: err}
			}
		}
		return nil
	})
	return results, err
}

// makeNew carries out a row about a license that is not here.
func (s *Imports) makeNew(ctx context.Context, by *licensing.Actor, r *Row) (Result, error) {
	r, skipped, err := s.withoutBlocked(ctx, r, &licensing.License{Product: r.New.Product})
	id := ""
	if err == nil {
		id, err = s.create(ctx, by, r)
	}
	return Result{LicenseID: id, Outcome: Created, Skipped: skipped}, err
}

func (s *Imports) row(
	ctx context.Context, by *licensing.Actor, r *Row, known map[string]Known, update bool,
) (Result, error) {
	found, here := known[licensing.NormalizeKey(*r.New.Key)]
	switch {
	case !here:
		return s.makeNew(ctx, by, r)
	case found.Enrollment:
		return Result{}, licensing.ErrKeyExists
	}
	l, err := s.Reads.Find(ctx, found.LicenseID)
	if err == nil {
		err = s.checkProduct(ctx, &l, r.New.Product)
	}
	if err != nil {
		return Result{}, err
	}
	r, skipped, err := s.withoutBlocked(ctx, r, &l)
	if err != nil {
		return Result{}, err
	}
	result := Result{LicenseID: l.ID, Outcome: Updated, Skipped: skipped}
	result.Changed, err = s.update(ctx, by, &l, r)
	switch {
	case err == nil && len(result.Changed) == 0:
		result.Outcome = Unchanged
	case update || licensing.IsOutage(err):
	default: // also where the change would be refused
		result.Outcome, err = Differs, errStays
	}
	return result, err
}
