package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
)

const (
	// A batch has no more events, nor more bytes of data unless it is of one event: an audit entry with metadata
	// before and after may have some hundred kilobytes.
	batchSize  = 1000
	batchBytes = 8 << 20
	// pollEvery is how soon rows are found that another process wrote, or that were written without a wake.
	pollEvery = time.Second
	// publishTimeout bounds how long a batch, and on PostgreSQL the transaction that claims it, waits for confirms.
	publishTimeout = 10 * time.Second
	// gatherFor lets commits come together, because claiming, confirming and committing a batch costs as much as many
	// events do. It is what a change waits before others can learn of it.
	gatherFor = 25 * time.Millisecond
	// wholeEvery is how often types that are left out are gone through from the first one on.
	wholeEvery     = time.Minute
	backoffFirst   = 100 * time.Millisecond
	backoffLongest = 10 * time.Second
)

// Relay publishes what has not been sent, in the order of seq, until ctx ends. Several relays, in one process or many,
// share the work. A batch that the bus did not confirm stays unsent and is tried again with growing pauses, forever.
// Events of a type that the bus refuses wait for themselves: the others overtake them.
func (o *Outbox) Relay(ctx context.Context, pub bus.Publisher, log *slog.Logger) error {
	r := o.relayer(pub)
	for failures := 0; ctx.Err() == nil; {
		more, err := r.batch(ctx)
		switch {
		case ctx.Err() != nil:
		case r.hold(err):
			log.WarnContext(ctx, "the broker refuses events of some types, which wait in the outbox; the others go on",
				"error", err)
		case err != nil:
			failures++
			log.WarnContext(ctx, "events wait in the outbox", "error", err, "failures", failures)
			_ = clock.Sleep(ctx, backoff(failures))
		case !more:
			failures = 0
			await(ctx, pollEvery, o.wake)
			_ = clock.Sleep(ctx, gatherFor)
		default:
			failures = 0 // go on at once
		}
	}
	return nil
}

// Flush publishes what has not been sent, once; what the bus does not confirm is left to a relay. It is for a command,
// whose events would otherwise wait until the relay of some process looks for them.
func (o *Outbox) Flush(ctx context.Context, pub bus.Publisher) error {
	r := o.relayer(pub)
	var refused error
	for {
		more, err := r.batch(ctx)
		switch {
		case r.hold(err):
			refused = err
		case err != nil:
			return err
		case !more:
			return refused
		}
	}
}

// relayer is one Relay or Flush.
type relayer struct {
	*Outbox
	pub bus.Publisher
	// held are the types that the bus refuses.
	held map[string]hold
	// Up to behind there are only types of passed, maybe millions of them: a search that leaves these out begins there.
	// What a transaction of before committed late is found by one from the beginning, of which the last was at whole.
	passed []string
	behind int64
	whole  time.Time
}

// hold is for how long events of a type wait that was refused several times in a row.
type hold struct {
	failures int
	until    time.Time
}

func (o *Outbox) relayer(pub bus.Publisher) *relayer {
	return &relayer{Outbox: o, pub: pub, held: map[string]hold{}}
}

// hold reports whether err is that the bus refuses some types, and has those wait.
func (r *relayer) hold(err error) bool {
	var refused *bus.RefusedError
	if !errors.As(err, &refused) {
		return false
	}
	for _, t := range refused.Types {
		failures := r.held[t].failures + 1
		r.held[t] = hold{failures, time.Now().Add(backoff(failures))}
	}
	return true
}

// waiting are the types that are not to be tried at this moment.
func (r *relayer) waiting() (types []string) {
	now := time.Now()
	for t, h := range r.held {
		if now.Before(h.until) {
			types = append(types, t)
		}
	}
	slices.Sort(types)
	return types
}

// batch publishes one batch. It reports whether it left any behind that can be published at once.
func (r *relayer) batch(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*publishTimeout)
	defer cancel()
	left, began := r.waiting(), time.Now()
	b := batch{left: left, behind: r.behind}
	isTried := func(t string) bool { return !slices.Contains(left, t) }
	if slices.ContainsFunc(r.passed, isTried) || began.Sub(r.whole) > wholeEvery {
		b.behind = 0
	}
	if r.db.Engine() == db.SQLite {
		err = r.relaySQLite(ctx, &b)
	} else {
		err = r.relayPostgres(ctx, &b)
	}
	if err != nil {
		return false, err
	}
	if b.behind == 0 {
		r.whole = began
	}
	r.passed, r.behind = left, b.last
	maps.DeleteFunc(r.held, func(t string, _ hold) bool { return isTried(t) })
	return b.more, nil
}

