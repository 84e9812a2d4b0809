package outbox

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

// What is in this file searches and changes events for the erasure of customers: by ScrubErased in the store of
// license, by erase in jobs.go of auth, and by the store of analytics. They are not changed otherwise.

// Rewrite has edit change what the events about subject say, sent or not.
func (o *Outbox) Rewrite(
	ctx context.Context, subject string, edit func(data []byte, at time.Time) (edited []byte, changed bool),
) error {
	rows := db.Edit[row]{
		Rows:  `SELECT ` + rowColumns + ` FROM outbox WHERE subject = ?`,
		Args:  []any{subject},
		Page:  batchSize,
		Key:   "seq",
		KeyOf: func(r *row) any { return r.Seq },
		Change: func(r *row) (bool, error) {
			edited, changed := edit([]byte(r.Data), r.OccurredAt.UTC())
			if changed {
				r.Data = db.JSON(edited)
			}
			return changed, nil
		},
		Store: func(tx *gorm.DB, r *row) error {
			return tx.Exec(`UPDATE outbox SET data = ? WHERE seq = ?`, r.Data, r.Seq).Error
		},
	}
	return rows.Run(ctx, o.db)
}

// Rename gives the events about a subject another one.
func (o *Outbox) Rename(ctx context.Context, subject, another string) error {
	return db.Error(o.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec(`UPDATE outbox SET subject = ? WHERE subject = ?`, another, subject).Error
	}))
}

// scanned is how many seqs one statement of scan looks at.
const scanned = 10_000

// Subjects are those of the events of a type whose data match. It reads the whole log, which no index helps: it is for
// jobs.
func (o *Outbox) Subjects(
	ctx context.Context, eventType string, match func(data []byte) bool,
) (subjects []string, err error) {
	const part = `SELECT ` + rowColumns + ` FROM outbox WHERE seq >= ? AND seq < ? AND type = ? ORDER BY seq`
	err = o.scan(ctx, part, func(r *row) {
		if match([]byte(r.Data)) {
			subjects = append(subjects, r.Subject)
		}
	}, eventType)
	return subjects, err
}

// Misspelled are the subjects that, by length or case, are not canonical UUIDs. It reads the whole log, as Subjects
// does.
func (o *Outbox) Misspelled(ctx context.Context) (subjects []string, err error) {
	const part = `SELECT DISTINCT subject FROM outbox WHERE seq >= ? AND seq < ?
		AND (length(subject) <> 36 OR subject <> lower(subject))`
	err = o.scan(ctx, part, func(r *row) { subjects = append(subjects, r.Subject) })
	return subjects, err
}

// scan reads the log part by part: statement has the bounds of its seqs before args.
func (o *Outbox) scan(ctx context.Context, statement string, each func(*row), args ...any) error {
	const bounds = `SELECT coalesce(min(seq), 0) AS first, coalesce(max(seq), -1) AS last FROM outbox`
	var log struct{ First, Last int64 }
	if err := o.db.Read(ctx).Raw(bounds).Scan(&log).Error; err != nil {
		return db.Error(err)
	}
	for seq := log.First; seq <= log.Last; seq += scanned {
		var rows []row
		err := o.db.Read(ctx).Raw(statement, append([]any{seq, seq + scanned}, args...)...).Scan(&rows).Error
		if err != nil {
			return db.Error(err)
		}
		for i := range rows {
			each(&rows[i])
		}
	}
	return nil
}
