package licenseimport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
)

// owner is to whom the users of a license belong.
type owner struct{ product, customerID string }

// create makes the license of a row and everything that belongs to it.
func (s *Imports) create(ctx context.Context, by *licensing.Actor, r *Row) (licenseID string, err error) {
	of := owner{cmp.Or(r.New.Product, licensing.DefaultProduct), r.New.CustomerID}
	users, err := s.users(ctx, by, r, of)
	if err != nil {
		return "", err
	}
	n := r.Import
	if n.Devices, err = devices(r, users); err != nil {
		return "", err
	}
	l, err := s.Licenses.CreateImported(ctx, by, n)
	if err == nil && len(n.Devices) > 0 {
		err = s.checkSeats(ctx, l.ID, users)
	}
	if err != nil {
		return "", err
	}
	if _, err := s.assign(ctx, by, l.ID, users); err != nil {
		return "", err
	}
	if _, err := s.complete(ctx, by, l.CustomerID, r); err != nil {
		return "", err
	}
	_, err = s.count(ctx, by, &l, r)
	return l.ID, err
}

// update makes a license that is here what a row says, and returns the members that differed.
func (s *Imports) update(
	ctx context.Context, by *licensing.Actor, known *licensing.License, r *Row,
) (changed []string, err error) {
	if err := s.checkErased(ctx, known); err != nil {
		return nil, err
	}
	users, err := s.users(ctx, by, r, owner{known.Product, cmp.Or(r.New.CustomerID, known.CustomerID)})
	if err != nil {
		return nil, err
	}
	n := r.Import
	if n.Devices, err = devices(r, users); err != nil {
		return nil, err
	}
	l, changed, err := s.Licenses.UpdateImported(ctx, by, known.ID, n)
	if err == nil && slices.Contains(changed, "devices") {
		err = s.checkSeats(ctx, l.ID, users)
	}
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name   string
		change func() (bool, error)
	}{
		{"users", func() (bool, error) { return s.assign(ctx, by, l.ID, users) }},
		{"customer", func() (bool, error) { return s.complete(ctx, by, l.CustomerID, r) }},
		{"used", func() (bool, error) { return s.count(ctx, by, &l, r) }},
	} {
		differs, err := part.change()
		if err != nil {
			return nil, err
		}
		if differs {
			changed = append(changed, part.name)
		}
	}
	return changed, nil
}

// checkProduct refuses a row for a license of another product than it names, by code or name.
func (s *Imports) checkProduct(ctx context.Context, l *licensing.License, named string) error {
	if named == "" || named == l.Product {
		return nil
	}
	p, err := s.Store.Product(ctx, l.Product)
	if err == nil && p.Name != named {
		err = licensing.ErrKeyExists.WithMessagef(
			"the product %s has a license with this license_key; keys are unique over all products", l.Product)
	}
	return err
}

// checkErased refuses a row about a license whose customer was erased: what it says of persons is to be forgotten.
func (s *Imports) checkErased(ctx context.Context, l *licensing.License) error {
	c, err := s.Customers.Store.Customer(ctx, l.CustomerID)
	if err == nil && !c.ErasedAt.IsZero() {
		err = errErased
	}
	return err
}

var errErased = customer.ErrNotFound.WithMessagef(
	"the customer of the license was erased, and an import does not bring a customer back; leave the line out")

// checkSeats refuses devices of a user who has fewer seats than that, on all licenses together.
func (s *Imports) checkSeats(ctx context.Context, licenseID string, users map[string]user.User) error {
	if len(users) == 0 {
		return nil
	}
	return s.Licenses.Store.Change(ctx, licenseID, nil, func(ch *licensing.Change) error {
		for _, email := range slices.Sorted(maps.Keys(users)) {
			u, err := ch.Reads.User(users[email].ID)
			if err != nil {
				return err
			}
			if u != nil && u.Devices > u.MaxDevices {
				return licensing.ErrUserLimit
			}
		}
		return nil
	})
}

// users finds the users of a row by their e-mails, or makes them.
func (s *Imports) users(
	ctx context.Context, by *licensing.Actor, r *Row, of owner,
) (found map[string]user.User, err error) {
	found = make(map[string]user.User, len(r.Users))
	for i, u := range r.Users {
		n := user.NewUser{
			Product: of.product, CustomerID: of.customerID,
			Change: user.Change{Email: &u.Email, Name: &u.Name, MaxDevices: u.MaxDevices},
		}
		if found[user.Fold(u.Email)], err = s.Users.Import(ctx, by, n); err != nil {
			return nil, within(fmt.Sprintf("users[%d].", i), err)
		}
	}
	return found, nil
}

