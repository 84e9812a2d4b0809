package outbox

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
)

// Republish sends every event that happened since a time once more, in the order of seq, so that a consumer can be
// rebuilt from the log. It holds one page in memory. progress, which may be nil, hears how far it is. It returns how
// many were sent, also when it fails half-way; starting again is harmless.
func (o *Outbox) Republish(
	ctx context.Context, pub bus.Publisher, since time.Time, progress func(sent, total int),
) (int, error) {
	const (
		bounds = `SELECT count(*) AS total, coalesce(max(seq), 0) AS last FROM outbox WHERE occurred_at >= ?`
		page   = `SELECT ` + rowColumns + ` FROM outbox WHERE seq > ? AND seq <= ? AND occurred_at >= ?
			ORDER BY seq LIMIT ?`
	)
	// What is written from now on is the relay's: without an end this would run after a busy service forever.
	var end struct {
		Total int
		Last  int64
	}
	if err := o.db.Read(ctx).Raw(bounds, since).Scan(&end).Error; err != nil {
		return 0, db.Error(err)
	}
	for sent, seq := 0, int64(0); ; {
		var rows []row
		if err := o.db.Read(ctx).Raw(page, seq, end.Last, since, batchSize).Scan(&rows).Error; err != nil {
			return sent, db.Error(err)
		}
		if len(rows) == 0 {
			return sent, nil
		}
		if err := publish(ctx, pub, rows); err != nil {
			return sent, err
		}
		sent, seq = sent+len(rows), rows[len(rows)-1].Seq
		if progress != nil {
			progress(sent, end.Total)
		}
	}
}

// Prune deletes sent events that happened before a time, a page per transaction, and returns how many. Unsent ones
// stay.
func (o *Outbox) Prune(ctx context.Context, before time.Time) (int, error) {
	const page = `SELECT seq, occurred_at FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?`
	for pruned, seq := 0, int64(0); ; {
		var rows []row
		if err := o.db.Read(ctx).Raw(page, seq, batchSize).Scan(&rows).Error; err != nil {
			return pruned, db.Error(err)
		}
		old := olderThan(before, rows)
		n, err := o.deleteSent(ctx, old)
		pruned += n
		// Rows stand about in the order of time: after a page without an old one there is none.
		if err != nil || len(old) == 0 || len(rows) < batchSize {
			return pruned, err
		}
		seq = rows[len(rows)-1].Seq
	}
}

func olderThan(before time.Time, rows []row) (seqs []int64) {
	for _, r := range rows {
		if r.OccurredAt.Before(before) {
			seqs = append(seqs, r.Seq)
		}
	}
	return seqs
}

func (o *Outbox) deleteSent(ctx context.Context, seqs []int64) (n int, err error) {
	if len(seqs) == 0 {
		return 0, nil
	}
	err = o.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		res := tx.Exec(`DELETE FROM outbox WHERE seq IN ?
			AND seq NOT IN (SELECT seq FROM outbox_unsent WHERE seq IN ?)`, seqs, seqs)
		n = int(res.RowsAffected)
		return res.Error
	})
	return n, err
}

// Rewrite has edit change what the events about subject say, sent or not. It is for what must not be kept; events are
// not changed otherwise.
func (o *Outbox) Rewrite(
	ctx context.Context, subject string, edit func(data []byte, at time.Time) (edited []byte, changed bool),
) error {
	rows := db.Edit[row]{
		Rows: `SELECT ` + rowColumns + ` FROM outbox WHERE subject = ?`,
		Args: []any{subject},
		Page: batchSize,
		Seq:  func(r *row) int64 { return r.Seq },
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

// Rename gives the events about a subject another one. It is for what must not be kept.
func (o *Outbox) Rename(ctx context.Context, subject, another string) error {
	return db.Error(o.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec(`UPDATE outbox SET subject = ? WHERE subject = ?`, another, subject).Error
	}))
}

// Has tells whether the log has an event of a type about a subject.
func (o *Outbox) Has(ctx context.Context, subject, eventType string) (bool, error) {
	var found []int64
	err := o.db.Read(ctx).Raw(`SELECT seq FROM outbox WHERE subject = ? AND type = ? LIMIT 1`, subject, eventType).
		Scan(&found).Error
	return len(found) > 0, db.Error(err)
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

// Misspelled are the subjects that no id in our spelling is. It reads the whole log, as Subjects does.
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
