package integration

import (
	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// The reasons why an integration cannot be found or changed.
var (
	ErrNotFound = apierr.New(apierr.NotFound, errcode.IntegrationNotFound,
		"no integration has this id; the list of integrations shows them")
	ErrTooMany = apierr.New(apierr.Conflict, errcode.TooManyIntegrations,
		"the maximum number of integration keys exists, including ended ones; rotate less often")
	ErrReused = apierr.New(apierr.Invalid, errcode.IdempotencyKeyReused,
		"this request_id was already used for another request; use a new one for a new request")
)
