package licensespring

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
)

var (
	errPassword = invalid("missing_parameters",
		"some parameters are missing in the request: password, which this device has not been activated with yet, or "+
			"license_id, where the user has several licenses")
	errChangePassword = invalid("change_password_not_allowed", "licenses of this product are used without passwords")
)

// userLicense is a license of a user with the user.
type userLicense struct {
	License licenseBody `json:"license"`
	User    userBody    `json:"user"`
}

func newUser(u *user.User, id int64) *userBody {
	first, last := nameParts(u.Name)
	return &userBody{
		ID: id, Email: u.Email, FirstName: first, LastName: last, IsInitialPassword: u.MustChangePassword,
	}
}

// identifyUser finds the license of a user. Who sends no password must call from a device that the user activated;
// until that is found, every refusal is the same as for e-mails that nobody has.
func (d *Dialect) identifyUser(c *gin.Context, s *subject) error {
	err := d.licenseOfUser(c, s)
	if err != nil && s.sent.Password == "" && apierr.From(err).Kind.Status() < http.StatusInternalServerError {
		return errPassword
	}
	return err
}

func (d *Dialect) licenseOfUser(c *gin.Context, s *subject) error {
	u, err := d.prove(c, s.sent, s.client.HardwareID)
	if err != nil {
		return err
	}
	s.user = &u
	ctx := c.Request.Context()
	signedIn := &licensing.SignedIn{User: &u.User}
	s.client.User = signedIn
	if signedIn.LicenseID, err = d.chosen(ctx, &u, s.sent.LicenseID); err != nil {
		return err
	}
	if s.sent.Password == "" { // a refusal is published with the license: first the device proves the user
		sits, err := d.sitsOn(ctx, signedIn.LicenseID, &u, s.client.HardwareID)
		switch {
		case err != nil:
			return err
		case !sits:
			return errPassword
		}
	}
	s.License, _, err = d.Seats.LicenseByKey(ctx, "", &s.client)
	return err
}

// prove is the user whose password it is or, of a call without one, whose e-mail it is: the device has to prove it, and
// tells users of one e-mail apart.
func (d *Dialect) prove(c *gin.Context, r *request, hardwareID string) (user.User, error) {
	ctx, email := c.Request.Context(), jsonbody.Identifier(r.Username)
	if r.Password != "" {
		session, err := d.SignIns.SignIn(ctx, user.Attempt{
			Product: r.Product, Email: email, Password: r.Password, IP: httpx.ClientIP(c),
		})
		return session.User, ambiguous(err)
	}
	found, err := d.Users.Named(ctx, r.Product, user.Fold(email), "")
	switch {
	case err != nil:
		return user.User{}, err
	case len(found) == 1:
		return d.Users.FindUser(ctx, found[0].ID) // with the licenses
	case len(found) >= user.MaxNamed:
		return user.User{}, errPassword // there may be more
	}
	return d.seated(ctx, found, hardwareID)
}

// seated is the one of several users who has activated the device.
func (d *Dialect) seated(ctx context.Context, users []user.User, hardwareID string) (user.User, error) {
	var owner *user.User
	for i := range users {
		u, err := d.Users.FindUser(ctx, users[i].ID)
		if err != nil {
			return user.User{}, err
		}
		sits, err := d.sits(ctx, &u, hardwareID)
		switch {
		case err != nil:
			return user.User{}, err
		case sits && owner != nil:
			return user.User{}, errPassword // one of the two would be a guess
		case sits:
			owner = &u
		}
	}
	if owner == nil {
		return user.User{}, errPassword
	}
	return *owner, nil
}

func (d *Dialect) sits(ctx context.Context, u *user.User, hardwareID string) (bool, error) {
	for _, id := range u.Licenses {
		if sits, err := d.sitsOn(ctx, id, u, hardwareID); err != nil || sits {
			return sits, err
		}
	}
	return false, nil
}

