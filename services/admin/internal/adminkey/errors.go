package adminkey

import (
	"errors"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// Failures of this package, as users see them.
var (
	ErrInvalidKey = apierr.New(apierr.Unauthenticated, errcode.InvalidAdminKey,
		"send a valid admin key in the X-Admin-API-Key header")
	ErrRole = apierr.New(apierr.Forbidden, errcode.RoleNotAllowed,
		"the role of this admin key does not allow this; use a key with the role named in details.required")
	ErrNotFound = apierr.New(apierr.NotFound, errcode.NotFound, "no admin key has this id")
	// ErrNoOwner and ErrNotOwner are for the operator of the service: nobody could use it.
	ErrNoOwner   = errors.New("is missing, and there is no other owner key; set 32 or more random characters")
	ErrNotOwner  = errors.New("belongs to a key that is not an owner key")
	ErrLastOwner = apierr.New(apierr.Conflict, errcode.LastOwner,
		"this is the last owner key; create another owner key before deleting it")
)
