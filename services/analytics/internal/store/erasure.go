package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/proto/erasure"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

type erasureRow struct {
	LicenseID  string
	Previous   string
	Salt       string
	CustomerID string
	ErasedAt   time.Time
	Had        bool
}

// Erasures implements ingest.Store.
func (s *Store) Erasures(ctx context.Context) (map[string][]usage.Erasure, error) {
	var rows []erasureRow
	err := s.db.Read(ctx).Table("erasures").Order("erased_at").Find(&rows).Error
	all := map[string][]usage.Erasure{}
	for _, r := range rows {
		rule := erasure.Rule{CustomerID: r.CustomerID, Salt: r.Salt, Previous: r.Previous, At: r.ErasedAt.UTC()}
		all[r.LicenseID] = append(all[r.LicenseID], usage.Erasure{LicenseID: r.LicenseID, Rule: rule, Had: r.Had})
	}
	return all, db.Error(err)
}

// erasedReason takes the place of why there is an anomaly.
const erasedReason = "erased with the customer"

// forget deletes what tells of persons on a license. Anomalies stay, without what they were seen by.
var forget = []string{
	`UPDATE devices SET name = '', name_at = NULL WHERE license_id = @license`,
	`DELETE FROM networks WHERE license_id = @license`,
	`DELETE FROM detector_states WHERE subject = @subject`,
	`UPDATE anomalies SET reason = '` + erasedReason + `', observed = '', evidence = '[]', considered = '[]',
		note = ''
		WHERE license_id = @license AND first_seen <= @at`,
}

// fence ends the epoch: a consumer that read the erasures before this one commits nothing more, and what it has
// committed is there to be cleaned.
const fence = `UPDATE consumer SET epoch = epoch + 1 WHERE name = ?`

// Erase implements ingest.Store.
func (s *Store) Erase(ctx context.Context, e *usage.Erasure) error {
	err := s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if err := tx.Exec(fence, consumerName).Error; err != nil {
			return err
		}
		row := erasureRow{e.LicenseID, e.Previous, e.Salt, e.CustomerID, e.At, e.Had}
		err := tx.Table("erasures").Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "license_id"}, {Name: "previous"}},
			DoUpdates: clause.AssignmentColumns([]string{"customer_id", "erased_at", "had"}),
		}).Create(&row).Error
		if err != nil || e.Had {
			return err
		}
		for _, statement := range forget {
			err := tx.Exec(statement, map[string]any{"license": e.LicenseID, "subject": "license:" + e.LicenseID,
				"at": e.At}).Error
			if err != nil {
				return err
			}
		}
		return renameCustomer(tx, e)
	})
	if err != nil {
		return db.Error(fmt.Errorf("erase license %s: %w", e.LicenseID, err))
	}
	if err := s.outbox.Rewrite(ctx, "license:"+e.LicenseID, e.Clean); err != nil {
		return err
	}
	return s.cleanLog(ctx, e)
}

// renameCustomer is for a license whose latest event still had the former id.
func renameCustomer(tx *gorm.DB, e *usage.Erasure) error {
	var ids []string
	err := tx.Table("licenses").Where("license_id = ?", e.LicenseID).Pluck("customer_id", &ids).Error
	if err != nil || len(ids) == 0 || !e.IsPrevious(ids[0]) {
		return err
	}
	return tx.Table("licenses").Where("license_id = ?", e.LicenseID).Update("customer_id", e.CustomerID).Error
}

// cleanLog cleans the events of a license, a page per transaction, and what is known of the addresses that they came
// from.
func (s *Store) cleanLog(ctx context.Context, e *usage.Erasure) error {
	const portion = 200
	for last, id := (time.Time{}), "00000000-0000-0000-0000-000000000000"; ; {
		var rows []eventRow
		err := s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
			err := tx.Table("events").
				Where("license_id = ? AND occurred_at >= ? AND (occurred_at > ? OR event_id > ?)",
					e.LicenseID, last, last, id).
				Order("occurred_at, event_id").Limit(portion).Find(&rows).Error
			if err != nil {
				return err
			}
			return s.cleanEvents(ctx, tx, e, rows)
		})
		if err != nil || len(rows) < portion {
			return db.Error(err)
		}
		last, id = rows[portion-1].OccurredAt.utc(), rows[portion-1].EventID
	}
}