// sitsOn reports whether the device is one that the user has activated on the license, empty for none.
func (d *Dialect) sitsOn(ctx context.Context, licenseID string, u *user.User, hardwareID string) (bool, error) {
	if licenseID == "" {
		return false, nil
	}
	device, err := d.Licenses.FindDevice(ctx, licenseID, hardwareID)
	return device != nil && device.IsActive && device.UserID == u.ID, err
}

// ambiguous says of a refused password what can be done about it here, where no call names a customer.
func ambiguous(err error) error {
	if errors.Is(err, user.ErrSignIn) {
		return licensing.ErrCredentials.WithMessagef(
			"the e-mail or the password is wrong; or several customers of the product have users with this e-mail, " +
				"whom these calls cannot tell apart: ask the vendor for another e-mail")
	}
	return err
}

// chosen is the id of the license that has a number, or of the only one of the user where none is given; empty where
// there is no only one.
func (d *Dialect) chosen(ctx context.Context, u *user.User, number int64) (string, error) {
	switch {
	case number == 0 && len(u.Licenses) == 1:
		return u.Licenses[0], nil
	case number == 0:
		return "", nil
	}
	for _, id := range u.Licenses {
		n, err := d.Numbers.Numbers(ctx, integration.NumberQuery{License: id})
		if err != nil || n.License == number {
			return id, err
		}
	}
	return "", licensing.ErrNotAssigned
}

// signedID is how license_signature names the license: by the e-mail where it is used by that, whatever key was sent.
func (s *subject) signedID() string {
	if s.user == nil {
		return s.sent.LicenseKey
	}
	email, _, _ := strings.Cut(s.sent.Username, "|")
	return email
}

// userLicenses shows the licenses of a user who proves the password.
func (d *Dialect) userLicenses(c *gin.Context) error {
	r, err := query(c)
	if err != nil {
		return err
	}
	ctx, signer := c.Request.Context(), signerOf(c)
	// A user has an account for each product. Where the integration is for several, none of them can be meant: to try
	// the password on all would be as many guesses.
	if r.Product == "" && len(signer.Integration.Products) == 1 {
		r.Product = signer.Integration.Products[0]
	}
	product, err := d.product(ctx, signer, r.Product)
	switch {
	case err != nil:
		return err
	case r.singleSignOn():
		return errSSO
	case r.Username == "" || r.Password == "":
		return missing("username, password")
	}
	u, err := d.prove(c, r, "")
	if err != nil {
		return err
	}
	list := []userLicense{} // never null
	for _, id := range u.Licenses {
		l, err := d.Licenses.Find(ctx, id)
		if err != nil {
			return err
		}
		f, err := d.facts(ctx, readerOf(c), &l, product, "")
		if err != nil {
			return err
		}
		n, err := d.Numbers.Numbers(ctx, integration.NumberQuery{User: u.ID})
		if err != nil {
			return err
		}
		shown := newLicense(&l, "", f, d.Clock.Now())
		shown.User = newUser(&u, n.User)
		list = append(list, userLicense{shown, *shown.User})
	}
	return d.answer(c, list)
}

// changePassword replaces the password of a user who knows it.
func (d *Dialect) changePassword(c *gin.Context) error {
	r, err := body(c)
	if err != nil {
		return err
	}
	product, err := d.product(c.Request.Context(), signerOf(c), r.Product)
	switch {
	case err != nil:
		return err
	case product.AuthorizationMethod != catalog.ByUser:
		return errChangePassword
	case r.Username == "" || r.Password == "" || r.NewPassword == "":
		return missing("username, password, new_password")
	}
	_, err = d.SignIns.ChangePassword(c.Request.Context(), user.Attempt{
		Product: r.Product, Email: jsonbody.Identifier(r.Username), Password: r.Password, IP: httpx.ClientIP(c),
	}, r.NewPassword)
	if err != nil {
		return ambiguous(err)
	}
	return word(c, "password_changed")
}
