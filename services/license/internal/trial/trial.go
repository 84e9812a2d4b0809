// Package trial gives people who try a product a license for a while: one for each e-mail address and product.
package trial

import (
	"context"
	"net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
)

// How many trials are made within an hour: asking for one needs nothing but a key that is in an application.
const (
	perNetwork = 100
	perCaller  = 1000
)

const (
	// CustomerPrefix is how the ids of customers begin who asked for a trial.
	CustomerPrefix = "trial-"
	// toldFor is how long a trial is told to anyone who asks again. How long it runs says its policy: DurationDays,
	// DurationMonths and ExpiresAt of licensing.Terms.
	toldFor = 365 * 24 * time.Hour
)

// Trials are the use cases of applications that ask for trials.
type Trials struct {
	Store     Store
	Licenses  *licensing.Licenses
	Customers *customer.Customers
	Users     *user.Users
	// Limiter counts the trials that are made.
	Limiter ratelimit.Limiter
}

// Wanted is what an application says of the trial that somebody wants.
type Wanted struct {
	Product catalog.Product
	// Policy is the code of the policy that the license is made by, empty for the first trial policy of the product.
	Policy string
	// Profile is that of the customer; Email is who wants the trial.
	Profile customer.Profile
	// Network is where the call came from.
	Network string
}

// Trial is a license for a while, and what its holder uses it by: Key, or User where people sign in to the product.
type Trial struct {
	License licensing.License
	Key     string
	User    *user.User
	// Password is that of a user who has just been made.
	Password string
	// Made tells a trial that has just been made from one that was there.
	Made bool
}

// Get is the trial of an e-mail address, which is made unless there is one. by is who asked for it. Errors:
// VALIDATION_ERROR, ErrNotAllowed, ratelimit.ErrExceeded.
func (s *Trials) Get(ctx context.Context, by *licensing.Actor, w Wanted) (Trial, error) {
	if !isAddress(w.Profile.Email) {
		return Trial{}, apierr.InvalidField("email", "must be an e-mail address, as name@example.com")
	}
	licenseID, err := s.Store.FindTrial(ctx, w.Product.ID, w.email())
	if err != nil {
		return Trial{}, err
	}
	if licenseID != "" {
		return s.existing(ctx, w, licenseID)
	}
	policy, err := s.Store.TrialPolicy(ctx, w.Product.ID, w.Policy)
	switch {
	case err != nil:
		return Trial{}, err
	case policy == nil:
		return Trial{}, w.noPolicy()
	case policy.TrialsOver(s.Licenses.Clock.Now()):
		// A trial that is over at once would be the only one that the address ever has.
		return Trial{}, ErrNotAllowed.WithMessagef("the trial policy of the product has ended; ask the vendor")
	}
	w.Policy = policy.Code
	return s.make(ctx, by, w)
}

// noPolicy refuses a trial where the product has no policy for it.
func (w *Wanted) noPolicy() error {
	if w.Policy == "" {
		return ErrNotAllowed.WithMessagef("the product has no trial policy; ask the vendor for one")
	}
	return ErrNotAllowed.WithMessagef("the product has no trial policy with this code; check the code")
}

// isAddress reports whether a text is an e-mail address that looks like no other one.
func isAddress(text string) bool {
	a, err := mail.ParseAddress(text)
	hidden := func(r rune) bool { return unicode.Is(unicode.Cf, r) }
	return err == nil && a.Address == text && norm.NFKC.IsNormalString(text) && !strings.ContainsFunc(text, hidden)
}

// email is the address as trials are told apart.
func (w *Wanted) email() string { return user.Fold(w.Profile.Email) }

// existing is a trial that was made before.
func (s *Trials) existing(ctx context.Context, w Wanted, licenseID string) (Trial, error) {
	l, err := s.Licenses.Reads.Find(ctx, licenseID)
	if err == nil {
		err = s.tellable(ctx, &l)
	}
	switch {
	case err != nil:
		return Trial{}, err
	case w.Product.AuthorizationMethod != catalog.ByUser:
		key, err := s.Licenses.Store.Key(ctx, licenseID)
		return Trial{License: l, Key: key}, err
	}
	users, err := s.Users.Store.Users(ctx, user.Filter{LicenseID: &licenseID}, licensing.Span{Page: 1, PerPage: 1})
	if err == nil && len(users.Items) == 0 {
		err = ErrNotAllowed
	}
	if err != nil {
		return Trial{}, err
	}
	return Trial{License: l, User: &users.Items[0]}, nil
}

