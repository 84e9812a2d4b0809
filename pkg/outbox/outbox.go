// Package outbox keeps events in the database until the bus has them. An event is written in the transaction of the
// change that it reports, so neither exists without the other; a relay publishes it afterwards, at least once. Sent
// rows stay as the service's event log until they are pruned. While the bus takes nothing, events wait in the database
// without a bound, and Relay keeps trying. An absent consumer is no reason: its events wait in its queue on the
// broker, up to Queue.MaxBytes of proto/queues. Telemetry, on which no change depends, is sent by
// package telemetry, which bounds what waits.
package outbox

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/trace"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// Migrations make the tables outbox and outbox_unsent. SQL that inserts into outbox directly must fill all columns but
// seq and created_at, insert the seqs into outbox_unsent too, and call Wake after its commit.
var Migrations = db.Migrations{Name: "outbox", FS: files}

// Outbox is the outbox of one service. It is safe for concurrent use.
type Outbox struct {
	db     *db.DB
	source string
	wake   chan struct{}
}

// New returns the outbox in d. source names the service in its events, for example "latchkey/license".
func New(d *db.DB, source string) *Outbox {
	return &Outbox{db: d, source: source, wake: make(chan struct{}, 1)}
}

// row is an event as the table holds it.
type row struct {
	Seq        int64
	ID         string
	Type       string
	Source     string
	Subject    string
	OccurredAt time.Time
	Data       db.JSON
	Trace      string
}

const rowColumns = "seq, id, type, source, subject, occurred_at, data, trace"

func (r row) event() event.Event {
	return event.Event{
		ID: r.ID, Type: r.Type, Source: r.Source, Subject: r.Subject,
		Time: r.OccurredAt.UTC(), Data: []byte(r.Data), Trace: r.Trace,
	}
}

func toEvents(rows []row) []event.Event {
	events := make([]event.Event, len(rows))
	for i, r := range rows {
		events[i] = r.event()
	}
	return events
}

// Add writes msg, as an event about subject that happened at a time, into tx, with the trace that ctx carries; the
// relay is woken when the transaction has committed. ctx and tx are those that db.Tx handed out.
func (o *Outbox) Add(
	ctx context.Context, tx *gorm.DB, subject string, at time.Time, msg proto.Message,
) (event.Event, error) {
	e, err := event.New(o.source, subject, at, msg)
	if err != nil {
		return event.Event{}, err
	}
	e.Trace = trace.Parent(ctx)
	return e, o.AddAll(ctx, tx, []event.Event{e})
}

// AddAll writes events, whose subjects and traces are set, into tx in one statement, as Add does one.
func (o *Outbox) AddAll(ctx context.Context, tx *gorm.DB, events []event.Event) error {
	queries, err := o.Adding(ctx, events)
	if err != nil {
		return err
	}
	return db.Error(db.Pipeline(tx, queries...))
}

// Adding is AddAll as queries for db.Pipeline, which may send others beside them.
func (o *Outbox) Adding(ctx context.Context, events []event.Event) ([]func(*gorm.DB) *gorm.DB, error) {
	if len(events) == 0 {
		return nil, nil
	}
	for i := range events {
		// An event that the bus would refuse must not get in: it would hold up all that follow.
		if err := events[i].Check(); err != nil {
			return nil, err
		}
	}
	db.AfterCommit(ctx, o.Wake)
	if o.db.Engine() == db.Postgres {
		return []func(*gorm.DB) *gorm.DB{
			func(tx *gorm.DB) *gorm.DB { return tx.Exec(addAll, columns(events)...) },
		}, nil
	}
	var values []any
	for _, e := range events {
		values = append(values, e.ID, e.Type, e.Source, e.Subject, e.Time, db.JSON(e.Data), e.Trace)
	}
	insert := `INSERT INTO outbox (id, type, source, subject, occurred_at, data, trace) VALUES (?, ?, ?, ?, ?, ?, ?)` +
		strings.Repeat(", (?, ?, ?, ?, ?, ?, ?)", len(events)-1)
	// The numbers that a transaction is given follow one another.
	unsent := `INSERT INTO outbox_unsent SELECT seq FROM outbox WHERE seq > last_insert_rowid() - ?`
	return []func(*gorm.DB) *gorm.DB{
		func(tx *gorm.DB) *gorm.DB { return tx.Exec(insert, values...) },
		func(tx *gorm.DB) *gorm.DB { return tx.Exec(unsent, len(events)) },
	}, nil
}

