package trial

import (
	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// ErrNotAllowed says that there is no trial for whoever asks.
var ErrNotAllowed = apierr.New(apierr.Forbidden, errcode.TrialNotAllowed, "there is no trial for this e-mail address")
