package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
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

// Signers implements integration.Signers: all keys are in memory, so that unknown ones cost no statement.
type Signers struct {
	db   *db.DB
	ring *keyring.Ring
	all  *cache.Cache[struct{}, *signerSet]
}

type signerSet struct {
	apiKeys   map[[sha256.Size]byte]*integration.Signer
	clientIDs map[string]*integration.Signer
}

// NewSigners returns keys that are read when somebody asks. link tells whether changes of them arrive.
func NewSigners(d *db.DB, ring *keyring.Ring, c clock.Clock, link interface{ Alive() bool }) *Signers {
	options := cache.Options{Capacity: 1, TTL: validFor, Stale: signersStale, Unlinked: unlinkedFor, Link: link}
	return &Signers{db: d, ring: ring, all: cache.New[struct{}, *signerSet](options, c)}
}

// ByAPIKey implements integration.Signers.
func (s *Signers) ByAPIKey(ctx context.Context, apiKey string) (*integration.Signer, error) {
	set, _, err := s.all.Fetch(ctx, struct{}{}, s.read)
	if err != nil {
		return nil, err
	}
	return set.apiKeys[secret.Hash(apiKey)], nil
}

// ByClientID implements integration.Signers.
func (s *Signers) ByClientID(ctx context.Context, clientID string) (*integration.Signer, error) {
	set, _, err := s.all.Fetch(ctx, struct{}{}, s.read)
	if err != nil {
		return nil, err
	}
	return set.clientIDs[clientID], nil
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
