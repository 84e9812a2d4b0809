package licensespring

import (
	"context"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/trial"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
)

var (
	errServerSide = invalid("server_side_api_key_required",
		"only the API key of an integration that is server_side may ask for this")
	errNoCustomer = invalid("customer_not_found", "no customer has this e-mail address")
)

// maxListed is how many licenses, customers and users are listed.
const maxListed = 100

// deviceLicenses lists the licenses on which a device has a seat. Anybody may send the hardware id of somebody else:
// whole keys, and who the customer is, are told to servers of the vendor alone.
func (d *Dialect) deviceLicenses(c *gin.Context) error {
	r, err := query(c)
	if err != nil {
		return err
	}
	hardwareID := jsonbody.Identifier(r.HardwareID)
	if hardwareID == "" {
		return errNoHardwareID
	}
	ctx, by := c.Request.Context(), signerOf(c).Integration
	products := by.Products
	if r.Product != "" {
		p, err := d.product(ctx, signerOf(c), r.Product)
		if err != nil {
			return err
		}
		products = []string{p.Code}
	}
	found, err := d.licensesOfDevice(ctx, hardwareID, products)
	if err != nil {
		return err
	}
	list := []licenseBody{} // never null
	for i := range found {
		shown, err := d.licenseOfDevice(ctx, reader{by.ServerSide, true}, &found[i], hardwareID)
		if err != nil {
			return err
		}
		if shown != nil {
			list = append(list, *shown)
		}
	}
	return d.answer(c, list)
}

// licensesOfDevice are the licenses of some products, none for all, on which a device has a seat.
func (d *Dialect) licensesOfDevice(
	ctx context.Context, hardwareID string, products []string,
) (found []licensing.License, err error) {
	filters := []licensing.Filter{{HardwareID: &hardwareID}}
	if len(products) > 0 {
		filters = nil
		for _, code := range products {
			filters = append(filters, licensing.Filter{HardwareID: &hardwareID, Product: &code})
		}
	}
	for _, f := range filters {
		if f.Page, f.PerPage = 1, maxListed-len(found); f.PerPage == 0 {
			break
		}
		page, err := d.Licenses.List(ctx, f, d.Clock.Now())
		if err != nil {
			return nil, err
		}
		found = append(found, page.Items...)
	}
	return found, nil
}

// licenseOfDevice shows a license on which a device has a seat; nil where it has gone meanwhile.
func (d *Dialect) licenseOfDevice(
	ctx context.Context, r reader, l *licensing.License, hardwareID string,
) (*licenseBody, error) {
	product, err := d.Products.Product(ctx, l.Product)
	if err != nil {
		return nil, err
	}
	device, err := d.Licenses.FindDevice(ctx, l.ID, hardwareID)
	if err != nil || device == nil || !device.IsActive {
		return nil, err
	}
	f, err := d.facts(ctx, r, l, product, device.ID)
	if err != nil {
		return nil, err
	}
	if !r.serverSide {
		b := newLicense(l, l.MaskedKey, f, d.Clock.Now())
		b.Metadata = likeJavaScript(nil)
		return &b, nil
	}
	if product.AuthorizationMethod != catalog.ByUser {
		key, err := d.Seats.Key(ctx, l.ID)
		b := newLicense(l, key, f, d.Clock.Now())
		return &b, err
	}
	b := newLicense(l, "", f, d.Clock.Now())
	if device.UserID != "" {
		b.User, err = d.userOf(ctx, device.UserID)
	}
	return &b, err
}

func (d *Dialect) userOf(ctx context.Context, id string) (*userBody, error) {
	u, err := d.Users.FindUser(ctx, id)
	if err != nil {
		return nil, err
	}
	n, err := d.Numbers.Numbers(ctx, integration.NumberQuery{User: id})
	return newUser(&u, n.User), err
}

// customerUsers is the answer to customer_license_users.
type customerUsers struct {
	Company  company        `json:"company"`
	Customer customerBody   `json:"customer"`
	Users    []customerUser `json:"users"`
}

