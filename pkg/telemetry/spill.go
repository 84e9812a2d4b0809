package telemetry

import (
	"context"
	"embed"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// Migrations make the table telemetry_spill.
var Migrations = db.Migrations{Name: "telemetry", FS: files}

const (
	storeTimeout = 5 * time.Second
	lookTimeout  = time.Second
	// lease is how long a claimed batch is left to the process that claimed it; it is longer than publishing may take.
	lease      = 60 * time.Second
	claimRows  = 8
	drainEvery = time.Second
	// lookEvery is after how many rounds the table is looked into though nothing was spilled here: another process may
	// have been killed.
	lookEvery = 10
	// A backlog of up to fewWaiting changes may be over in a moment.
	fewWaiting = 1000
	shortly    = 20 * time.Millisecond
)

// look finds out whether anything is spilled. When nothing is, new events go straight to the bus from now on.
func (r *Recorder) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	var rows int
	err := r.cfg.DB.Read(ctx).Raw(`SELECT count(*) FROM (SELECT 1 FROM telemetry_spill LIMIT 1) AS found`).
		Scan(&rows).Error
	if err == nil {
		r.hasSpilled = rows > 0
	}
	return db.Error(err)
}

func (r *Recorder) spilledWaits() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hasSpilled
}

// queueUp stores the batch when earlier ones are stored. While the database is away it is better out of order than
// lost.
func (r *Recorder) queueUp(ctx context.Context, batch []event.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.hasSpilled {
		return false
	}
	err := r.store(ctx, batch)
	if errors.Is(err, errFull) {
		r.drop(len(batch), err, &r.nextLine)
		return true
	}
	return err == nil
}

func (r *Recorder) spill(ctx context.Context, batch []event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hasSpilled = true
	if err := r.store(ctx, batch); err != nil {
		r.drop(len(batch), err, &r.nextLine)
	}
}

var errFull = errors.New("the table of telemetry put aside is full")

// store writes a batch as a row. The caller holds mu.
func (r *Recorder) store(ctx context.Context, batch []event.Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	const (
		stored = `SELECT coalesce(sum(events), 0) AS events, coalesce(sum(bytes), 0) AS bytes FROM telemetry_spill`
		insert = `INSERT INTO telemetry_spill (events, bytes, payload) VALUES (?, ?, ?)`
	)
	payload, err := event.EncodeBatch(batch)
	if err != nil {
		return err
	}
	return r.cfg.DB.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		var sum struct{ Events, Bytes int }
		if err := tx.Raw(stored).Scan(&sum).Error; err != nil {
			return err
		}
		if sum.Events+len(batch) > r.cfg.Cap || sum.Bytes+len(payload) > r.cfg.CapBytes {
			return errFull
		}
		return tx.Exec(insert, len(batch), len(payload), string(payload)).Error
	})
}

// drain publishes what was spilled, here or by a process that is gone, until ctx ends.
func (r *Recorder) drain(ctx context.Context) {
	ticker := time.NewTicker(drainEvery)
	defer ticker.Stop()
	for round := 0; ; round++ {
		if r.spilledWaits() || round%lookEvery == 0 {
			if err := r.drainAll(ctx); err != nil && ctx.Err() == nil {
				r.cfg.Log.DebugContext(ctx, "stored telemetry cannot be published yet", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// drainAll publishes the spilled batches, oldest first, once no change of state waits in the outbox: those must arrive
// first. It returns early when many wait.
func (r *Recorder) drainAll(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := r.look(ctx); err != nil || !r.spilledWaits() {
			return err
		}
		waiting, err := r.backlog(ctx)
		if err != nil || waiting > fewWaiting {
			return err
		}
		if waiting > 0 {
			_ = clock.Sleep(ctx, shortly)
			continue
		}
		if n, err := r.drainSome(ctx); err != nil || n == 0 {
			return err
		}
	}
	return nil
}

func (r *Recorder) backlog(ctx context.Context) (int, error) {
	if r.cfg.Backlog == nil {
		return 0, nil
	}
	return r.cfg.Backlog(ctx)
}

// drainSome publishes the oldest rows that nobody else has claimed, and returns how many.
func (r *Recorder) drainSome(ctx context.Context) (int, error) {
	rows, claim, err := r.claim(ctx)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	var events []event.Event
	for _, row := range rows {
		decoded, err := event.Decode([]byte(row.Payload))
		if err != nil {
			r.drop(row.Events, err, &r.nextLine)
		}
		events = append(events, decoded...)
	}
	if err := r.publish(ctx, events); err != nil {
		r.settle(ctx, `UPDATE telemetry_spill SET claim = NULL, claimed_until = NULL WHERE claim = ?`, claim)
		return 0, err
	}
	r.settle(ctx, `DELETE FROM telemetry_spill WHERE claim = ?`, claim)
	return len(rows), nil
}

type spilled struct {
	Seq     int64
	Events  int
	Payload string
}

func (r *Recorder) claim(ctx context.Context) (rows []spilled, claim string, err error) {
	const (
		take = `UPDATE telemetry_spill SET claim = ?, claimed_until = ?
			WHERE seq IN (SELECT seq FROM telemetry_spill WHERE claimed_until IS NULL OR claimed_until < ?
			ORDER BY seq LIMIT ?)
			AND (claimed_until IS NULL OR claimed_until < ?)`
		read = `SELECT events, payload FROM telemetry_spill WHERE claim = ? ORDER BY seq`
	)
	now := clock.System{}.Now()
	claim = uuid.NewString()
	err = r.cfg.DB.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if err := tx.Exec(take, claim, now.Add(lease), now, claimRows, now).Error; err != nil {
			return err
		}
		return tx.Raw(read, claim).Scan(&rows).Error
	})
	return rows, claim, err
}

// settle ends a claim, also when the process is to end. If that fails the claim runs out by itself, and the events are
// sent twice: consumers know them.
func (r *Recorder) settle(ctx context.Context, statement, claim string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	err := r.cfg.DB.Tx(ctx, func(_ context.Context, tx *gorm.DB) error { return tx.Exec(statement, claim).Error })
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "a claim on telemetry could not be ended; it runs out by itself", "error", err)
	}
}
