package group

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Store keeps groups. Every method that changes something locks the group, and writes the events of the change in the
// same transaction; when decide fails nothing is written.
type Store interface {
	// CreateGroup inserts a group.
	CreateGroup(ctx context.Context, g licensing.Group, events []proto.Message) error
	// Group reads a group; nil for none.
	Group(ctx context.Context, id string) (*licensing.Group, error)
	// Groups reads a part of the groups, newest first.
	Groups(ctx context.Context, span licensing.Span) (licensing.Page[licensing.Group], error)
	// ChangeGroup lets decide change a group, or nothing where it returns no events; ErrNotFound.
	ChangeGroup(ctx context.Context, id string,
		decide func(*licensing.Group) ([]proto.Message, error)) (licensing.Group, error)
	// DeleteGroup removes a group when decide lets it, which sees how many licenses it still has; ErrNotFound.
	DeleteGroup(ctx context.Context, id string, decide func(*licensing.Group) ([]proto.Message, error)) error
	// LicensesOf reads the ids of up to limit licenses of a group.
	LicensesOf(ctx context.Context, groupID string, limit int) (licenseIDs []string, err error)
}
