package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// integrationPurpose binds ciphertexts of the secrets of integrations to what they are for.
const integrationPurpose = "integration-key"

// integrationRow mirrors the table integrations.
type integrationRow struct {
	ID         string
	Kind       string
	Name       string
	Products   string
	ReadOnly   bool
	ServerSide bool
	PerMinute  int
	PerHour    int
	Per        string
	CreatedAt  time.Time
	DeletedAt  *time.Time
}

func newIntegrationRow(i *integration.Integration) integrationRow {
	return integrationRow{
		ID:         i.ID,
		Kind:       i.Kind,
		Name:       i.Name,
		Products:   encodeCodes(i.Products),
		ReadOnly:   i.ReadOnly,
		ServerSide: i.ServerSide,
		PerMinute:  i.RateLimit.PerMinute,
		PerHour:    i.RateLimit.PerHour,
		Per:        string(i.Per),
		CreatedAt:  i.CreatedAt,
	}
}

func (r *integrationRow) integration() integration.Integration {
	var products []string
	_ = json.Unmarshal([]byte(r.Products), &products) // written by newIntegrationRow
	return integration.Integration{
		ID:         r.ID,
		Kind:       r.Kind,
		Name:       r.Name,
		Products:   products,
		ReadOnly:   r.ReadOnly,
		ServerSide: r.ServerSide,
		RateLimit:  ratelimit.Limit{PerMinute: r.PerMinute, PerHour: r.PerHour},
		Per:        integration.Per(r.Per),
		CreatedAt:  r.CreatedAt.UTC(),
		DeletedAt:  value(r.DeletedAt),
	}
}

// integrationKeyRow mirrors the table integration_keys.
type integrationKeyRow struct {
	ID            string
	IntegrationID string
	APIKeySha256  []byte `gorm:"column:api_key_sha256"`
	ClientID      string
	Sealed        []byte
	MasterKey     string
	CreatedAt     time.Time
	ValidUntil    *time.Time
}

// keySecrets are what is sealed of a key.
type keySecrets struct {
	SharedKey    string `json:"shared_key"`
	ClientSecret string `json:"client_secret"`
}

func newIntegrationKeyRow(k *integration.Key, ring *keyring.Ring) (integrationKeyRow, error) {
	secrets, err := json.Marshal(keySecrets{k.SharedKey, k.ClientSecret})
	if err != nil {
		return integrationKeyRow{}, err
	}
	sealed, err := ring.Seal(integrationPurpose, secrets, []byte(k.ID))
	return integrationKeyRow{
		ID:            k.ID,
		IntegrationID: k.IntegrationID,
		APIKeySha256:  k.APIKeyHash[:],
		ClientID:      k.ClientID,
		Sealed:        sealed,
		MasterKey:     ring.Name(),
		CreatedAt:     k.CreatedAt,
	}, err
}

func (r *integrationKeyRow) key(ring *keyring.Ring) (*integration.Key, error) {
	plain, err := ring.Open(integrationPurpose, r.Sealed, []byte(r.ID))
	if err != nil {
		return nil, err
	}
	var secrets keySecrets
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return nil, fmt.Errorf("secrets of integration key %s: %w", r.ID, err)
	}
	k := &integration.Key{
		ID:            r.ID,
		IntegrationID: r.IntegrationID,
		SharedKey:     secrets.SharedKey,
		ClientID:      r.ClientID,
		ClientSecret:  secrets.ClientSecret,
		CreatedAt:     r.CreatedAt.UTC(),
		ValidUntil:    value(r.ValidUntil),
	}
	copy(k.APIKeyHash[:], r.APIKeySha256)
	return k, nil
}

// AddIntegration implements integration.Store.
func (s *Store) AddIntegration(
	ctx context.Context, i integration.Integration, k integration.Key, events []proto.Message,
) error {
	row := newIntegrationRow(&i)
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if err := checkProducts(tx, "products", i.Products); err != nil {
			return err
		}
		if err := tx.Table("integrations").Create(&row).Error; err != nil {
			return err
		}
		if err := s.addIntegrationKey(tx, &k); err != nil {
			return err
		}
		return s.publish(ctx, tx, i.ID, events)
	}))
}

// checkProducts refuses a member of a call that names a product which is not there.
func checkProducts(tx *gorm.DB, member string, codes []string) error {
	if len(codes) == 0 {
		return nil
	}
	var known []string
	if err := tx.Table("products").Where("code IN ?", codes).Pluck("code", &known).Error; err != nil {
		return err
	}
	for _, code := range codes {
		if !slices.Contains(known, code) {
			return unknownProduct(tx, member, code)
		}
	}
	return nil
}

func (s *Store) addIntegrationKey(tx *gorm.DB, k *integration.Key) error {
	if err := s.keys.Guard(tx); err != nil {
		return err
	}
	const over = `DELETE FROM integration_keys WHERE valid_until <= @since
		OR integration_id IN (SELECT id FROM integrations WHERE deleted_at <= @since)`
	if err := tx.Exec(over, sql.Named("since", s.clock.Now().Add(-integration.EndedKept))).Error; err != nil {
		return err
	}
	var kept int64
	if err := tx.Table("integration_keys").Count(&kept).Error; err != nil {
		return err
	}
	if kept >= integration.MaxKeys {
		return integration.ErrTooMany
	}
	row, err := newIntegrationKeyRow(k, s.keys.Ring)
	if err != nil {
		return err
	}
	return tx.Table("integration_keys").Create(&row).Error
}

// Integrations implements integration.Store.
func (s *Store) Integrations(
	ctx context.Context, span licensing.Span,
) (licensing.Page[integration.Integration], error) {
	live := func() *gorm.DB { return s.db.Read(ctx).Table("integrations").Where("deleted_at IS NULL") }
	newest := newestFirst("created_at", func(r *integrationRow) (time.Time, string) { return r.CreatedAt, r.ID })
	return readPage(live, allColumns, span, newest, (*integrationRow).integration)
}

// lockIntegration locks one that was not deleted.
func (s *Store) lockIntegration(tx *gorm.DB, id string) (integration.Integration, error) {
	if !uid.Is(id) {
		return integration.Integration{}, integration.ErrNotFound
	}
	var row integrationRow
	err := s.db.Lock(tx).Table("integrations").Where("id = ? AND deleted_at IS NULL", id).Take(&row).Error
	return row.integration(), missing(err, integration.ErrNotFound)
}

// RotateIntegrationKey implements integration.Store.
func (s *Store) RotateIntegrationKey(
	ctx context.Context, k integration.Key, until time.Time, events func(*integration.Integration) []proto.Message,
) (found integration.Integration, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if found, err = s.lockIntegration(tx, k.IntegrationID); err != nil {
			return err
		}
		err := tx.Table("integration_keys").Where("integration_id = ?", found.ID).
			Where("valid_until IS NULL OR valid_until > ?", until).Update("valid_until", until).Error
		if err != nil {
			return err
		}
		if err := s.addIntegrationKey(tx, &k); err != nil {
			return err
		}
		return s.publish(ctx, tx, found.ID, events(&found))
	})
	return found, db.Error(err)
}

// DeleteIntegration implements integration.Store.
func (s *Store) DeleteIntegration(
	ctx context.Context, id string, at time.Time, events func(*integration.Integration) []proto.Message,
) error {
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		found, err := s.lockIntegration(tx, id)
		if err != nil {
			return err
		}
		if err := tx.Table("integrations").Where("id = ?", id).Update("deleted_at", at).Error; err != nil {
			return err
		}
		return s.publish(ctx, tx, id, events(&found))
	}))
}
