package licensing

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const (
	// MaxKeyOverlap is how long a key may go on working beside the one that takes its place: a year.
	MaxKeyOverlap = 8760 * time.Hour
	// MaxFormerKeys is how many former keys of a license work at a time; of more, those that end first stop at once.
	MaxFormerKeys = 5
)

// KeyChange is what a Change does to the keys of its license.
type KeyChange struct {
	// Rotate gives the license another key.
	Rotate *Rotation
	// Add is an enrollment key to be made, and Delete the id of one to be deleted.
	Add    *NewEnrollment
	Delete string
}

// Rotation is another key for a license. Whether a former key still opens the license is decided by foundKey.ended
// (store/keys.go).
type Rotation struct {
	Key string
	// Until is when the previous key stops working. Zero is at once, and then all former keys stop.
	Until time.Time
}

// Rotated is a license that has just got another key.
type Rotated struct {
	Created
	// FormerUntil is when the previous key stops working, zero for at once.
	FormerUntil time.Time
}

// RotateKey gives a license another key, which works at once; the previous one goes on for the overlap. Seats, leases
// and tokens stay. Without an overlap the keys of earlier rotations stop as well. Errors: ErrNotFound,
// ErrVersionMismatch.
func (s *Licenses) RotateKey(ctx context.Context, by *Actor, licenseID string, overlap time.Duration) (Rotated, error) {
	var out Rotated
	err := s.Store.Change(ctx, licenseID, nil, func(ch *Change) error {
		now := s.Clock.Now()
		r := Rotation{Key: NewKey()}
		if overlap > 0 {
			r.Until = now.Add(overlap)
		}
		ch.rotate(by, r, now)
		out = Rotated{Created{ch.License, r.Key}, r.Until}
		return nil
	})
	return out, err
}

func (ch *Change) rotate(by *Actor, r Rotation, now time.Time) {
	l, before := &ch.License, ch.License.MaskedKey
	ch.Keys = &KeyChange{Rotate: &r}
	l.MaskedKey = MaskKey(r.Key)
	l.touch(now)
	ch.Emit(keyRotated(l, r.Until, now))
	ch.Emit(audited(by, "license.rotate_key", l.ID, map[string]any{"license_key": before},
		map[string]any{"license_key": l.MaskedKey, "former_key_valid_until": timeValue(r.Until)}))
}

func keyRotated(l *License, until, now time.Time) proto.Message {
	return &eventsv1.LicenseKeyRotated{
		LicenseId:           l.ID,
		CustomerId:          l.CustomerID,
		FormerKeyValidUntil: timestamp(until),
		Version:             int32(l.Version),
		License:             Snapshot(l, now),
	}
}
