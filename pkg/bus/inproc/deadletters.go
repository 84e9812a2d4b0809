package inproc

import (
	"context"
	"embed"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/internal/delivery"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// Migrations make the table bus_dead_letters.
var Migrations = db.Migrations{Name: "bus", FS: files}

// row is a row of bus_dead_letters.
type row struct {
	Seq            int64
	ID             string
	Queue, Message string
	// Bytes is the length of Message.
	Bytes    int
	Reason   string
	Attempts int
	DiedAt   time.Time
}

// store stores the dead letters of a queue.
func (b *Bus) store(q *queue) delivery.Store {
	return func(ctx context.Context, dead []delivery.Dead) error {
		rows := make([]row, len(dead))
		for i, d := range dead {
			body, err := d.Event.Encode()
			if err != nil {
				return err
			}
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			rows[i] = row{ID: id.String(), Queue: q.Name, Message: string(body), Bytes: len(body),
				Reason: d.Reason, Attempts: d.Attempts, DiedAt: clock.System{}.Now()}
		}
		err := b.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			if err := tx.Table("bus_dead_letters").Omit("seq").CreateInBatches(&rows, 500).Error; err != nil {
				return err
			}
			return tx.Exec(dropOldest, q.Name, q.MaxDeadLetters, q.MaxDeadLetterBytes).Error
		})
		if err == nil {
			q.made.Add(uint64(len(dead)))
		}
		return err
	}
}

// dropOldest deletes the dead letters of a queue that are beyond its bounds. The index holds all that it reads.
const dropOldest = `DELETE FROM bus_dead_letters WHERE seq IN (SELECT seq FROM (
	SELECT seq, row_number() OVER newest AS n, sum(bytes) OVER newest AS size FROM bus_dead_letters WHERE queue = ?
	WINDOW newest AS (ORDER BY seq DESC)) AS kept WHERE n > ? OR size > ?)`

// DeadLetters implements bus.Bus.
func (b *Bus) DeadLetters(queue string) bus.DeadLetters { return &deadLetters{bus: b, queue: queue} }

type deadLetters struct {
	bus   *Bus
	queue string
}

// Count implements bus.DeadLetters.
func (d *deadLetters) Count(ctx context.Context) (n int, err error) {
	if err := d.known(); err != nil {
		return 0, err
	}
	err = d.bus.db.Read(ctx).Raw(`SELECT count(*) FROM bus_dead_letters WHERE queue = ?`, d.queue).Scan(&n).Error
	return n, db.Error(err)
}

// Made implements bus.DeadLetters.
func (d *deadLetters) Made() uint64 {
	if d.known() != nil {
		return 0
	}
	return d.bus.queues[d.queue].made.Load()
}

// List implements bus.DeadLetters.
func (d *deadLetters) List(ctx context.Context, limit int) ([]bus.DeadLetter, error) {
	const list = `SELECT id, queue, message, reason, attempts, died_at FROM bus_dead_letters WHERE queue = ?
		ORDER BY seq LIMIT ?`
	if err := d.known(); err != nil {
		return nil, err
	}
	var rows []row
	if err := d.bus.db.Read(ctx).Raw(list, d.queue, limit).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the dead letters: %w", db.Error(err))
	}
	letters := make([]bus.DeadLetter, len(rows))
	for i, r := range rows {
		letters[i] = bus.DeadLetter{
			ID:       r.ID,
			Raw:      []byte(r.Message),
			Reason:   r.Reason,
			Attempts: r.Attempts,
			DiedAt:   r.DiedAt.UTC(),
		}
		if events, err := event.Decode(letters[i].Raw); err == nil {
			letters[i].Event = events[0]
		}
	}
	return letters, nil
}

// Replay implements bus.DeadLetters. It returns when the consumer has had its chance with each dead letter.
func (d *deadLetters) Replay(ctx context.Context, ids ...string) (int, error) {
	return d.remove(ctx, ids, d.sendBack)
}

// Drop implements bus.DeadLetters.
func (d *deadLetters) Drop(ctx context.Context, ids ...string) (int, error) {
	return d.remove(ctx, ids, d.delete)
}

// remove calls take with the named dead letters, or with all when none is named; take removes them.
func (d *deadLetters) remove(
	ctx context.Context, ids []string, take func(ctx context.Context, seq int64) error,
) (int, error) {
	const present = `SELECT seq, id FROM bus_dead_letters WHERE queue = ? ORDER BY seq`
	if err := d.known(); err != nil {
		return 0, err
	}
	ctx, cancel := d.bus.until(ctx)
	defer cancel()
	// A dead letter that fails again gets a new row, which is not in this list: nothing is replayed forever.
	var rows []row
	if err := d.bus.db.Read(ctx).Raw(present, d.queue).Scan(&rows).Error; err != nil {
		return 0, fmt.Errorf("list the dead letters: %w", db.Error(err))
	}
	removed := 0
	for _, r := range rows {
		if len(ids) > 0 && !slices.Contains(ids, r.ID) {
			continue
		}
		if err := take(ctx, r.Seq); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// sendBack removes the dead letter only after the consumer has settled its event.
func (d *deadLetters) sendBack(ctx context.Context, seq int64) error {
	const read = `SELECT message FROM bus_dead_letters WHERE seq = ?`
	var message string
	if err := d.bus.db.Read(ctx).Raw(read, seq).Scan(&message).Error; err != nil {
		return fmt.Errorf("read a dead letter: %w", db.Error(err))
	}
	if message == "" {
		return nil // another replay was faster
	}
	events, err := event.Decode([]byte(message))
	if err != nil {
		return err
	}
	if err := d.bus.queues[d.queue].put(events).wait(ctx); err != nil {
		return fmt.Errorf("replay a dead letter: %w", err)
	}
	return d.delete(ctx, seq)
}

func (d *deadLetters) delete(ctx context.Context, seq int64) error {
	return d.bus.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec(`DELETE FROM bus_dead_letters WHERE seq = ?`, seq).Error
	})
}

func (d *deadLetters) known() error {
	if _, ok := d.bus.queues[d.queue]; !ok {
		return fmt.Errorf("bus: there is no queue %q", d.queue)
	}
	return nil
}
