package store

import (
	"bytes"
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/proto/erasure"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
)

// erasureRow mirrors the table erasures.
type erasureRow struct {
	ID         string
	CustomerID string
	Salt       string
	Previous   string
	ErasedAt   time.Time
	ScrubbedAt *time.Time
}

func (r *erasureRow) rule() erasure.Rule {
	return erasure.Rule{CustomerID: r.CustomerID, Salt: r.Salt, Previous: r.Previous, At: r.ErasedAt.UTC()}
}

// forget deletes what tells of persons on the licenses that have the customer @new already, at @now. Leases that live
// keep one session apart from another.
var forget = []string{
	`UPDATE devices SET name = '', label = '', variables = NULL, session_data = NULL, erased_at = @now
		WHERE license_id IN (SELECT id FROM licenses WHERE customer_id = @new)`,
	`UPDATE leases SET device_name = '', session_id = CASE WHEN ending = '' THEN CAST(id AS text) ELSE '' END
		WHERE license_id IN (SELECT id FROM licenses WHERE customer_id = @new)`,
	`UPDATE counter_history SET reason = '' WHERE license_id IN (SELECT id FROM licenses WHERE customer_id = @new)`,
	`UPDATE blocks SET reason = '' WHERE license_id IN (SELECT id FROM licenses WHERE customer_id = @new)`,
	// The column of e-mail addresses is unique; a user without a password signs in no more, and tokens are void.
	`UPDATE users SET customer_id = @new, name = '', password_hash = '',
		email = 'erased-' || CAST(id AS text), email_folded = 'erased-' || CAST(id AS text), known_addresses = '[]',
		is_locked = true, credentials = credentials + 1, version = version + 1, updated_at = @now
		WHERE customer_id = @old`,
	`DELETE FROM offline_requests WHERE license_id IN (SELECT id FROM licenses WHERE customer_id = @new)`,
	`DELETE FROM trials WHERE license_id IN (SELECT id FROM licenses WHERE customer_id = @new)
		OR license_id IN (SELECT license_id FROM former_customers WHERE customer_id = @old)`,
	`UPDATE enrollment_keys SET label = '' WHERE license_id IN (SELECT id FROM licenses WHERE customer_id = @new)`,
}

// EraseCustomer implements customer.Store.
func (s *Store) EraseCustomer(
	ctx context.Context, customerID string, decide func(*customer.Customer) (erasure.Rule, error),
	events func(*customer.Customer, erasure.Rule, []customer.Erased) map[string][]proto.Message,
) (c customer.Customer, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if err := s.lockErased(tx, customerID); err != nil {
			return err
		}
		if c, err = s.lockCustomer(tx, customerID, nil); err != nil {
			return err
		}
		rule, err := decide(&c)
		if err == nil {
			err = repeatErasure(tx, c.ID, &rule)
		}
		if err != nil {
			return err
		}
		if err := eraseSlaves(tx, customerID); err != nil {
			return err
		}
		licenses, err := eraseLicenses(tx, customerID, rule)
		if err != nil {
			return err
		}
		if err := eraseRow(tx, &c, rule); err != nil {
			return err
		}
		for subject, messages := range events(&c, rule, licenses) {
			if err := s.publish(ctx, tx, subject, messages); err != nil {
				return err
			}
		}
		return nil
	})
	return c, db.Error(err)
}

// repeatErasure has the rule for a customer that was erased before look for the id that the customer had then.
func repeatErasure(tx *gorm.DB, id string, r *erasure.Rule) error {
	var rows []erasureRow
	err := tx.Table("erasures").Where("id = ?", id).Find(&rows).Error
	for i := range rows {
		r.Salt, r.Previous = rows[i].Salt, rows[i].Previous
	}
	return err
}

func eraseRow(tx *gorm.DB, c *customer.Customer, r erasure.Rule) error {
	row := newCustomerRow(c)
	res := tx.Table("customers").Where("id = ?", c.ID).Select("*").Omit("id", "created_at").UpdateColumns(&row)
	if err := wroteOne(res, "customer"); err != nil {
		return err
	}
	return db.Upsert(tx, "erasures", []erasureRow{{
		ID: c.ID, CustomerID: r.CustomerID, Salt: r.Salt, Previous: r.Previous, ErasedAt: r.At,
	}}, "id")
}

// lockErased locks what belongs to a customer: the slaves of its licenses, the licenses, users, and devices, which Seen
// writes to without the lock of their license.
func (s *Store) lockErased(tx *gorm.DB, customerID string) error {
	const own = "license_id IN (SELECT id FROM licenses WHERE customer_id = ?)"
	for _, lock := range []struct{ table, condition string }{
		{"delegated_slaves", "master_id IN (SELECT id FROM delegated_masters WHERE " + own + ")"},
		{"licenses", "customer_id = ?"},
		{"users", "customer_id = ?"},
		{"devices", own},
	} {
		if err := s.lockRows(tx, lock.table, "id", lock.condition, customerID); err != nil {
			return err
		}
	}
	return nil
}

