package group

import (
	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// ErrNotFound says that no group has the id of the path.
var ErrNotFound = apierr.New(apierr.NotFound, errcode.GroupNotFound,
	"no group has this group_id; the list of groups shows them")
