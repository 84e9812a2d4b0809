package store

import (
	"context"
	"encoding/json"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// SQLite changes one table per statement, so seatStatement is five of them there, whatever the size of the batch: rows
// travel as one JSON document. The transaction holds the only write lock, so what it has read stays true to its end.
const (
	holdLicensesSQLite = `SELECT l.id, needs_checks, l.is_active, license_type, is_trial, expires_at, features,
		max_devices,
			current_devices, l.version, policy, code AS product, p.is_active AND min_version = ''
			AND authorization_method = 'key' AS product_open
		FROM licenses l JOIN products p ON p.id = product_id
		WHERE l.id IN (SELECT value FROM json_each(?))`
	enterDevicesSQLite = `INSERT INTO devices (id, license_id, hardware_id, name, os_name, os_version, app_version,
		is_active,
			activated_at, activated_version, last_seen_at)
		SELECT value->>'device_id', value->>'license_id', value->>'hardware_id', value->>'name', value->>'os_name',
			value->>'os_version', value->>'app_version', true, value->>'at', value->>'version', value->>'at'
		FROM json_each(?) WHERE true ON CONFLICT (license_id, hardware_id) DO NOTHING RETURNING id`
	countSeatsSQLite = `UPDATE licenses SET current_devices = current_devices + s.value->>'seats',
		version = version + s.value->>'seats', updated_at = s.value->>'at' FROM json_each(?) s
		WHERE licenses.id = s.value->>'license_id'`
	logSeatsSQLite = `INSERT INTO outbox (id, type, source, subject, occurred_at, trace, data)
		SELECT value->>'event_id', value->>'type', ?, value->>'license_id', value->>'at', value->>'trace',
			json_set(value->'data', '$.current_devices', value->'current_devices', '$.max_devices',
			value->'max_devices', '$.version', value->'version')
		FROM json_each(?) ORDER BY key`
	// The numbers that a transaction is given follow one another.
	queueSeatsSQLite = `INSERT INTO outbox_unsent SELECT seq FROM outbox WHERE seq > last_insert_rowid() - ?`
)

// heldLicenses are the licenses of a batch by id, under the write lock, and the seats that the batch takes on them.
type heldLicenses map[string]*heldLicense

type heldLicense struct {
	ID             string
	NeedsChecks    bool
	IsActive       bool
	LicenseType    string
	IsTrial        bool
	ExpiresAt      *time.Time
	Features       string
	MaxDevices     int
	CurrentDevices int
	Version        int
	Policy         *string
	Product        string
	ProductOpen    bool

	asked int // how many of the batch want a seat
	added seatCount
}

// seatCount is what a license gained, as countSeatsSQLite reads it.
type seatCount struct {
	LicenseID string  `json:"license_id"`
	Seats     int     `json:"seats"`
	At        db.Time `json:"at"`
}

// seatEntry is an activation as enterDevicesSQLite reads it, and then, with the figures of the license that it makes,
// logSeatsSQLite.
type seatEntry struct {
	DeviceID       string          `json:"device_id"`
	LicenseID      string          `json:"license_id"`
	HardwareID     string          `json:"hardware_id"`
	Name           string          `json:"name"`
	OSName         string          `json:"os_name"`
	OSVersion      string          `json:"os_version"`
	AppVersion     string          `json:"app_version"`
	At             db.Time         `json:"at"`
	EventID        string          `json:"event_id"`
	Type           string          `json:"type"`
	Trace          string          `json:"trace"`
	Data           json.RawMessage `json:"data"`
	CurrentDevices int             `json:"current_devices"`
	MaxDevices     int             `json:"max_devices"`
	Version        int             `json:"version"`
}

func (s *Store) runSeatsSQLite(ctx context.Context, batch []seatRequest) ([]seatResult, error) {
	var all []seatResult
	err := s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		held, err := holdLicenses(tx, batch)
		if err != nil {
			return err
		}
		entered, err := enterDevices(tx, held.admit(batch))
		if err != nil {
			return err
		}
		var entries []seatEntry
		all, entries = held.seat(batch, entered)
		if len(entries) == 0 {
			return nil
		}
		db.AfterCommit(ctx, func() { s.seatsCommitted(batch, all) })
		return held.write(tx, entries)
	})
	return all, err
}

func holdLicenses(tx *gorm.DB, batch []seatRequest) (heldLicenses, error) {
	ids := make([]string, len(batch))
	for i := range batch {
		ids[i] = batch[i].device.LicenseID
	}
	document, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	var rows []*heldLicense
	err = tx.Raw(holdLicensesSQLite, string(document)).Find(&rows).Error
	held := make(heldLicenses, len(rows))
	for _, l := range rows {
		held[l.ID] = l
	}
	return held, err
}

