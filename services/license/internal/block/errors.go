package block

import (
	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// The reasons why nothing is done.
var (
	// ErrNotFound says that no block has the id of the path.
	ErrNotFound = apierr.New(apierr.NotFound, errcode.BlockNotFound,
		"no block has this block_id; the list of blocks shows them")
	// ErrExists has the id of the block that is there.
	ErrExists = apierr.New(apierr.Conflict, errcode.BlockExists,
		"the same block, on the same licenses, already exists; delete it first to change it")
)