// customerUser is a user with one of the licenses. Passwords are kept as hashes, so that none is told.
type customerUser struct {
	Email                     string  `json:"email"`
	IsActive                  bool    `json:"is_active"`
	FirstName                 string  `json:"first_name"`
	LastName                  string  `json:"last_name"`
	PhoneNumber               string  `json:"phone_number"`
	IsInitialPassword         bool    `json:"is_initial_password"`
	InitialPassword           *string `json:"initial_password"`
	MaxActivations            int     `json:"max_activations"`
	TotalActivations          int     `json:"total_activations"`
	AllowUnlimitedActivations bool    `json:"allow_unlimited_activations"`
	LicenseID                 int64   `json:"license_id"`
	OrderID                   int64   `json:"order_id"`
	OrderStoreID              *string `json:"order_store_id"`
}

// customerLicenseUsers lists the users of a product that a customer, known by the e-mail address, has licenses for.
func (d *Dialect) customerLicenseUsers(c *gin.Context) error {
	r, err := query(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	if !signerOf(c).Integration.ServerSide {
		return errServerSide
	}
	product, err := d.product(ctx, signerOf(c), r.Product)
	switch {
	case err != nil:
		return err
	case r.Customer == "":
		return missing("customer")
	}
	page, err := d.Users.Users(ctx, user.Filter{Product: &product.Code, CustomerEmail: &r.Customer},
		licensing.Span{Page: 1, PerPage: maxListed})
	if err != nil {
		return err
	}
	found, err := d.customerOf(ctx, page.Items,
		customer.Filter{Email: r.Customer, Products: signerOf(c).Integration.Products})
	if err != nil {
		return err
	}
	list := customerUsers{Company: company{companyID}, Customer: newCustomer(found), Users: []customerUser{}}
	for i := range page.Items {
		u := &page.Items[i]
		if u.CustomerID != found.CustomerID {
			continue
		}
		for _, licenseID := range u.Licenses[:min(len(u.Licenses), maxListed-len(list.Users))] {
			shown, err := d.customerUser(ctx, u, licenseID)
			if err != nil {
				return err
			}
			list.Users = append(list.Users, shown)
		}
	}
	return d.answer(c, list)
}

// customerUser shows a user with one of the licenses, and the seats that the user has of it.
func (d *Dialect) customerUser(ctx context.Context, u *user.User, licenseID string) (customerUser, error) {
	n, err := d.Numbers.Numbers(ctx, integration.NumberQuery{License: licenseID})
	if err != nil {
		return customerUser{}, err
	}
	shown := newCustomerUser(u, n.License)
	shown.TotalActivations, err = d.Licenses.SeatsOfUser(ctx, licenseID, u.ID)
	return shown, err
}

func newCustomerUser(u *user.User, licenseID int64) customerUser {
	first, last := nameParts(u.Name)
	shown := customerUser{
		Email:                     u.Email,
		IsActive:                  !u.IsLocked,
		FirstName:                 first,
		LastName:                  last,
		IsInitialPassword:         u.MustChangePassword,
		AllowUnlimitedActivations: u.MaxDevices == licensing.Unlimited,
		LicenseID:                 licenseID,
		OrderID:                   licenseID,
	}
	if !shown.AllowUnlimitedActivations {
		shown.MaxActivations = u.MaxDevices
	}
	return shown
}

// customerOf is the customer whose users these are; without users, one that others selects. Several customers may have
// the e-mail address, because anyone who asks for a trial names one: those of trials come last.
func (d *Dialect) customerOf(
	ctx context.Context, users []user.User, others customer.Filter,
) (customer.Customer, error) {
	if len(users) > 0 {
		i := max(0, slices.IndexFunc(users, func(u user.User) bool { return !ofTrial(u.CustomerID) }))
		return d.Customers.Customer(ctx, users[i].CustomerID)
	}
	page, err := d.Customers.Customers(ctx, others, licensing.Span{Page: 1, PerPage: maxListed})
	if err == nil && len(page.Items) == 0 {
		err = errNoCustomer
	}
	if err != nil {
		return customer.Customer{}, err
	}
	i := max(0, slices.IndexFunc(page.Items, func(c customer.Customer) bool { return !ofTrial(c.CustomerID) }))
	return page.Items[i], nil
}

// ofTrial reports whether a customer was made by somebody who asked for a trial.
func ofTrial(customerID string) bool { return strings.HasPrefix(customerID, trial.CustomerPrefix) }
