package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
)

// entryRow is one line of the audit log. Its primary key is the id of the event that brought it, which makes the table
// its own inbox: a second delivery finds the row there.
type entryRow struct {
	AuditID    string
	OccurredAt time.Time
	ActorID    string
	ActorName  string
	ActorRole  string
	Action     string
	LicenseID  *string
	Before     db.JSON
	After      db.JSON
	IP         string
	RequestID  string
}

var entryColumns = db.Columns("audit_entries", entryRow{})

// TableName implements gorm's Tabler.
func (entryRow) TableName() string { return "audit_entries" }

// Append implements audit.Log.
func (s *Store) Append(ctx context.Context, entries []audit.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	return s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if err := s.awaitNotes(tx); err != nil {
			return fmt.Errorf("wait for erasures: %w", err)
		}
		if err := cleanLate(tx, entries); err != nil {
			return fmt.Errorf("read erasures: %w", err)
		}
		rows := make([]entryRow, len(entries))
		for i, e := range entries {
			rows[i] = newEntryRow(e)
		}
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&rows).Error; err != nil {
			return fmt.Errorf("append audit entries: %w", err)
		}
		return nil
	})
}

// Search implements audit.Log.
func (s *Store) Search(ctx context.Context, f audit.Filter) (audit.Found, error) {
	counted := s.matching(ctx, f).Select("1").Limit(audit.MaxTotal + 1)
	var total int64
	if err := s.db.Read(ctx).Table("(?) AS found", counted).Count(&total).Error; err != nil {
		return audit.Found{}, db.Error(fmt.Errorf("count audit entries: %w", err))
	}
	find := s.matching(ctx, f).Order("occurred_at DESC, audit_id DESC").Limit(f.PerPage + 1)
	if f.Behind != nil {
		find = find.Where("(occurred_at, audit_id) < (?, ?)", f.Behind.At, f.Behind.ID)
	} else {
		find = find.Offset((f.Page - 1) * f.PerPage)
	}
	var rows []entryRow
	if err := find.Find(&rows).Error; err != nil {
		return audit.Found{}, db.Error(fmt.Errorf("list audit entries: %w", err))
	}
	found := audit.Found{Entries: make([]audit.Entry, min(len(rows), f.PerPage)), Total: int(total)}
	for i := range found.Entries {
		found.Entries[i] = rows[i].entry()
	}
	if len(rows) > f.PerPage {
		last := &found.Entries[f.PerPage-1]
		found.Next = &audit.Position{At: last.OccurredAt, ID: last.ID}
	}
	return found, nil
}

func (s *Store) matching(ctx context.Context, f audit.Filter) *gorm.DB {
	q := s.db.Read(ctx).Model(&entryRow{})
	if f.LicenseID != "" {
		q = q.Where("license_id = ?", f.LicenseID)
	}
	if f.ActorID != "" {
		q = q.Where("actor_id = ?", f.ActorID)
	}
	if f.Action != "" {
		q = q.Where("action = ?", f.Action)
	}
	if f.After != nil {
		q = q.Where("occurred_at >= ?", *f.After)
	}
	if f.Before != nil {
		q = q.Where("occurred_at < ?", *f.Before)
	}
	return q
}

func newEntryRow(e audit.Entry) entryRow {
	row := entryRow{
		AuditID:    e.ID,
		OccurredAt: e.OccurredAt,
		ActorID:    e.Actor.GetId(),
		ActorName:  e.Actor.GetName(),
		ActorRole:  e.Actor.GetRole(),
		Action:     e.Action,
		Before:     db.JSON(e.Before),
		After:      db.JSON(e.After),
		IP:         e.Actor.GetIp(),
		RequestID:  e.Actor.GetRequestId(),
	}
	if e.LicenseID != "" {
		row.LicenseID = &e.LicenseID
	}
	return row
}

func (r entryRow) entry() audit.Entry {
	e := audit.Entry{
		ID:         r.AuditID,
		OccurredAt: r.OccurredAt.UTC(),
		Actor:      &audit.Actor{Id: r.ActorID, Name: r.ActorName, Role: r.ActorRole, Ip: r.IP, RequestId: r.RequestID},
		Action:     r.Action,
		Before:     json.RawMessage(r.Before),
		After:      json.RawMessage(r.After),
	}
	if r.LicenseID != nil {
		e.LicenseID = *r.LicenseID
	}
	return e
}