func (s *Store) cleanEvents(ctx context.Context, tx *gorm.DB, e *usage.Erasure, rows []eventRow) error {
	addresses := map[string]bool{}
	for i := range rows {
		row := &rows[i]
		clean, changed := e.Clean(row.Data, row.OccurredAt.utc())
		if !changed {
			continue
		}
		if before, err := row.event(); err == nil && before.IP != "" && !e.Had {
			addresses[before.IP] = true
		}
		err := tx.Exec("UPDATE events SET data = ? WHERE license_id = ? AND occurred_at = ? AND event_id = ?",
			db.JSON(clean), e.LicenseID, row.OccurredAt.utc(), row.EventID).Error
		if err != nil {
			return err
		}
	}
	return s.forgetAddresses(ctx, tx, keysOf(addresses))
}

// forgetAddresses deletes what the detectors remember of addresses, which is about one day, of attempts with wrong
// keys, and takes them out of their anomalies.
func (s *Store) forgetAddresses(ctx context.Context, tx *gorm.DB, ips []string) error {
	subjects := make([]string, 0, 2*len(ips))
	for _, ip := range ips {
		subjects = append(subjects, "ip:"+detect.AddressKey(ip, false), "ip:"+detect.AddressKey(ip, true))
	}
	these := db.In("subject", subjects)
	states := tx.Table("detector_states").Where(these).Delete(nil)
	if states.Error != nil {
		return states.Error
	}
	var known []string
	if err := tx.Table("anomalies").Where(these).Distinct().Pluck("subject", &known).Error; err != nil {
		return err
	}
	if states.RowsAffected > 0 || len(known) > 0 {
		if err := forgetAttempts(tx, subjects); err != nil {
			return err
		}
	}
	for _, subject := range known {
		if err := s.outbox.Rewrite(ctx, subject, withoutAddress); err != nil {
			return err
		}
		if err := s.outbox.Rename(ctx, subject, "ip:erased"); err != nil {
			return err
		}
	}
	const anonymous = `UPDATE anomalies SET subject = 'ip:erased-' || CAST(anomaly_id AS text), reason = ?,
		observed = '', evidence = '[]', considered = '[]', suggestion = '', note = '' WHERE ?`
	return tx.Exec(anonymous, erasedReason, these).Error
}

// forgetAttempts takes addresses out of the attempts with wrong keys that the next consumer judges again. It would take
// what comes of them for told, and tell nobody when the addresses go on.
func forgetAttempts(tx *gorm.DB, subjects []string) error {
	const portion = 1000
	var last eventRow
	err := tx.Raw("SELECT replay_after AS position FROM consumer WHERE name = ?", consumerName).Scan(&last).Error
	last.Position, last.EventID = last.Position+1, "00000000-0000-0000-0000-000000000000"
	for err == nil {
		var rows []eventRow
		err = tx.Table("events").Where("license_id IS NULL AND position >= ? AND (position > ? OR event_id > ?)",
			last.Position, last.Position, last.EventID).Order("position, event_id").Limit(portion).Find(&rows).Error
		for i := 0; i < len(rows) && err == nil; i++ {
			err = forgetAttempt(tx, subjects, &rows[i])
		}
		if len(rows) < portion {
			break
		}
		last = rows[portion-1]
	}
	return err
}

func forgetAttempt(tx *gorm.DB, subjects []string, row *eventRow) error {
	e, err := row.event()
	if err != nil || e.IP == "" || !slices.Contains(subjects, "ip:"+detect.AddressKey(e.IP, e.ViaProxy)) {
		return err
	}
	clean, err := with(row.Data, map[string]string{"ip": ""})
	if err != nil {
		return err
	}
	return tx.Exec("UPDATE events SET data = ? WHERE position = ? AND occurred_at = ? AND event_id = ?",
		db.JSON(clean), row.Position, row.OccurredAt.utc(), row.EventID).Error
}

// withoutAddress is the announcement of an anomaly of an address that was erased.
func withoutAddress(data []byte, _ time.Time) ([]byte, bool) {
	clean, err := with(data, map[string]string{"subject": "ip:erased", "reason": erasedReason})
	if err != nil {
		return data, false
	}
	return clean, true
}

// with is an object of JSON with other texts in some members.
func with(data []byte, texts map[string]string) ([]byte, error) {
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&members); err != nil {
		return nil, err
	}
	for name, text := range texts {
		members[name] = text
	}
	return json.Marshal(members)
}
