// Package store keeps licenses and devices in PostgreSQL or SQLite. It is the only place of this service that knows
// gorm.
//
// # The order of locks
//
// On PostgreSQL, transactions that lock rows in different orders wait for each other in a circle, until the server ends
// one of them a second later; meanwhile all who want these rows wait. So every transaction locks in this order:
//
//  1. the row of the master key that it writes with, and the row of a trial
//  2. the organisation of delegated keys, then its slaves
//  3. the keys that callers bring for licenses, by advisory locks
//  4. licenses
//  5. users
//  6. license groups
//  7. products
//  8. customers
//  9. what it makes under a name or key that others may choose as well: new users, then new licenses
//  10. what belongs to a license or user that it holds: devices, leases, counters, keys
//
// Of one kind, it locks rows in the order of their ids (products by codes, customers by customer ids, new licenses by
// keys), and never in that of a request. To insert a row is to lock it: who inserts the same waits. A transaction that
// cannot know all rows beforehand, such as an import, locks first what may be needed (Store.Hold). Jobs that prune keep
// to no order, as they take few rows at a time and can be repeated. SQLite has one writer, who holds everything.
//
// Where PostgreSQL ends a transaction all the same, db.Tx carries it out again; a unit of several steps (db.InUnit)
// leaves nothing behind and is answered 503.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/telemetry"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/batch"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/store/migrations"
)

// Migrations is the schema of this package; the outbox and similar packages bring their own.
var Migrations = db.Migrations{Name: "license", FS: migrations.FS}

// Store is the data of the service; each method says whose port it implements.
type Store struct {
	db     *db.DB
	outbox *outbox.Outbox
	keys   *masterkey.Register
	clock  clock.Clock
	// committed is called for every event right after its transaction, before the bus does.
	committed func(event.Event)
	telemetry *telemetry.Recorder
	seats     *batch.Batcher[string, seatRequest, seatResult]
	leases    *batch.Batcher[string, leaseRequest, leaseResult]
	// masters reports whether there are masters of delegated keys.
	masters *cache.Cache[struct{}, bool]
}

var (
	_ licensing.Store      = (*Store)(nil)
	_ licensing.Reads      = (*Store)(nil)
	_ licensing.Lookup     = (*Lookup)(nil)
	_ licensing.Seen       = (*Seen)(nil)
	_ catalog.ProductStore = (*Store)(nil)
	_ catalog.PolicyStore  = (*Store)(nil)
)

// Deps is what a Store works with.
type Deps struct {
	DB     *db.DB
	Outbox *outbox.Outbox
	Keys   *masterkey.Register
	Clock  clock.Clock
	// Committed is called after each commit with the events of the change, so that this process's caches do not wait
	// for the bus.
	Committed func(event.Event)
	// Telemetry may have put events aside, from which erased customers are taken as from the event log; nil for none.
	Telemetry *telemetry.Recorder
}

// New returns a store.
func New(d Deps) *Store {
	s := &Store{
		db: d.DB, outbox: d.Outbox, keys: d.Keys, clock: d.Clock, committed: d.Committed, telemetry: d.Telemetry,
		masters: cache.New[struct{}, bool](cache.Options{Capacity: 1, TTL: lookEvery}, d.Clock),
	}
	s.seats = batch.New(batches(d.DB.Engine(), "activate devices"), seatRequest.licenseID, s.runBatch)
	s.leases = batch.New(transactions(d.DB.Engine(), "change leases"), leaseRequest.licenseID, s.runLeaseBatch)
	return s
}

// InTransaction implements licensing.Store, delegation.Store and licenseimport.Store.
func (s *Store) InTransaction(ctx context.Context, fn func(ctx context.Context) error) error {
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, _ *gorm.DB) error { return fn(ctx) }))
}

