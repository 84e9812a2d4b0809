//go:build unix

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const embeddedName = "embedded"

// installation is a running suite on one of the engines, with licenses loaded, as seen by measurements that are made on
// both.
type installation struct {
	// name is embeddedName or "PostgreSQL".
	name        string
	url, apiKey string
	// pids are all its processes, database and broker included.
	pids func() []int
	// fill makes events wait, and returns when analytics has begun with them.
	fill func(ctx context.Context, events []event.Event) error
	// unsent is how many events have not left the license service, and taken how many analytics has stored since its
	// data was made.
	unsent, taken func(ctx context.Context) (int, error)
}

// onBoth takes a measurement of warm licenses on the embedded default and on PostgreSQL and RabbitMQ.
func (b *bench) onBoth(ctx context.Context, measure func(ctx context.Context, s *installation) error) error {
	e, err := startEmbedded(ctx, filepath.Dir(b.bin), licenses, b.progress)
	if err != nil {
		return err
	}
	err = b.onEmbedded(ctx, e, measure)
	if err = errors.Join(err, e.Stop()); err != nil {
		return err
	}
	return b.onProcesses(ctx, measure)
}

func (b *bench) onEmbedded(
	ctx context.Context, e *embedded, measure func(ctx context.Context, s *installation) error,
) error {
	license, err := openSQLite(e.file("license"))
	if err != nil {
		return err
	}
	defer license.Close()
	analytics, err := openSQLite(e.file("analytics"))
	if err != nil {
		return err
	}
	defer analytics.Close()
	s := &installation{name: embeddedName, url: e.LicenseURL, apiKey: e.APIKey, pids: func() []int {
		return []int{e.pid()}
	}}
	s.fill = func(ctx context.Context, events []event.Event) error {
		before, err := s.taken(ctx)
		if err == nil {
			err = fillOutboxSQLite(ctx, license, events)
		}
		if err != nil {
			return err
		}
		return s.await(ctx, before+1)
	}
	s.unsent = func(ctx context.Context) (n int, err error) {
		const unsent = `SELECT (SELECT count(*) FROM outbox_unsent) + (SELECT count(*) FROM telemetry_spill)`
		return n, license.QueryRowContext(ctx, unsent).Scan(&n)
	}
	s.taken = func(ctx context.Context) (n int, err error) {
		return n, analytics.QueryRowContext(ctx, `SELECT coalesce(max(taken), 0) FROM consumer`).Scan(&n)
	}
	if err := warm(ctx, s.url, s.apiKey, licenses); err != nil {
		return err
	}
	return measure(ctx, s)
}

func (b *bench) onProcesses(ctx context.Context, measure func(ctx context.Context, s *installation) error) error {
	s := &installation{name: "PostgreSQL", url: b.suite.LicenseURL, apiKey: b.suite.APIKey}
	s.pids = func() []int {
		all := []int{b.suite.Postgres.PID(), b.suite.RabbitMQ.PID()}
		for _, p := range b.suite.Processes {
			all = append(all, p.PID())
		}
		return all
	}
	s.fill = b.fillQueue
	s.unsent = func(ctx context.Context) (int, error) {
		left, err := b.unsent(ctx)
		if err != nil {
			return 0, err
		}
		q, err := b.channel.QueueDeclarePassive(analyticsQueue, true, false, false, false, nil)
		return left + q.Messages, err
	}
	s.taken = func(ctx context.Context) (n int, err error) {
		return n, b.database.QueryRow(ctx, `SELECT coalesce(max(taken), 0) FROM analytics.consumer`).Scan(&n)
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	if err := warm(ctx, s.url, s.apiKey, licenses); err != nil {
		return err
	}
	return measure(ctx, s)
}

// stored waits until no event is on its way and analytics has stored what there was.
func (s *installation) stored(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for last, quiet := -1, 0; quiet < 5; {
		left, err := s.unsent(ctx)
		if err != nil {
			return err
		}
		taken, err := s.taken(ctx)
		if err != nil {
			return err
		}
		if quiet++; left > 0 || taken != last {
			quiet = 0
		}
		last = taken
		time.Sleep(60 * time.Millisecond)
	}
	return nil
}

// cpuSeconds is the processor time that everything together has used.
func (s *installation) cpuSeconds() (sum float64) {
	for _, pid := range s.pids() {
		sum += cpuSeconds(pid)
	}
	return sum
}

// await waits until analytics has taken in so many events.
func (s *installation) await(ctx context.Context, count int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		taken, err := s.taken(ctx)
		if err != nil || taken >= count {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d events are stored: %w", taken, count, ctx.Err())
		case <-tick.C:
		}
	}
}

// activations are events of devices that nobody has seen.
func (b *bench) activations(count int) ([]event.Event, error) {
	events := make([]event.Event, count)
	b.devices += 1 << 40
	for i := range events {
		id, device := licenseID(int64(1+i%licenses)), b.devices+int64(i)
		e, err := event.New("latchkey/license", id, time.Now(), &eventsv1.LicenseActivated{
			LicenseId: id, DeviceId: licenseID(device), HardwareId: hardwareID(device), Ip: "127.0.0.1",
			CurrentDevices: 1, MaxDevices: maxDevices, Version: 1,
		})
		if err != nil {
			return nil, err
		}
		events[i] = e
	}
	return events, nil
}

// fillOutboxSQLite commits events to license's outbox.
func fillOutboxSQLite(ctx context.Context, license *sql.DB, events []event.Event) error {
	tx, err := license.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	const columns = `(id, type, source, subject, occurred_at, data)`
	for _, e := range events {
		if _, err := tx.ExecContext(ctx, `INSERT INTO outbox `+columns+` VALUES (?, ?, ?, ?, ?, ?)`,
			e.ID, e.Type, e.Source, e.Subject, e.Time.UTC().Truncate(time.Microsecond), string(e.Data)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO outbox_unsent VALUES (last_insert_rowid())`); err != nil {
			return err
		}
	}
	return tx.Commit()
}
