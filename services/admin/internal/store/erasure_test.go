package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/erasure"
	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
	"github.com/latchkey-dev/latchkey/services/admin/internal/store"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestErasuresAtOnce: another replica commits while this one is at work; on SQLite there is none.
func TestErasuresAtOnce(t *testing.T) {
	license := uuid.NewString()
	ada, bob := erasure.New("ada", "erased-a", noon), erasure.New("bob", "erased-b", noon)
	moved := audit.Entry{ID: uuid.Must(uuid.NewV7()).String(), OccurredAt: noon.Add(-time.Hour), Actor: &audit.Actor{},
		Action: "license.update", LicenseID: license,
		Before: json.RawMessage(`{"customer_id":"ada"}`), After: json.RawMessage(`{"customer_id":"bob"}`)}
	for name, tt := range map[string]struct {
		known []audit.Entry
		other string
		args  []any
		work  func(*store.Store) error
	}{
		"of two customers that had one license": {
			known: []audit.Entry{moved},
			other: `UPDATE audit_entries SET before = '{"customer_id":"erased-a"}' WHERE audit_id = ?`,
			args:  []any{moved.ID},
			work: func(s *store.Store) error {
				return s.Erase(t.Context(), audit.Erasure{Rule: bob, LicenseID: license})
			},
		},
		"and an entry": {
			other: `INSERT INTO erasures (license_id, previous, salt, customer_id, erased_at, had)
				VALUES (?, ?, ?, 'erased-a', ?, true), (?, ?, ?, 'erased-b', ?, false)`,
			args: []any{license, ada.Previous, ada.Salt, ada.At, license, bob.Previous, bob.Salt, bob.At},
			work: func(s *store.Store) error { return s.Append(t.Context(), []audit.Entry{moved}) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := testkit.Open(t, db.Config{URL: testkit.Postgres(t), Schema: "admin"}, store.Migrations)
			s := store.New(d, nil)
			if err := s.Append(t.Context(), tt.known); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			err := d.Tx(t.Context(), func(ctx context.Context, tx *gorm.DB) error {
				if err := tx.Exec(tt.other, tt.args...).Error; err != nil {
					return err
				}
				go func() { ended <- tt.work(s) }()
				awaitWaiting(t, d, ended)
				return nil
			})
			if err := errors.Join(err, <-ended); err != nil {
				t.Fatal(err)
			}
			found, err := s.Search(t.Context(), audit.Filter{Page: 1, PerPage: 10})
			if err != nil || len(found.Entries) != 1 {
				t.Fatal(found, err)
			}
			e := found.Entries[0]
			if !strings.Contains(string(e.Before), "erased-a") || !strings.Contains(string(e.After), "erased-b") {
				t.Errorf("left in the log: %s, %s", e.Before, e.After)
			}
		})
	}
}

// awaitWaiting returns when something waits for a lock, or has ended without it.
func awaitWaiting(t *testing.T, d *db.DB, ended chan error) {
	testkit.Eventually(t, time.Minute, func() error {
		var waiting int
		err := d.Read(t.Context()).Raw(`SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting).Error
		if err == nil && waiting == 0 && len(ended) == 0 {
			err = errors.New("nothing waits")
		}
		return err
	})
}
