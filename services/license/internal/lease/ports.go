package lease

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Store keeps leases.
type Store interface {
	// ChangeLeases locks the license of a call, loads what the call names of its leases, lets decide change them, and
	// writes what differs, with the events. Calls that come at the same time share a transaction; one whose decide
	// fails must have changed nothing, and hinders no other. decide may run more than once, and still after
	// ChangeLeases has failed because its context ended. Errors: licensing.ErrNotFound.
	ChangeLeases(ctx context.Context, c Call, decide func(*Pool) error) error
	// PeekLeases is what a call names of the leases of a license as they stand at a time, without a lock: nothing of
	// its changes is written. licensing.ErrNotFound.
	PeekLeases(ctx context.Context, c Call, now time.Time) (*Pool, error)
	// ExpireLeases notes up to limit leases that have expired, each with its event, and returns how many there were and
	// the time by the clock of the database.
	ExpireLeases(ctx context.Context, limit int) (n int, now time.Time, err error)
	// RestartLeases has up to limit leases that are not borrowed and were last seen at a time that is yet to come
	// restart now, and returns how many there were.
	RestartLeases(ctx context.Context, limit int) (int, error)
	// Leases reads a part of the live leases of a license, latest first, counts all, and reads its slots;
	// licensing.ErrNotFound.
	Leases(ctx context.Context, licenseID string, span licensing.Span) (licensing.Page[Lease], Slots, error)
}

// Call says which leases of a license a call is about. Empty members name none.
type Call struct {
	LicenseID string
	LeaseID   string
	// Holder finds the lease that it has now, and its device.
	Holder Holder
	// Last has also that lease of the holder found that was taken last, however it ended.
	Last bool
	// Entitlement is the code of the entitlement whose leases are to be counted.
	Entitlement string
	// Borrows has those who hold borrowed leases counted.
	Borrows bool
}