// eraseSlaves deletes what partners noted of those whom delegated keys for the licenses of a customer were made for.
func eraseSlaves(tx *gorm.DB, customerID string) error {
	return tx.Exec(`UPDATE delegated_slaves SET comment = '' WHERE comment <> '' AND master_id IN (
		SELECT id FROM delegated_masters WHERE license_id IN (SELECT id FROM licenses WHERE customer_id = ?))`,
		customerID).Error
}

// eraseLicenses cleans the licenses that a customer has, and returns them and those that it had.
func eraseLicenses(tx *gorm.DB, customerID string, r erasure.Rule) ([]customer.Erased, error) {
	const own = `UPDATE licenses SET customer_id = @new, metadata = '{}', suspension_reason = '',
		deactivation_reason = '',
		version = version + 1, updated_at = @now WHERE customer_id = @old`
	params := map[string]any{"new": r.CustomerID, "old": customerID, "now": r.At}
	for _, statement := range append([]string{own}, forget...) {
		if err := tx.Exec(statement, params).Error; err != nil {
			return nil, err
		}
	}
	const former = `UPDATE former_customers SET customer_id = @new WHERE customer_id = @old`
	if err := tx.Exec(former, params).Error; err != nil {
		return nil, err
	}
	return erasedLicenses(tx, r.CustomerID)
}

func erasedLicenses(tx *gorm.DB, customerID string) ([]customer.Erased, error) {
	var rows []licenseRow
	err := tx.Table("licenses").Select(licenseColumns).
		Where("customer_id = ? OR id IN (SELECT license_id FROM former_customers WHERE customer_id = ?)",
			customerID, customerID).
		Order("id").Find(&rows).Error
	licenses := make([]customer.Erased, len(rows))
	for i := range rows {
		licenses[i] = customer.Erased{License: rows[i].license(), Had: rows[i].CustomerID != customerID}
	}
	return licenses, err
}

// ScrubErased cleans the event log of customers that were erased, also after a process was killed at it, and the
// telemetry that was stored for later.
func (s *Store) ScrubErased(ctx context.Context) error {
	var rows []erasureRow
	if err := s.db.Read(ctx).Table("erasures").Where("scrubbed_at IS NULL").Order("erased_at").
		Find(&rows).Error; err != nil {
		return db.Error(err)
	}
	for i := range rows {
		if err := s.scrub(ctx, &rows[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) scrub(ctx context.Context, row *erasureRow) error {
	licenses, err := erasedLicenses(s.db.Read(ctx), row.CustomerID)
	if err != nil {
		return db.Error(err)
	}
	r := row.rule()
	persons, err := s.persons(ctx, row)
	if err != nil {
		return err
	}
	edits := map[string]func(data []byte, at time.Time) ([]byte, bool){}
	for _, subject := range append(persons, row.ID) {
		edits[subject] = r.Apply
	}
	for i := range licenses {
		edits[licenses[i].License.ID] = r.Apply
		if licenses[i].Had {
			edits[licenses[i].License.ID] = r.Rename
		}
	}
	if err := s.rewrite(ctx, edits); err != nil || s.clock.Now().Before(r.At.Add(recordedTime)) {
		return err
	}
	return db.Error(s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		return tx.Table("erasures").Where("id = ? AND previous = ?", row.ID, row.Previous).
			Update("scrubbed_at", s.clock.Now()).Error
	}))
}

// recordedTime is how long telemetry that was recorded before an erasure may still be stored for later: twice the time
// that publishing it takes to fail. Until then an erasure is not done.
const recordedTime = 20 * time.Second

// rewrite edits the events that are kept, by what they are about. Earlier versions kept ids as callers had spelled
// them.
func (s *Store) rewrite(ctx context.Context, edits map[string]func([]byte, time.Time) ([]byte, bool)) error {
	misspelled, err := s.outbox.Misspelled(ctx)
	if err != nil {
		return err
	}
	for _, subject := range misspelled {
		if id, ok := uid.Former(subject); ok && edits[id] != nil {
			edits[subject] = edits[id]
		}
	}
	for subject, edit := range edits {
		if err := s.outbox.Rewrite(ctx, subject, edit); err != nil {
			return err
		}
	}
	if s.telemetry == nil {
		return nil
	}
	return s.telemetry.Rewrite(ctx, func(e event.Event) ([]byte, bool) {
		edit := edits[e.Subject]
		if edit == nil {
			return nil, false
		}
		return edit(e.Data, e.Time)
	})
}

// persons are the users that an erased customer has and had, by their ids.
func (s *Store) persons(ctx context.Context, row *erasureRow) (ids []string, err error) {
	err = s.db.Read(ctx).Table("users").Where("customer_id = ?", row.CustomerID).Pluck("id", &ids).Error
	if err != nil {
		return nil, db.Error(err)
	}
	rule := row.rule()
	deleted, err := s.outbox.Subjects(ctx, eventsv1.TypeUserDeleted, func(data []byte) bool {
		_, names := rule.Rename(data, row.ErasedAt)
		return names || bytes.Contains(data, []byte(row.CustomerID))
	})
	return append(ids, deleted...), err
}
