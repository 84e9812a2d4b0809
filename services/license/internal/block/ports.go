package block

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Store keeps blocks. Every method that changes something writes the events of the change in the same transaction.
type Store interface {
	// AddBlock inserts the block that made completes and tells the events of; VALIDATION_ERROR where b names a license
	// or a product that does not exist, ErrExists where an equal one has not ended. l is the license that it names, nil
	// for none.
	AddBlock(
		ctx context.Context, b *licensing.Block, made func(l *licensing.License) ([]proto.Message, error),
	) error
	// RemoveBlock deletes a block; ErrNotFound.
	RemoveBlock(ctx context.Context, id string, events func(*licensing.Block) []proto.Message) error
	// Blocks reads a part of the blocks, newest first.
	Blocks(ctx context.Context, span licensing.Span) (licensing.Page[licensing.Block], error)
}