// addAll is the same for any number of events, so that PostgreSQL prepares it once.
const addAll = `WITH added AS (
	INSERT INTO outbox (id, type, source, subject, occurred_at, data, trace)
	SELECT id, type, source, subject, at, data::json, trace
	FROM unnest(?::uuid[], ?::text[], ?::text[], ?::text[], ?::timestamptz[], ?::text[], ?::text[])
		WITH ORDINALITY AS e(id, type, source, subject, at, data, trace, place)
	ORDER BY place
	RETURNING seq
) INSERT INTO outbox_unsent SELECT seq FROM added`

// columns are the parameters of addAll.
func columns(events []event.Event) []any {
	texts := make([]db.Array[string], 6)
	for column := range texts {
		texts[column] = make(db.Array[string], 0, len(events))
	}
	times := make(db.Array[time.Time], len(events))
	for i, e := range events {
		for column, value := range []string{e.ID, e.Type, e.Source, e.Subject, string(e.Data), e.Trace} {
			texts[column] = append(texts[column], value)
		}
		times[i] = e.Time
	}
	return []any{texts[0], texts[1], texts[2], texts[3], times, texts[4], texts[5]}
}

// Wake tells the relay of this process that there are new rows. Relays of other processes find them within a second.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default: // it has been told
	}
}

// Pending counts the rows that have not been sent.
func (o *Outbox) Pending(ctx context.Context) (int, error) {
	var n int
	err := o.db.Read(ctx).Raw(`SELECT count(*) FROM outbox_unsent`).Scan(&n).Error
	return n, db.Error(err)
}

// PendingUpTo is Pending, counted up to most: for those who ask often, while there may be millions.
func (o *Outbox) PendingUpTo(ctx context.Context, most int) (n int, err error) {
	const count = `SELECT count(*) FROM (SELECT 1 FROM outbox_unsent LIMIT ?) AS waiting`
	err = o.db.Read(ctx).Raw(count, most).Scan(&n).Error
	return n, db.Error(err)
}

// Oldest is the time of the oldest unsent event; zero when there is none.
func (o *Outbox) Oldest(ctx context.Context) (time.Time, error) {
	const oldest = `SELECT occurred_at FROM outbox WHERE seq = (SELECT min(seq) FROM outbox_unsent)`
	var r row
	err := o.db.Read(ctx).Raw(oldest).Scan(&r).Error
	return r.OccurredAt, db.Error(err)
}

// TryWrite finds out whether PostgreSQL takes changes: it inserts 1,000 rows, which need room on the disk, and rolls
// back.
func (o *Outbox) TryWrite(ctx context.Context) error {
	const some = `INSERT INTO outbox_unsent (seq) SELECT -n FROM generate_series(1, 1000) AS n`
	if o.db.Engine() != db.Postgres {
		return nil
	}
	done := errors.New("rolled back")
	err := o.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		return cmp.Or(tx.Exec(some).Error, done)
	})
	if errors.Is(err, done) {
		return nil
	}
	return err
}

// Taken returns a function that reports whether everything that was unsent at its previous call, from whatever process,
// has been published since. Each caller needs one of its own, to call it about once a second. While the database does
// not answer nothing can be changed in it, and the last answer holds.
func (o *Outbox) Taken() func(context.Context) bool {
	const waiting = `SELECT (SELECT coalesce(min(seq), 0) FROM outbox_unsent) AS first,
		(SELECT coalesce(max(seq), 0) FROM outbox_unsent) AS last`
	var before int64
	taken := false
	return func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, bus.TickEvery)
		defer cancel()
		var now struct{ First, Last int64 }
		if err := o.db.Read(ctx).Raw(waiting).Scan(&now).Error; err != nil {
			return taken
		}
		taken = now.First == 0 || before != 0 && now.First > before
		before = now.Last
		return taken
	}
}