// Change implements licensing.Store.
func (s *Store) Change(
	ctx context.Context, licenseID string, hardwareIDs []string, decide func(*licensing.Change) error,
) error {
	return translate(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		before, err := lockLicense(ctx, s.db, tx, licenseID)
		if err != nil {
			return err
		}
		known, err := loadDevices(s.db.Lock(tx), licenseID, hardwareIDs)
		if err != nil {
			return err
		}
		ch := newChange(&before, known, &lockedReads{
			tx: s.db.Lock(tx), licenseID: licenseID, known: known, ring: s.keys.Ring,
		})
		if err := decide(ch); err != nil {
			return err
		}
		if err := s.writeChange(tx, &before, known, ch); err != nil {
			return err
		}
		return s.publish(ctx, tx, licenseID, ch.Events())
	}))
}

// writeChange writes what a change has made of a license and its devices.
func (s *Store) writeChange(
	tx *gorm.DB, before *licensing.License, known map[string]licensing.Device, ch *licensing.Change,
) error {
	if err := writeLicense(tx, before, &ch.License); err != nil {
		return err
	}
	if err := s.moveCustomer(tx, before, &ch.License); err != nil {
		return err
	}
	left := leaving(known, ch)
	if err := s.keepBorrowed(tx, left, ch); err != nil {
		return err
	}
	hardwareIDs := slices.Sorted(maps.Keys(ch.Devices))
	// Those that are new come last: one may take the hardware id that another has just given up.
	slices.SortStableFunc(hardwareIDs, func(a, b string) int {
		return cmp.Compare(created(known, ch.Devices[a]), created(known, ch.Devices[b]))
	})
	for _, hardwareID := range hardwareIDs {
		if err := s.writeDevice(tx, known, ch.Devices[hardwareID]); err != nil {
			return err
		}
	}
	if err := s.writeKeys(tx, &ch.License, ch.Keys); err != nil {
		return err
	}
	if err := s.dropCounters(tx, before, &ch.License); err != nil {
		return err
	}
	for from, to := range ch.Heirs {
		if err := handOver(tx, before.ID, from, to); err != nil {
			return err
		}
	}
	if ch.OfflineVoid {
		if err := voidOffline(tx, before.ID); err != nil {
			return err
		}
	}
	if err := s.leaveSeats(tx, left, ch); err != nil {
		return err
	}
	return holdOffline(tx, before.ID, ch.OfflineHorizon)
}

// Peek implements licensing.Store.
func (s *Store) Peek(ctx context.Context, licenseID string, hardwareIDs []string) (*licensing.Change, error) {
	l, err := s.Find(ctx, licenseID)
	if err != nil {
		return nil, err
	}
	known, err := loadDevices(s.db.Read(ctx), licenseID, hardwareIDs)
	return newChange(&l, known, &lockedReads{
		tx: s.db.Read(ctx), licenseID: licenseID, known: known, ring: s.keys.Ring,
	}), translate(err)
}

func newChange(l *licensing.License, known map[string]licensing.Device, reads *lockedReads) *licensing.Change {
	ch := &licensing.Change{License: *l, Devices: map[string]*licensing.Device{}, Reads: reads}
	for hardwareID, d := range known {
		ch.Devices[hardwareID] = &d
	}
	return ch
}

func voidOffline(tx *gorm.DB, licenseID string) error {
	return tx.Table("devices").Where("license_id = ? AND offline_until IS NOT NULL", licenseID).
		Updates(map[string]any{"offline_until": nil, "tokens_until": nil}).Error
}

func lockLicense(ctx context.Context, d *db.DB, tx *gorm.DB, id string) (licensing.License, error) {
	if !uid.Is(id) {
		return licensing.License{}, licensing.ErrNotFound
	}
	var row licenseRow
	if err := d.Lock(tx).Table("licenses").Select(licenseColumns).Where("id = ?", id).Take(&row).Error; err != nil {
		return licensing.License{}, err
	}
	l := row.license()
	return l, licensing.RequireExpected(ctx, &l)
}

func loadDevices(tx *gorm.DB, licenseID string, hardwareIDs []string) (map[string]licensing.Device, error) {
	known := map[string]licensing.Device{}
	if len(hardwareIDs) == 0 {
		return known, nil
	}
	var rows []deviceRow
	err := tx.Table("devices").Where("license_id = ? AND hardware_id IN ?", licenseID, hardwareIDs).Order("id").
		Find(&rows).Error
	for _, row := range rows {
		known[row.HardwareID] = row.device()
	}
	return known, err
}

