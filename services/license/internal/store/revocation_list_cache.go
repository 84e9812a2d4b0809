package store

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
)

// revocationsFor is how late the list may tell of what time alone revokes or reinstates.
const revocationsFor = time.Second

// Revocations implements licensefile.RevocationStore: however often somebody asks for the list, it is read once in a
// while.
type Revocations struct {
	store *Store
	known *cache.Cache[struct{}, knownRevocations]
}

type knownRevocations struct {
	number, pruned int
	entries        []licensefile.Revocation
}

// NewRevocations returns the list in the database of s.
func NewRevocations(s *Store, c clock.Clock) *Revocations {
	options := cache.Options{Capacity: 1, TTL: revocationsFor, Apart: s.db.InTx}
	return &Revocations{store: s, known: cache.New[struct{}, knownRevocations](options, c)}
}

// Revocations implements licensefile.RevocationStore. The entries are shared and must not be changed.
func (r *Revocations) Revocations(
	ctx context.Context, now time.Time,
) (number, pruned int, entries []licensefile.Revocation, err error) {
	k, _, err := r.known.Fetch(ctx, struct{}{}, func(ctx context.Context) (k knownRevocations, err error) {
		k.number, k.pruned, k.entries, err = r.store.Revocations(ctx, now)
		return k, err
	})
	return k.number, k.pruned, k.entries, err
}

// revoking are the types of the events that change who is on the list.
var revoking = []string{
	eventsv1.TypeLicenseSuspended, eventsv1.TypeLicenseReinstated, eventsv1.TypeLicenseDeactivated,
	eventsv1.TypeLicenseReactivated, eventsv1.TypeLicenseTransferred, eventsv1.TypeLicenseActivated,
	eventsv1.TypeDeviceDeactivated, eventsv1.TypeDeviceCulled, eventsv1.TypeDeviceRebound,
}

// OnEvent forgets the list when somebody comes to it or leaves it.
func (r *Revocations) OnEvent(e event.Event) {
	if slices.Contains(revoking, e.Type) {
		r.known.DropAll()
	}
}

// OnGap forgets the list: changes may have been missed.
func (r *Revocations) OnGap() { r.known.DropAll() }
