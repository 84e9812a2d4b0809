package usage

import (
	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// Failures of the use cases.
var (
	ErrLicenseNotFound = apierr.New(apierr.NotFound, errcode.LicenseNotFound,
		"analytics has never seen a license with this id; it becomes known a few seconds after it was created")
	ErrAnomalyNotFound = apierr.New(apierr.NotFound, errcode.NotFound, "there is no anomaly with this id")
)
