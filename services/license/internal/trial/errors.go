package trial

import (
	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// ErrNotAllowed says that there is no trial for anyone who asks. It does not say why: that is between the vendor and
// who has the e-mail address.
var ErrNotAllowed = apierr.New(apierr.Forbidden, errcode.TrialNotAllowed,
	"there is no trial for this e-mail address; ask the vendor")
