package appliance

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
)

// Store keeps the one Installation.
type Store interface {
	// Installation is nil where none was made yet.
	Installation(ctx context.Context) (*Installation, error)
	// AddInstallation makes the installation, unless there is one, and returns the one that there is.
	AddInstallation(ctx context.Context, machineID string, at time.Time) (*Installation, error)
	// ChangeInstallation changes it under its lock, and writes the events of the change with it, if there are any.
	ChangeInstallation(ctx context.Context, decide func(*Installation) ([]proto.Message, error)) error
	// ClaimCheck sets when the upstream is asked next, unless the installation has changed since a version; of several
	// processes one is told true.
	ClaimCheck(ctx context.Context, version int, due time.Time) (bool, error)
}

// Upstream is another Latchkey, which licenses this installation. Its refusals are *RefusedError; every other error
// says that it gave no answer, a *NoAnswerError why. With a nonce, an Answer has a statement that is signed for it.
type Upstream interface {
	// Activate gives a machine a seat, if it has none, and tells what the license is.
	Activate(ctx context.Context, a Account, machineID, nonce string) (Answer, error)
	// Validate tells what the license is for a machine with a seat.
	Validate(ctx context.Context, a Account, machineID, nonce string) (Answer, error)
	// Deactivate gives the seat of a machine back.
	Deactivate(ctx context.Context, a Account, machineID string) error
}
