package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
)

const (
	batchSize = 1000
	// pollEvery is how soon rows are found that another process wrote, or that were written without a wake.
	pollEvery = time.Second
	// publishTimeout bounds how long a batch, and on PostgreSQL the transaction that claims it, waits for confirms.
	publishTimeout = 10 * time.Second
	// gatherFor lets commits come together, because claiming, confirming and committing a batch costs as much as many
	// events do. It is what a change waits before others can learn of it.
	gatherFor      = 25 * time.Millisecond
	backoffFirst   = 100 * time.Millisecond
	backoffLongest = 10 * time.Second
)

// Relay publishes what has not been sent, in the order of seq, until ctx ends. Several relays, in one process or many,
// share the work. A batch that the bus did not confirm stays unsent and is tried again with growing pauses, forever.
func (o *Outbox) Relay(ctx context.Context, pub bus.Publisher, log *slog.Logger) error {
	for failures := 0; ctx.Err() == nil; {
		n, err := o.relayBatch(ctx, pub)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			failures++
			log.WarnContext(ctx, "events wait in the outbox", "error", err, "failures", failures)
			_ = clock.Sleep(ctx, backoff(failures))
		case n < batchSize:
			failures = 0
			await(ctx, pollEvery, o.wake)
			_ = clock.Sleep(ctx, gatherFor)
		default:
			failures = 0 // there is more: go on at once
		}
	}
	return nil
}

// Flush publishes what has not been sent, once; what the bus does not confirm is left to a relay. It is for a command,
// whose events would otherwise wait until the relay of some process looks for them.
func (o *Outbox) Flush(ctx context.Context, pub bus.Publisher) error {
	for {
		if n, err := o.relayBatch(ctx, pub); err != nil || n < batchSize {
			return err
		}
	}
}

// relayBatch publishes one batch and returns its size.
func (o *Outbox) relayBatch(ctx context.Context, pub bus.Publisher) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*publishTimeout)
	defer cancel()
	if o.db.Engine() == db.SQLite {
		return o.relaySQLite(ctx, pub)
	}
	return o.relayPostgres(ctx, pub)
}

// relayPostgres deletes the entries of a batch in a transaction that stays open while it publishes, so that another
// relay takes those behind them. A row with a lower seq that commits late is simply found unsent next time.
func (o *Outbox) relayPostgres(ctx context.Context, pub bus.Publisher) (n int, err error) {
	const (
		// A crash of the server that undoes the commit makes the batch be sent again; nobody need wait for its disk.
		asynchronous = `SET LOCAL synchronous_commit = off`
		take         = `WITH taken AS (
			DELETE FROM outbox_unsent
			WHERE ctid = ANY (ARRAY(SELECT ctid FROM outbox_unsent ORDER BY seq LIMIT ? FOR UPDATE SKIP LOCKED))
			RETURNING seq
		) SELECT ` + rowColumns + ` FROM taken JOIN outbox USING (seq) ORDER BY seq`
	)
	// The bus gets the context without the transaction: nobody may join it from there.
	err = o.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if err := tx.Exec(asynchronous).Error; err != nil {
			return err
		}
		var rows []row
		if err := tx.Raw(take, batchSize).Find(&rows).Error; err != nil {
			return err
		}
		n = len(rows)
		return publish(ctx, pub, rows)
	})
	return n, err
}

// relaySQLite publishes outside any transaction: there is one lock for all writers, and a consumer in the same process
// may have to write before it can confirm. Two relays at once would send rows twice, which consumers bear.
func (o *Outbox) relaySQLite(ctx context.Context, pub bus.Publisher) (int, error) {
	const (
		unsent = `SELECT ` + rowColumns + ` FROM outbox_unsent JOIN outbox USING (seq) ORDER BY seq LIMIT ?`
		sent   = `DELETE FROM outbox_unsent WHERE seq IN (SELECT value FROM json_each(?))`
	)
	var rows []row
	if err := o.db.Read(ctx).Raw(unsent, batchSize).Scan(&rows).Error; err != nil {
		return 0, db.Error(err)
	}
	if len(rows) == 0 {
		return 0, nil
	}
	if err := publish(ctx, pub, rows); err != nil {
		return 0, err
	}
	list, err := json.Marshal(seqsOf(rows))
	if err != nil {
		return 0, err
	}
	return len(rows), o.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec(sent, string(list)).Error
	})
}

func seqsOf(rows []row) []int64 {
	seqs := make([]int64, len(rows))
	for i, r := range rows {
		seqs[i] = r.Seq
	}
	return seqs
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