// tellable refuses a license that is not what was made any more: an e-mail address alone, which is no secret, must not
// open it.
func (s *Trials) tellable(ctx context.Context, l *licensing.License) error {
	if !l.IsTrial || !l.IsActive || l.Suspension != nil || !strings.HasPrefix(l.CustomerID, CustomerPrefix) ||
		s.Licenses.Clock.Now().Sub(l.CreatedAt) > toldFor {
		return ErrNotAllowed
	}
	rotated, err := s.Store.KeyRotated(ctx, l.ID)
	if err == nil && rotated {
		err = ErrNotAllowed // the vendor has the new key
	}
	return err
}

// make makes a trial, unless somebody else just has. One that is not made does not count.
func (s *Trials) make(ctx context.Context, by *licensing.Actor, w Wanted) (made Trial, err error) {
	refund, err := s.admit(ctx, by, w.Network)
	if err != nil {
		return Trial{}, err
	}
	defer func() {
		if err != nil || !made.Made {
			refund()
		}
	}()
	customerID := CustomerPrefix + uuid.Must(uuid.NewV7()).String()
	var person *user.Prepared
	if w.Product.AuthorizationMethod == catalog.ByUser {
		prepared, err := s.person(ctx, by, w, customerID)
		if err != nil {
			return Trial{}, err
		}
		person = &prepared
	}
	licenseID, isNew, err := s.Store.MakeTrial(ctx, w.Product.ID, w.email(), func(ctx context.Context) (string, error) {
		var err error
		made, err = s.license(ctx, by, w, customerID)
		if err == nil && person != nil {
			err = s.assign(ctx, by, &made, person)
		}
		return made.License.ID, err
	})
	switch {
	case err != nil:
		return Trial{}, err
	case !isNew:
		return s.existing(ctx, w, licenseID)
	}
	return made, nil
}

// admit counts a trial that is to be made; refund takes it back.
func (s *Trials) admit(ctx context.Context, by *licensing.Actor, network string) (refund func(), err error) {
	all, own := "trials|"+by.Id, "trials|"+by.Id+"|"+network
	ofAll := ratelimit.Quota{Limiter: s.Limiter, Limit: ratelimit.Limit{PerHour: perCaller}}
	ofOwn := ratelimit.Quota{Limiter: s.Limiter, Limit: ratelimit.Limit{PerHour: perNetwork}}
	if err := ofOwn.Admit(ctx, own); err != nil {
		return nil, err
	}
	if err := ofAll.Admit(ctx, all); err != nil {
		ofOwn.Refund(ctx, own)
		return nil, err
	}
	return func() {
		ofOwn.Refund(ctx, own)
		ofAll.Refund(ctx, all)
	}, nil
}

// license makes the customer and the license.
func (s *Trials) license(ctx context.Context, by *licensing.Actor, w Wanted, customerID string) (Trial, error) {
	if _, _, err := s.Customers.Put(ctx, by, customerID, nil, w.Profile); err != nil {
		return Trial{}, err
	}
	isTrial := true
	created, err := s.Licenses.Create(ctx, by, licensing.NewLicense{
		CustomerID:  customerID,
		Product:     w.Product.Code,
		Policy:      w.Policy,
		TermsChange: licensing.TermsChange{IsTrial: &isTrial},
	})
	return Trial{License: created.License, Key: created.Key, Made: true}, err
}

// person is the user of the trial, ready to be made: hashing the password takes too long for a transaction.
func (s *Trials) person(ctx context.Context, by *licensing.Actor, w Wanted, customerID string) (user.Prepared, error) {
	return s.Users.Prepare(ctx, by, user.NewUser{
		Product:    w.Product.Code,
		CustomerID: customerID,
		Change:     user.Change{Email: &w.Profile.Email, Name: &w.Profile.Name},
	})
}

// assign makes the user, and gives it the license. Who is a user of the product already gets no trial: their
// applications may rely on there being one license.
func (s *Trials) assign(ctx context.Context, by *licensing.Actor, made *Trial, person *user.Prepared) error {
	known, err := s.Users.Store.Named(ctx, person.User.Product, user.Fold(person.User.Email), "")
	if err == nil && len(known) > 0 {
		err = ErrNotAllowed
	}
	if err != nil {
		return err
	}
	if err := s.Users.Store.CreateUser(ctx, person.User, person.Events); err != nil {
		return err
	}
	u, err := s.Users.Assign(ctx, by, made.License.ID, person.User.ID)
	made.Key, made.User, made.Password = "", &u, person.Password
	return err
}