// withoutBlocked is a row of which the devices that are blocked on its license get no seat. Inactive ones take none.
func (s *Imports) withoutBlocked(
	ctx context.Context, r *Row, of *licensing.License,
) (admitted *Row, skipped []Skipped, err error) {
	blocks, err := s.Blocks.Current(ctx)
	if err != nil || blocks == nil {
		return r, nil, err
	}
	marked := *r
	marked.Devices = slices.Clone(r.Devices)
	for i, d := range r.Devices {
		block := blocks.Find(licensing.Suspect{
			LicenseID: of.ID, Product: cmp.Or(of.Product, licensing.DefaultProduct), HardwareID: d.HardwareID,
			Now: s.Clock.Now(),
		})
		if block != nil && d.IsActive {
			skipped = append(skipped, Skipped{i, d.HardwareID, block.Reason})
			marked.Devices[i].Blocked = true
		}
	}
	return &marked, skipped, nil
}

// devices are the devices of a row with the users who have taken their seats.
func devices(r *Row, users map[string]user.User) ([]licensing.ImportedDevice, error) {
	all := make([]licensing.ImportedDevice, len(r.Devices))
	for i, d := range r.Devices {
		all[i] = d.ImportedDevice
		taken, known := users[user.Fold(d.User)]
		switch {
		case known:
			all[i].UserID = taken.ID
		case d.User != "":
			return nil, apierr.InvalidField(fmt.Sprintf("devices[%d].user", i),
				"must be the e-mail of one of the users of the row")
		case len(users) == 1:
			for _, only := range users {
				all[i].UserID = only.ID
			}
		}
	}
	return all, nil
}

// assign gives the license to users who do not have it.
func (s *Imports) assign(
	ctx context.Context, by *licensing.Actor, licenseID string, users map[string]user.User,
) (changed bool, err error) {
	for _, email := range slices.Sorted(maps.Keys(users)) {
		u, err := s.Users.Store.FindUser(ctx, users[email].ID)
		if err != nil {
			return false, err
		}
		if slices.Contains(u.Licenses, licenseID) {
			continue
		}
		if _, err := s.Users.Assign(ctx, by, licenseID, u.ID); err != nil {
			return false, err
		}
		changed = true
	}
	return changed, nil
}

// complete adds what a row says of the customer, as far as it is not known.
func (s *Imports) complete(
	ctx context.Context, by *licensing.Actor, customerID string, r *Row,
) (changed bool, err error) {
	p := r.Customer
	if p.Name+p.Email+p.Company+p.Phone == "" && p.Address == (customer.Address{}) {
		return false, nil
	}
	changed, err = s.Customers.Complete(ctx, by, customerID, p)
	return changed, within("customer.", err)
}

// count raises counters to what a row says. What was counted here counts as well, so none is lowered.
func (s *Imports) count(
	ctx context.Context, by *licensing.Actor, l *licensing.License, r *Row,
) (changed bool, err error) {
	for _, name := range slices.Sorted(maps.Keys(r.Used)) {
		if n := r.Used[name]; n < 0 || n > licensing.MaxCount {
			return false, apierr.InvalidField("used."+name, fmt.Sprintf("must be from 0 to %d", licensing.MaxCount))
		}
	}
	if len(r.Used) == 0 {
		return false, nil
	}
	changed, name, err := s.Counters.Raise(ctx, by, l.ID, r.Used, "import")
	if errors.Is(err, licensing.ErrCounterNotFound) {
		err = apierr.InvalidField("used."+name, "the license has no counter of this name; name it in counters")
	}
	return changed, err
}

// within is err where it concerns a part of a row: the members that it names are those of the part.
func within(part string, err error) error {
	var invalid *apierr.Error
	if !errors.As(err, &invalid) || invalid.Kind != apierr.Invalid {
		return err
	}
	fields, _ := invalid.Details["fields"].(map[string]string)
	named := map[string]string{}
	for name, problem := range fields {
		if name == "product" || name == "customer_id" { // these are the row's own
			named[name] = problem
			continue
		}
		named[part+name] = problem
	}
	if len(named) == 0 {
		return err
	}
	return apierr.InvalidFields(named)
}
