package delegation

import (
	"errors"
	"fmt"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// The reasons why something is not found, or nothing is activated.
var (
	ErrOrganisationNotFound = apierr.New(apierr.NotFound, errcode.OrganisationNotFound,
		"no organisation has this id; the list of organisations shows them")
	ErrMasterNotFound = apierr.New(apierr.NotFound, errcode.MasterNotFound,
		"no master has this id; the masters of the organisation show them")
	ErrSlaveNotFound = apierr.New(apierr.NotFound, errcode.SlaveNotFound,
		"no slave has this id; the slaves of the organisation show them")
	ErrMasterExists = apierr.New(apierr.Conflict, errcode.MasterExists,
		"the organisation has a master for this product and operating system; revoke that one first")
	ErrMasterRevoked = apierr.New(apierr.NotFound, errcode.MasterNotFound,
		"the master was revoked, and slaves of it would not work; import them into another master")
	ErrKey = apierr.New(apierr.Unauthenticated, errcode.DelegatedKeyInvalid,
		"the master or slave key is not valid; check that it was copied whole, or ask who gave it out")
	// ErrUnknownKey is the cause of ErrKey where somebody has keys, but nobody has this one.
	ErrUnknownKey = errors.New("nobody has this key")
	ErrNoCredit   = apierr.New(apierr.Forbidden, errcode.CreditExhausted,
		"all credits of the organisation are used; ask the vendor for more")
	ErrSlaveUsed = apierr.New(apierr.Forbidden, errcode.SlaveKeyUsed,
		"the slave key has activated another device and cannot activate more; use another slave key")
	ErrTooManySlaves = apierr.New(apierr.Forbidden, errcode.SlaveLimitExceeded, fmt.Sprintf(
		"the organisation has one slave key for each credit and %d more; buy credits, or have the vendor revoke slaves",
		SpareSlaves))
	ErrOtherMaster = apierr.New(apierr.Forbidden, errcode.RuntimeKeyMismatch,
		"the runtime key belongs to another product or operating system; use a key of the master for that one")
)
