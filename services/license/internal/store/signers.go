package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
)

// signersStale is how long the keys of integrations stay good while the database is away.
const signersStale = time.Hour

// lookEvery is how often a key that is not in memory is looked for in the database, of all that strangers make up.
const lookEvery = time.Second

// Signers implements integration.Signers: all keys are in memory. One that is not there may be new, and this process
// has not learned of it yet.
type Signers struct {
	db    *db.DB
	ring  *keyring.Ring
	clock clock.Clock
	all   *cache.Cache[struct{}, *signerSet]
	// lookAt is the time, in Unix nanoseconds, from which on an unknown key is looked for again.
	lookAt atomic.Int64
}

type signerSet struct {
	apiKeys   map[[sha256.Size]byte]*integration.Signer
	clientIDs map[string]*integration.Signer
}

// NewSigners returns keys that are read when somebody asks. link reports whether changes of them arrive.
func NewSigners(d *db.DB, ring *keyring.Ring, c clock.Clock, link cache.Link) *Signers {
	options := cache.Options{
		Capacity: 1, TTL: validFor, Stale: signersStale, Unlinked: cache.UnlinkedFor, Link: link, Apart: d.InTx,
	}
	return &Signers{db: d, ring: ring, clock: c, all: cache.New[struct{}, *signerSet](options, c)}
}

// ByAPIKey implements integration.Signers.
func (s *Signers) ByAPIKey(ctx context.Context, apiKey string) (*integration.Signer, error) {
	hash := secret.Hash(apiKey)
	return s.find(ctx, func(set *signerSet) *integration.Signer { return set.apiKeys[hash] },
		"api_key_sha256 = ?", hash[:])
}

// ByClientID implements integration.Signers.
func (s *Signers) ByClientID(ctx context.Context, clientID string) (*integration.Signer, error) {
	return s.find(ctx, func(set *signerSet) *integration.Signer { return set.clientIDs[clientID] },
		"client_id = ?", clientID)
}

// find looks into the keys, and once more where the database has one that is not among them.
func (s *Signers) find(
	ctx context.Context, in func(*signerSet) *integration.Signer, where string, value any,
) (*integration.Signer, error) {
	set, cached, err := s.all.Fetch(ctx, struct{}{}, s.read)
	if err != nil {
		return nil, err
	}
	if found := in(set); found != nil || !cached || !s.isNew(ctx, where, value) {
		return found, nil
	}
	s.all.DropAll()
	if set, _, err = s.all.Fetch(ctx, struct{}{}, s.read); err != nil {
		return nil, err
	}
	return in(set), nil
}

// isNew reports whether the database has a key. While it cannot be asked, what is in memory counts.
func (s *Signers) isNew(ctx context.Context, where string, value any) bool {
	now, at := s.clock.Now().UnixNano(), s.lookAt.Load()
	early := now < at && at-now <= int64(lookEvery) // further away: the clock was set back
	if early || !s.lookAt.CompareAndSwap(at, now+int64(lookEvery)) {
		return false
	}
	var known int64
	err := s.db.Read(ctx).Table("integration_keys").Where(where, value).Limit(1).Count(&known).Error
	return err == nil && known > 0
}

func (s *Signers) read(ctx context.Context) (*signerSet, error) {
	var rows []integrationRow
	if err := s.db.Read(ctx).Table("integrations").Find(&rows).Error; err != nil {
		return nil, db.Error(err)
	}
	known := map[string]*integration.Integration{}
	for i := range rows {
		found := rows[i].integration()
		known[found.ID] = &found
	}
	var keys []integrationKeyRow
	if err := s.db.Read(ctx).Table("integration_keys").Find(&keys).Error; err != nil {
		return nil, db.Error(err)
	}
	set := &signerSet{
		apiKeys: map[[sha256.Size]byte]*integration.Signer{}, clientIDs: map[string]*integration.Signer{},
	}
	for i := range keys {
		key, err := keys[i].key(s.ring)
		if errors.Is(err, keyring.ErrUnknownKey) {
			err = masterkey.ErrMissing.WithCause(err)
		}
		if err != nil {
			return nil, err
		}
		if of := known[key.IntegrationID]; of != nil { // nil: it was made between the two queries
			signer := &integration.Signer{Integration: of, Key: key}
			set.apiKeys[key.APIKeyHash], set.clientIDs[key.ClientID] = signer, signer
		}
	}
	return set, nil
}

// IntegrationEvents are the types of the events that OnEvent of Signers is for.
func IntegrationEvents() []string {
	return []string{
		eventsv1.TypeIntegrationCreated, eventsv1.TypeIntegrationKeyRotated, eventsv1.TypeIntegrationDeleted,
	}
}

// OnEvent forgets the keys when some were added or ended.
func (s *Signers) OnEvent(e event.Event) {
	if slices.Contains(IntegrationEvents(), e.Type) {
		s.all.DropAll()
	}
}

// OnGap forgets the keys: changes may have been missed.
func (s *Signers) OnGap() { s.all.DropAll() }
