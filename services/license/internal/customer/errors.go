package customer

import (
	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// ErrNotFound says that no customer has the customer_id of the path.
var ErrNotFound = apierr.New(apierr.NotFound, errcode.CustomerNotFound,
	"no customer has this customer_id; a customer is made by the first license that names it, or by PUT")