// batch are events to be published together.
type batch struct {
	// The search begins behind this number, and leaves these types out.
	behind int64
	left   []string
	seqs   []int64
	// last is where the next search may begin, more whether there is something behind it.
	last int64
	more bool
}

// find looks for the unsent events that come first, as many as a batch may hold. locked is how they are locked.
func (b *batch) find(tx *gorm.DB, locked string) error {
	const (
		found = `WITH found AS (SELECT seq FROM outbox_unsent WHERE seq > ?`
		but   = ` AND (SELECT type FROM outbox WHERE outbox.seq = outbox_unsent.seq) NOT IN ?`
		first = ` ORDER BY seq LIMIT ?`
		sizes = `) SELECT seq, (SELECT ` + bytesOf + ` FROM outbox WHERE outbox.seq = found.seq) AS bytes
			FROM found ORDER BY seq`
	)
	query, args := found+first+locked+sizes, []any{b.behind, batchSize}
	if len(b.left) > 0 {
		query, args = found+but+first+locked+sizes, []any{b.behind, b.left, batchSize}
		err := tx.Raw(`SELECT coalesce(max(seq), 0) FROM outbox_unsent`).Scan(&b.last).Error
		if err != nil {
			return err
		}
	}
	var rows []sized
	if err := tx.Raw(query, args...).Scan(&rows).Error; err != nil {
		return err
	}
	b.seqs = within(batchBytes, rows)
	if b.more = len(rows) == batchSize || len(b.seqs) < len(rows); b.more && len(b.left) > 0 {
		b.last = b.seqs[len(b.seqs)-1]
	}
	return nil
}

// relayPostgres deletes the entries of a batch in a transaction that stays open while it publishes, so that another
// relay takes those behind them. A row with a lower seq that commits late is simply found unsent next time.
func (r *relayer) relayPostgres(ctx context.Context, b *batch) error {
	const (
		// A crash of the server that undoes the commit makes the batch be sent again; nobody need wait for its disk.
		asynchronous = `SET LOCAL synchronous_commit = off`
		taken        = `DELETE FROM outbox_unsent WHERE seq = ANY (?)`
	)
	// The bus gets the context without the transaction: nobody may join it from there.
	return r.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if err := tx.Exec(asynchronous).Error; err != nil {
			return err
		}
		if err := b.find(tx, ` FOR UPDATE SKIP LOCKED`); err != nil || len(b.seqs) == 0 {
			return err
		}
		var rows []row
		err := db.Pipeline(tx,
			func(tx *gorm.DB) *gorm.DB { return tx.Exec(taken, db.Array[int64](b.seqs)) },
			func(tx *gorm.DB) *gorm.DB { return r.rows(tx, b.seqs).Find(&rows) })
		if err != nil {
			return err
		}
		return publish(ctx, r.pub, rows)
	})
}

// relaySQLite publishes outside any transaction: there is one lock for all writers, and a consumer in the same process
// may have to write before it can confirm. Two relays at once would send rows twice, which consumers bear.
func (r *relayer) relaySQLite(ctx context.Context, b *batch) error {
	const sent = `DELETE FROM outbox_unsent WHERE seq IN (SELECT value FROM json_each(?))`
	read := r.db.Read(ctx)
	if err := b.find(read, ""); err != nil || len(b.seqs) == 0 {
		return db.Error(err)
	}
	var rows []row
	if err := r.rows(read, b.seqs).Find(&rows).Error; err != nil {
		return db.Error(err)
	}
	if err := publish(ctx, r.pub, rows); err != nil {
		return err
	}
	list, err := json.Marshal(b.seqs)
	if err != nil {
		return err
	}
	return r.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec(sent, string(list)).Error
	})
}

func publish(ctx context.Context, pub bus.Publisher, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if err := pub.Publish(ctx, toEvents(rows)); err != nil {
		return fmt.Errorf("publish %d events: %w", len(rows), err)
	}
	return nil
}

// backoff doubles up to its longest; half of it is random, so that replicas do not retry at the same moment.
func backoff(failures int) time.Duration {
	d := min(backoffFirst<<min(failures-1, 16), backoffLongest)
	return d/2 + rand.N(d/2)
}

// await waits for d, less when wake has something or ctx ends.
func await(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
	}
}
