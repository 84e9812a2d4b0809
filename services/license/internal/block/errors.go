package block

import (
	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// ErrNotFound says that no block has the id of the path.
var ErrNotFound = apierr.New(apierr.NotFound, errcode.BlockNotFound,
	"no block has this block_id; the list of blocks shows them")
