package user

import (
	"fmt"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// The reasons why users cannot be found or changed, or cannot sign in.
var (
	ErrNotFound = apierr.New(apierr.NotFound, errcode.UserNotFound,
		"no user has this user_id; the list of users shows them")
	ErrExists = apierr.New(apierr.Conflict, errcode.UserExists,
		"a user of this product and customer has this e-mail already; change that user, or choose another e-mail")
	// ErrSignIn is one answer to everything that may be wrong, so that nobody learns which e-mails are known.
	ErrSignIn = licensing.ErrCredentials.WithMessagef(
		"the e-mail or the password is wrong; where several customers of the " +
			"product have a user with this e-mail, send customer_id, too")
	errOtherProduct  = apierr.InvalidField("user_id", "the user and the license are of different products")
	errOtherCustomer = apierr.InvalidField("user_id",
		"the user and the license are of different customers; make a user with the customer_id of the license, or "+
			"give the license that of the user")
	errTooMany = apierr.InvalidField("user_id",
		fmt.Sprintf("a user can have %d licenses; take one away first", MaxLicenses))
	ErrByKey = apierr.InvalidField("product",
		"its authorization_method is key; users are for products with user")
)
