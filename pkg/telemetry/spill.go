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
	lease = 60 * time.Second
	// A claim is for some rows, which are as small as what comes in within flushEvery, of some events.
	claimRows   = 200
	claimEvents = 4000
	// sumEvery is how old what is known of the amount of spilled events may be, sumEveryFull when that is too much.
	sumEvery     = 10 * time.Second
	sumEveryFull = time.Second
	drainEvery   = time.Second
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

// store writes a batch, as a row unless it has large events. The caller holds mu.
func (r *Recorder) store(ctx context.Context, batch []event.Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	rows := make([]spilled, 0, 1)
	added := amount{Events: len(batch)}
	for part := range event.Batches(batch, len(batch)) {
		payload, err := event.EncodeBatch(part)
		if err != nil {
			return err
		}
		rows = append(rows, spilled{Events: len(part), Payload: string(payload)})
		added.Bytes += len(payload)
	}
	if err := r.makeRoom(ctx, added); err != nil {
		return err
	}
	const insert = `INSERT INTO telemetry_spill (events, bytes, payload) VALUES (?, ?, ?)`
	err := r.cfg.DB.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		for i := range rows {
			if err := tx.Exec(insert, rows[i].Events, len(rows[i].Payload), rows[i].Payload).Error; err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		r.known.add(added)
	}
	return err
}

// amount is what is spilled, or will be.
type amount struct{ Events, Bytes int }

func (a *amount) add(b amount) { a.Events, a.Bytes = a.Events+b.Events, a.Bytes+b.Bytes }

// makeRoom fails with errFull where there is no room for more. It looks into the table now and then only, because that
// reads all of it: what other processes have spilled or published since is not counted. The caller holds mu.
func (r *Recorder) makeRoom(ctx context.Context, more amount) error {
	after := r.known
	after.add(more)
	full := after.Events > r.cfg.Cap || after.Bytes > r.cfg.CapBytes
	if age := time.Since(r.knownAt); age >= sumEvery || full && age >= sumEveryFull {
		const stored = `SELECT coalesce(sum(events), 0) AS events, coalesce(sum(bytes), 0) AS bytes
	FROM telemetry_spill`
		if err := r.cfg.DB.Read(ctx).Raw(stored).Scan(&r.known).Error; err != nil {
			return db.Error(err)
		}
		r.knownAt = time.Now()
		return r.makeRoom(ctx, more)
	}
	if full {
		return errFull
	}
	return nil
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
	return r.cfg.Backlog(ctx, fewWaiting+1)
}

// drainSome publishes the oldest rows that nobody else has claimed, and returns how many.
func (r *Recorder) drainSome(ctx context.Context) (int, error) {
	c, err := r.claim(ctx)
	if err != nil || len(c.rows) == 0 {
		return 0, err
	}
	var events []event.Event
	for _, row := range c.rows {
		decoded, err := event.Decode([]byte(row.Payload))
		if err != nil {
			r.drop(row.Events, err, &r.nextLine)
		}
		events = append(events, decoded...)
	}
	if err := r.publish(ctx, events); err != nil {
		r.settle(ctx, `UPDATE telemetry_spill SET claim = NULL, claimed_until = NULL`, c)
		return 0, err
	}
	r.forget(ctx, c)
	return len(c.rows), nil
}

// forget deletes what was published. It holds mu, so that nobody adds up what is left before known says so. What others
// have spilled since known was added up is not in it.
func (r *Recorder) forget(ctx context.Context, c *claimed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.settle(ctx, `DELETE FROM telemetry_spill`, c) {
		return
	}
	for _, row := range c.rows {
		r.known.add(amount{Events: -row.Events, Bytes: -len(row.Payload)})
	}
	r.known = amount{Events: max(0, r.known.Events), Bytes: max(0, r.known.Bytes)}
}

type spilled struct {
	Seq     int64
	Events  int
	Payload string
}

// claimed are rows that this process publishes: those between first and last that have its mark.
type claimed struct {
	mark        string
	first, last int64
	rows        []spilled
}

func (r *Recorder) claim(ctx context.Context) (*claimed, error) {
	const (
		// A claim that ends later than any replica may have said was made before the clock was set back.
		unclaimed = `(claimed_until IS NULL OR claimed_until NOT BETWEEN ? AND ?)`
		free      = `SELECT seq, events FROM telemetry_spill WHERE ` + unclaimed + ` ORDER BY seq LIMIT ?`
		take      = `UPDATE telemetry_spill SET claim = ?, claimed_until = ? WHERE seq BETWEEN ? AND ? AND ` + unclaimed
		read      = `SELECT events, payload FROM telemetry_spill WHERE seq BETWEEN ? AND ? AND claim = ? ORDER BY seq`
	)
	now := clock.System{}.Now()
	latest := now.Add(2 * lease)
	c := &claimed{mark: uuid.NewString()}
	err := r.cfg.DB.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		var oldest []spilled
		if err := tx.Raw(free, now, latest, claimRows).Scan(&oldest).Error; err != nil || len(oldest) == 0 {
			return err
		}
		c.first, c.last = oldest[0].Seq, lastOf(oldest)
		if err := tx.Exec(take, c.mark, now.Add(lease), c.first, c.last, now, latest).Error; err != nil {
			return err
		}
		return tx.Raw(read, c.first, c.last, c.mark).Scan(&c.rows).Error
	})
	return c, err
}

// lastOf is the last of rows up to which there are no more than claimEvents, or the first.
func lastOf(rows []spilled) int64 {
	last, events := rows[0].Seq, 0
	for _, row := range rows {
		if events += row.Events; events > claimEvents {
			break
		}
		last = row.Seq
	}
	return last
}

// settle ends a claim, also when the process is to end. If that fails the claim runs out by itself, and the events are
// sent twice: consumers know them.
func (r *Recorder) settle(ctx context.Context, statement string, c *claimed) (settled bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	err := r.cfg.DB.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec(statement+` WHERE seq BETWEEN ? AND ? AND claim = ?`, c.first, c.last, c.mark).Error
	})
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "a claim on telemetry could not be ended; it runs out by itself", "error", err)
	}
	return err == nil
}
