//go:build unix

package main

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"time"
)

// Goals of the embedded default.
const (
	// embeddedFloor is the share of the rate of bare transactions, one per activation, that activations over HTTP
	// reach.
	embeddedFloor, embeddedAim = 0.5, 1.0
	// warmMany is how many licenses are in memory when it is read, and warmMemoryFloor what the process then takes at
	// most, in MB.
	warmMany        = 100_000
	warmMemoryFloor = 250.0
)

// embedded measures the suite in one process: its memory with many licenses, and activations against bare transactions
// of SQLite.
func (b *bench) embedded(ctx context.Context) error {
	many, err := startEmbedded(ctx, filepath.Dir(b.bin), warmMany, b.progress)
	if err != nil {
		return err
	}
	defer func() { _ = many.Stop() }()
	if err := b.onEmbedded(ctx, many, b.embeddedMemory); err != nil {
		return err
	}
	if err := many.Process("latchkey").Stop(); err != nil { // its database is for the bare transactions
		return err
	}
	e, err := startEmbedded(ctx, filepath.Dir(b.bin), licenses, b.progress)
	if err != nil {
		return err
	}
	err = b.onEmbedded(ctx, e, func(ctx context.Context, s *installation) error {
		return b.embeddedActivations(ctx, s, many.file("license"))
	})
	return errors.Join(err, e.Stop())
}

func (b *bench) embeddedMemory(ctx context.Context, s *installation) error {
	if err := warm(ctx, s.url, s.apiKey, warmMany); err != nil {
		return err
	}
	atOnce := residentMB(s.pids()[0])
	if err := s.stored(ctx); err != nil {
		return err
	}
	if err := awaitReturnedMemory(ctx); err != nil {
		return err
	}
	b.atMost(row{Name: "embedded, memory with 100,000 warm licenses", Unit: "MB", Floor: new(warmMemoryFloor)}).
		add(residentMB(s.pids()[0]))
	b.info("  embedded, memory right after they were asked for", "MB").add(atOnce)
	return nil
}

// awaitReturnedMemory waits for so long that a process without work has returned the memory that it does not need.
func awaitReturnedMemory(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(25 * time.Second):
		return nil
	}
}

func (b *bench) embeddedActivations(ctx context.Context, s *installation, bareFile string) error {
	wrong := b.atMost(row{Name: "embedded, activations, wrong answers", Floor: new(0.0)})
	ratio := b.ratio("embedded, fresh activation of bare SQLite transactions", embeddedFloor, embeddedAim)
	rate, p99 := b.info("  embedded, activations", "/s"), b.info("  embedded, activations, p99", "ms")
	bareRate, cpu := b.info("  bare SQLite transactions", "/s"), b.info("  embedded, CPU per 10,000 activations", "s")
	for range b.rounds {
		before := s.cpuSeconds()
		o, err := drive(ctx, activation(s.url, s.apiKey), b.span, b.freshDevices(licenses))
		if err == nil {
			err = s.stored(ctx)
		}
		if err != nil {
			return err
		}
		cpu.add((s.cpuSeconds() - before) / float64(max(o.requests, 1)) * 10_000)
		bare, err := b.bareActivations(ctx, bareFile)
		if err != nil {
			return err
		}
		wrong.count(o.wrong)
		rate.add(o.perSecond())
		p99.add(o.percentile(0.99) / 1000)
		bareRate.add(bare)
		ratio.add(o.perSecond() / bare)
	}
	return nil
}

// bareActivations does the work of activations in a transaction each, without a service, and returns how many a second.
func (b *bench) bareActivations(ctx context.Context, file string) (float64, error) {
	db, err := openSQLite(file)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	next := b.freshDevices(licenses)
	began, counts, errs := time.Now(), make([]int, connections), make([]error, connections)
	var all sync.WaitGroup
	for conn := range connections {
		all.Go(func() {
			for errs[conn] == nil && time.Since(began) < b.span {
				c, _ := next(conn, counts[conn])
				errs[conn] = bareActivation(ctx, db, c)
				counts[conn]++
			}
		})
	}
	all.Wait()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return float64(sum) / time.Since(began).Seconds(), errors.Join(errs...)
}

func bareActivation(ctx context.Context, db *sql.DB, c call) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	license, now := licenseID(c.license), time.Now().UTC().Truncate(time.Microsecond)
	for _, s := range []struct {
		statement string
		args      []any
	}{
		{`UPDATE licenses SET current_devices = current_devices + 1, version = version + 1, updated_at = ?
			WHERE id = ? AND is_active AND current_devices < max_devices`, []any{now, license}},
		{`INSERT INTO devices (id, license_id, hardware_id, name, os_name, os_version, app_version, is_active,
			activated_at,
			activated_version, last_seen_at) VALUES (?, ?, ?, '', '', '', '', true, ?, 2, ?)`,
			[]any{uuidText(uuidOf(c.device, 3)), license, hardwareID(c.device), now, now}},
		{`INSERT INTO outbox (id, type, source, subject, occurred_at, data)
			VALUES (?, 'license.activated', 'latchkey/license', ?, ?,
			json_object('license_id', ?, 'hardware_id', ?))`,
			[]any{uuidText(uuidOf(c.device, 4)), license, now, license, hardwareID(c.device)}},
		{`INSERT INTO outbox_unsent VALUES (last_insert_rowid())`, nil},
	} {
		if _, err := tx.ExecContext(ctx, s.statement, s.args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}