// writeLicense is guarded by the version that was read, although the row is locked: a lock lost is noticed, not
// overwritten.
func writeLicense(tx *gorm.DB, before, after *licensing.License) error {
	if reflect.DeepEqual(before, after) {
		return nil
	}
	row := newLicenseRow(after)
	res := tx.Table("licenses").Where("id = ? AND version = ?", after.ID, before.Version).
		Select("*").Omit(lastingColumns...).UpdateColumns(&row)
	return wroteOne(res, "license")
}

func wroteOne(res *gorm.DB, what string) error {
	if res.Error == nil && res.RowsAffected != 1 {
		return fmt.Errorf("%s changed under its lock: %d rows written", what, res.RowsAffected)
	}
	return res.Error
}

func (s *Store) publish(ctx context.Context, tx *gorm.DB, licenseID string, msgs []proto.Message) error {
	for _, msg := range msgs {
		e, err := s.outbox.Add(ctx, tx, licenseID, s.clock.Now(), msg)
		if err != nil {
			return err
		}
		db.AfterCommit(ctx, func() { s.committed(e) })
	}
	return nil
}

// Expiring implements licensing.Store.
func (s *Store) Expiring(ctx context.Context, now time.Time, days, limit int) ([]string, error) {
	var ids []string
	err := s.db.Read(ctx).Table("licenses").
		Where(having(licensing.StatusActive, now)).Where("expires_at <= ?", now.AddDate(0, 0, days)).
		Where("expiry_notice = 0 OR expiry_notice > ?", days).
		Order("expires_at").Limit(limit).Pluck("id", &ids).Error
	return ids, translate(err)
}

// Due implements licensing.Store.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]string, error) {
	var ids []string
	for _, condition := range due {
		var found []string
		err := s.db.Read(ctx).Table("licenses").Where(condition, sql.Named("now", now)).
			Limit(limit-len(ids)).Pluck("id", &found).Error
		if err != nil {
			return nil, translate(err)
		}
		if ids = append(ids, found...); len(ids) == limit {
			break
		}
	}
	return ids, nil
}

// Key implements licensing.Store.
func (s *Store) Key(ctx context.Context, licenseID string) (string, error) {
	if !uid.Is(licenseID) {
		return "", licensing.ErrNotFound
	}
	var row licenseRow
	if err := s.db.Read(ctx).Table("licenses").Select("id", "key_sealed").Where("id = ?", licenseID).
		Take(&row).Error; err != nil {
		return "", translate(err)
	}
	key, err := s.keys.Ring.Open(keyPurpose, row.KeySealed, []byte(row.ID))
	if errors.Is(err, keyring.ErrUnknownKey) {
		return "", masterkey.ErrMissing.WithCause(err)
	}
	if err != nil {
		return "", fmt.Errorf("open license key of %s: %w", licenseID, err)
	}
	return string(key), nil
}

// translate turns "no such row" into the rule's own error, and outages into 503.
func translate(err error) error {
	if errors.Is(err, db.ErrNotFound) {
		return licensing.ErrNotFound
	}
	return db.Error(err)
}

// ownColumns are those of a license's own row that the rules need: neither its key nor what is written for statements.
var ownColumns = db.Columns("licenses", licenseRow{},
	"numeric_id", "key_hash", "key_sealed", "master_key",
	"usable_until", "plain_terms", "needs_checks", "device_idle_minutes",
	"product", "product_is_active", "product_min_version", "product_method")

// licenseColumns reads a license together with the code of its product and what that demands.
var licenseColumns = ownColumns + `,
	(SELECT code FROM products WHERE products.id = licenses.product_id) AS product,
	(SELECT is_active FROM products WHERE products.id = licenses.product_id) AS product_is_active,
	(SELECT min_version FROM products WHERE products.id = licenses.product_id) AS product_min_version,
	(SELECT authorization_method FROM products WHERE products.id = licenses.product_id) AS product_method`