// admit is those of the batch for whom there is room, numbered as seatStatement numbers them.
func (held heldLicenses) admit(batch []seatRequest) (admitted []seatEntry) {
	for i := range batch {
		if l := held[batch[i].device.LicenseID]; l != nil && l.admits(&batch[i].device) {
			admitted = append(admitted, newSeatEntry(&batch[i], l.Version+1))
		}
	}
	return admitted
}

func (l *heldLicense) admits(d *licensing.Device) bool {
	l.asked++
	usable := !l.NeedsChecks && l.ProductOpen && l.IsActive && (l.ExpiresAt == nil || l.ExpiresAt.After(d.ActivatedAt))
	return usable && l.CurrentDevices+l.asked <= l.MaxDevices
}

// newSeatEntry is a with the first version that its license gets after the lock.
func newSeatEntry(a *seatRequest, version int) seatEntry {
	d, e := &a.device, &a.event
	return seatEntry{
		DeviceID:   d.ID,
		LicenseID:  d.LicenseID,
		HardwareID: d.HardwareID,
		Name:       d.Name,
		OSName:     d.OSName,
		OSVersion:  d.OSVersion,
		AppVersion: d.AppVersion,
		At:         db.Time{Time: d.ActivatedAt},
		EventID:    e.ID,
		Type:       e.Type,
		Trace:      e.Trace,
		Data:       e.Data,
		Version:    version,
	}
}

// enterDevices inserts devices and returns, by id, those that were not here before.
func enterDevices(tx *gorm.DB, admitted []seatEntry) (map[string]*seatEntry, error) {
	entered := make(map[string]*seatEntry, len(admitted))
	if len(admitted) == 0 {
		return entered, nil
	}
	document, err := json.Marshal(admitted)
	if err != nil {
		return nil, err
	}
	var ids []string
	err = tx.Raw(enterDevicesSQLite, string(document)).Find(&ids).Error
	for _, id := range ids {
		entered[id] = nil
	}
	for i := range admitted {
		if _, ok := entered[admitted[i].DeviceID]; ok {
			entered[admitted[i].DeviceID] = &admitted[i]
		}
	}
	return entered, err
}

// seat numbers the devices that were entered.
func (held heldLicenses) seat(
	batch []seatRequest, entered map[string]*seatEntry,
) (all []seatResult, entries []seatEntry) {
	all = make([]seatResult, len(batch))
	for i := range batch {
		l := held[batch[i].device.LicenseID]
		if l == nil {
			continue
		}
		all[i].settled = true
		if e := entered[batch[i].device.ID]; e != nil {
			l.add(e)
			all[i].seat = l.seat(&batch[i].device)
			entries = append(entries, *e)
		}
	}
	return all, entries
}

// add counts a seat and notes in e what the license has with it.
func (l *heldLicense) add(e *seatEntry) {
	l.added.LicenseID = l.ID
	l.added.Seats++
	if l.added.At.Before(e.At.Time) {
		l.added.At = e.At
	}
	e.CurrentDevices, e.MaxDevices, e.Version = l.CurrentDevices+l.added.Seats, l.MaxDevices, l.Version+l.added.Seats
}

func (l *heldLicense) seat(d *licensing.Device) *licensing.Activation {
	terms := termsRow{LicenseType: l.LicenseType, IsTrial: l.IsTrial, ExpiresAt: l.ExpiresAt, Features: l.Features}
	return &licensing.Activation{
		Device: *d, Terms: terms.terms(), Status: licensing.StatusActive,
		Product: l.Product, Policy: textOrNone(l.Policy),
		Limits: licensing.Limits{MaxDevices: l.MaxDevices, CurrentDevices: l.CurrentDevices + l.added.Seats},
	}
}

// write counts the seats on their licenses and adds the events.
func (held heldLicenses) write(tx *gorm.DB, entries []seatEntry) error {
	var counts []seatCount
	for _, l := range held {
		if l.added.Seats > 0 {
			counts = append(counts, l.added)
		}
	}
	document, err := json.Marshal(counts)
	if err != nil {
		return err
	}
	if err := tx.Exec(countSeatsSQLite, string(document)).Error; err != nil {
		return err
	}
	if document, err = json.Marshal(entries); err != nil {
		return err
	}
	if err := tx.Exec(logSeatsSQLite, licensing.Source, string(document)).Error; err != nil {
		return err
	}
	return tx.Exec(queueSeatsSQLite, len(entries)).Error
}
