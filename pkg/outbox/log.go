package outbox

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// Republish sends every event that happened since a time once more, in the order of seq, so that a consumer can be
// rebuilt from the log. It holds one page in memory. progress, which may be nil, is told how far it is. It returns how
// many were sent, also when it fails half-way; starting again is harmless.
func (o *Outbox) Republish(
	ctx context.Context, pub bus.Publisher, since time.Time, progress func(sent, total int),
) (int, error) {
	const (
		bounds = `SELECT count(*) AS total, coalesce(max(seq), 0) AS last FROM outbox WHERE occurred_at >= ?`
		page   = `SELECT seq, ` + bytesOf + ` AS bytes FROM outbox WHERE seq > ? AND seq <= ? AND occurred_at >= ?
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
		var found []sized
		err := o.db.Read(ctx).Raw(page, seq, end.Last, since, batchSize).Scan(&found).Error
		if err != nil || len(found) == 0 {
			return sent, db.Error(err)
		}
		seqs := within(batchBytes, found)
		var rows []row
		if err := o.rows(o.db.Read(ctx), seqs).Find(&rows).Error; err != nil {
			return sent, db.Error(err)
		}
		if err := publish(ctx, pub, rows); err != nil {
			return sent, err
		}
		sent, seq = sent+len(rows), seqs[len(seqs)-1]
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
		// Rows are roughly in the order of time: after a page without an old one there is none.
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

// List returns the events about subject since a time, newest first: at most limit of them, and no more than have
// maxBytes of data together, though at least one; and how many there are in all. Types in exclude are left out. What is
// not returned is not read into memory.
func (o *Outbox) List(
	ctx context.Context, subject string, since time.Time, exclude []string, limit, maxBytes int,
) ([]event.Event, int, error) {
	const (
		where  = ` FROM outbox WHERE subject = ? AND occurred_at >= ? AND type NOT IN ?`
		newest = ` ORDER BY occurred_at DESC, seq DESC`
		sizes  = `SELECT seq, ` + bytesOf + ` AS bytes` + where + newest + ` LIMIT ?`
		chosen = `SELECT ` + rowColumns + ` FROM outbox WHERE seq IN ?` + newest
	)
	// A NOT IN of nothing would be NOT IN (NULL), which is never true.
	exclude = append([]string{""}, exclude...)
	read := o.db.Read(ctx)
	var total int
	if err := read.Raw("SELECT count(*)"+where, subject, since, exclude).Scan(&total).Error; err != nil {
		return nil, 0, db.Error(err)
	}
	var found []sized
	if err := read.Raw(sizes, subject, since, exclude, limit).Scan(&found).Error; err != nil || len(found) == 0 {
		return nil, total, db.Error(err)
	}
	var rows []row
	err := read.Raw(chosen, within(maxBytes, found)).Scan(&rows).Error
	return toEvents(rows), total, db.Error(err)
}

// rows reads the rows with these numbers, in their order.
func (o *Outbox) rows(tx *gorm.DB, seqs []int64) *gorm.DB {
	const (
		read     = `SELECT ` + rowColumns + ` FROM outbox WHERE seq `
		postgres = read + `= ANY (?) ORDER BY seq`
		sqlite   = read + `IN ? ORDER BY seq`
	)
	if o.db.Engine() == db.Postgres {
		return tx.Raw(postgres, db.Array[int64](seqs))
	}
	return tx.Raw(sqlite, seqs)
}

// bytesOf is how much data a row has.
const bytesOf = `octet_length(CAST(data AS text))`

// sized is a row with the size of its data.
type sized struct {
	Seq   int64
	Bytes int
}

// within are the first rows that have maxBytes together, and at least one.
func within(maxBytes int, rows []sized) (seqs []int64) {
	for _, r := range rows {
		if maxBytes -= r.Bytes; maxBytes < 0 && len(seqs) > 0 {
			break
		}
		seqs = append(seqs, r.Seq)
	}
	return seqs
}

// Has reports whether the log has an event of a type about a subject.
func (o *Outbox) Has(ctx context.Context, subject, eventType string) (bool, error) {
	var found []int64
	err := o.db.Read(ctx).Raw(`SELECT seq FROM outbox WHERE subject = ? AND type = ? LIMIT 1`, subject, eventType).
		Scan(&found).Error
	return len(found) > 0, db.Error(err)
}
