package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

const (
	// maxAliases is how many former hardware ids of a device stay known.
	maxAliases = 5
	// maxCandidates is how many devices that share a component are looked at to recognize one by its components, and
	// how many of all of them are compared; maxSeatCandidates is how many devices with a seat are looked at besides.
	maxCandidates     = 20
	maxSeatCandidates = 100
	// maxIdle is how many seats of a license are freed in one transaction.
	maxIdle = 1000
)

// writeDevice writes what a change made of a device; known are those that were read, by the hardware ids that they had.
func (s *Store) writeDevice(tx *gorm.DB, known map[string]licensing.Device, after *licensing.Device) error {
	before, ok := readBefore(known, after)
	if ok && reflect.DeepEqual(&before, after) {
		return nil
	}
	if !ok {
		row := newDeviceRow(after)
		if err := tx.Table("devices").Omit("numeric_id").Create(&row).Error; err != nil {
			return err
		}
		return writeComponents(tx, s.keys.Ring, after)
	}
	res := tx.Table("devices").Where("id = ? AND is_active = ?", after.ID, before.IsActive).
		Updates(deviceChanges(&before, after))
	if err := wroteOne(res, "device"); err != nil {
		return err
	}
	if before.HardwareID != after.HardwareID {
		if err := s.writeAlias(tx, &before, after); err != nil {
			return err
		}
	}
	return writeComponents(tx, s.keys.Ring, after)
}

// created is 1 for a device that was not read.
func created(known map[string]licensing.Device, d *licensing.Device) int {
	if _, ok := readBefore(known, d); ok {
		return 0
	}
	return 1
}

// readBefore is a device as it was read, maybe under another hardware id.
func readBefore(known map[string]licensing.Device, after *licensing.Device) (licensing.Device, bool) {
	if before, ok := known[after.HardwareID]; ok && before.ID == after.ID {
		return before, true
	}
	for _, d := range known {
		if d.ID == after.ID {
			return d, true
		}
	}
	return licensing.Device{}, false
}

// formerIDs are the rows of device_aliases by which devices are known: on licenses that recognize devices, and as long
// as no device has the id for its own. Blocks hold by all of them.
const formerIDs = `(SELECT f.* FROM device_aliases f
	JOIN licenses l ON l.id = f.license_id AND l.device_rules LIKE '%"device_match":%'
	WHERE NOT EXISTS (SELECT 1 FROM devices own WHERE own.license_id = f.license_id AND own.hardware_id = f.hardware_id)
	) AS device_aliases`

type aliasRow struct {
	LicenseID, HardwareID, DeviceID string
	CreatedAt                       time.Time
}

// writeAlias keeps the hardware id that a device had, and forgets the oldest ones.
func (s *Store) writeAlias(tx *gorm.DB, before, after *licensing.Device) error {
	row := aliasRow{
		LicenseID: after.LicenseID, HardwareID: before.HardwareID, DeviceID: after.ID, CreatedAt: s.clock.Now(),
	}
	const (
		taken   = "DELETE FROM device_aliases WHERE license_id = ? AND hardware_id IN ?"
		tooMany = `DELETE FROM device_aliases
			WHERE device_id = ? AND hardware_id NOT IN (SELECT hardware_id FROM device_aliases
			WHERE device_id = ? ORDER BY created_at DESC, hardware_id LIMIT ?)`
	)
	if err := tx.Exec(taken, after.LicenseID, []string{before.HardwareID, after.HardwareID}).Error; err != nil {
		return err
	}
	if err := tx.Table("device_aliases").Create(&row).Error; err != nil {
		return err
	}
	if err := tx.Exec(tooMany, after.ID, after.ID, maxAliases).Error; err != nil {
		return err
	}
	if err := handOver(tx, after.LicenseID, before.HardwareID, after.HardwareID); err != nil {
		return err
	}
	return s.renameHolder(tx, after.LicenseID, before.HardwareID, after.HardwareID)
}

// componentPurpose binds the hashes of components to what they are for.
const componentPurpose = "device-component"

func componentData(name, value string) []byte { return []byte(name + "\x00" + value) }

type componentRow struct {
	DeviceID, LicenseID, Name string
	Hash                      []byte
}

// writeComponents replaces what is stored of a device's components, if the device said any.
func writeComponents(tx *gorm.DB, ring *keyring.Ring, d *licensing.Device) error {
	if d.Components == nil {
		return nil
	}
	var rows []componentRow
	for _, name := range slices.Sorted(maps.Keys(d.Components)) {
		mac := ring.MAC(componentPurpose, componentData(name, d.Components[name]))
		rows = append(rows, componentRow{d.ID, d.LicenseID, name, mac.Sum[:]})
	}
	if err := tx.Exec("DELETE FROM device_components WHERE device_id = ?", d.ID).Error; err != nil {
		return err
	}
	return tx.Table("device_components").Create(&rows).Error
}

// lockedReads implements licensing.LockedReads within a transaction that holds the license.
type lockedReads struct {
	tx        *gorm.DB
	licenseID string
	// known gets what is read, so that changes of it are noticed.
	known map[string]licensing.Device
	ring  *keyring.Ring
}

func (r *lockedReads) devices() *gorm.DB {
	return r.tx.Session(&gorm.Session{}).Table("devices").Where("license_id = ?", r.licenseID)
}

// unlocked are devices that are only compared. The license is locked, so nobody changes them but the batches of
// seen.go, which lock many devices in the order of their ids: locking these in another order would deadlock.
func (r *lockedReads) unlocked() *gorm.DB {
	return r.tx.Session(&gorm.Session{NewDB: true}).Table("devices").Where("license_id = ?", r.licenseID)
}

func (r *lockedReads) note(rows []deviceRow) []*licensing.Device {
	found := make([]*licensing.Device, len(rows))
	for i := range rows {
		d := rows[i].device()
		r.known[d.HardwareID] = d
		found[i] = &d
	}
	return found
}

// NewSince implements licensing.LockedReads.
func (r *lockedReads) NewSince(since time.Time, limit int) (n int, oldest time.Time, err error) {
	var times []time.Time
	err = r.unlocked().Where("first_activated_at > ?", since).Order("first_activated_at DESC").Limit(limit).
		Pluck("first_activated_at", &times).Error
	if len(times) > 0 {
		oldest = times[len(times)-1].UTC()
	}
	return len(times), oldest, err
}

// isIdle holds for devices that were not seen since @since, except those that have a live lease at @now, or may still
// run offline, by a token or file, or by what they borrowed, also where that was given back.
const isIdle = `devices.is_active AND coalesce(devices.last_seen_at, devices.activated_at) <= @since
	AND (devices.offline_until IS NULL OR devices.offline_until <= @now)
	AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.license_id = devices.license_id
		AND leases.hardware_id = devices.hardware_id AND leases.ending = '' AND leases.expires_at > @now)
	AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.license_id = devices.license_id
		AND leases.hardware_id = devices.hardware_id AND leases.borrowed_until > @now)`

// Idle implements licensing.LockedReads.
func (r *lockedReads) Idle(idle time.Duration, now time.Time) ([]*licensing.Device, error) {
	periods, err := readSeenPeriods(r.tx.Session(&gorm.Session{NewDB: true}), now)
	if err != nil {
		return nil, err
	}
	var rows []deviceRow
	err = r.devices().Where(isIdle, sql.Named("since", periods.idleSince(idle, now)), sql.Named("now", now)).
		Order("id").Limit(maxIdle).Find(&rows).Error
	return r.note(rows), err
}

// ByAlias implements licensing.LockedReads.
func (r *lockedReads) ByAlias(hardwareID string) (*licensing.Device, error) {
	var rows []deviceRow
	alias := r.tx.Session(&gorm.Session{NewDB: true}).Table(formerIDs).Select("device_id").
		Where("license_id = ? AND hardware_id = ?", r.licenseID, hardwareID)
	if err := r.devices().Where("id IN (?)", alias).Limit(1).Find(&rows).Error; err != nil || len(rows) == 0 {
		return nil, err
	}
	return r.note(rows)[0], nil
}

// Named implements licensing.LockedReads.
func (r *lockedReads) Named(hardwareID string) (*licensing.Device, error) {
	var rows []deviceRow
	if err := r.devices().Where("hardware_id = ?", hardwareID).Find(&rows).Error; err != nil || len(rows) == 0 {
		return nil, err
	}
	return r.note(rows)[0], nil
}

// matching counts, for each candidate, how many of the components named are known of it, and how many of these are
// equal. Candidates are some devices for each component, and the seats of a license that has few: what very many
// devices of a license share tells none from another, and looking at all of them would let one license slow everybody
// down.
const matching = `SELECT c.device_id, count(*) AS compared, count(CASE WHEN c.hash IN @hashes THEN 1 END) AS equal
	FROM device_components c JOIN devices d ON d.id = c.device_id
	WHERE c.name IN @names AND c.device_id IN (
		SELECT id FROM (SELECT id FROM devices WHERE license_id = @license AND is_active LIMIT @seats) s%s)
	GROUP BY c.device_id, d.is_active, d.last_seen_at
	HAVING count(CASE WHEN c.hash IN @hashes THEN 1 END) > 0
	ORDER BY d.is_active DESC, equal DESC, d.last_seen_at DESC LIMIT @limit`

// sharing finds devices that share the component %d.
const sharing = `
		UNION SELECT device_id FROM (
			SELECT device_id FROM device_components WHERE hash = @hash%d AND license_id = @license LIMIT @limit) h%[1]d`

// Matching implements licensing.LockedReads.
func (r *lockedReads) Matching(components map[string]string) ([]licensing.Match, error) {
	names := slices.Sorted(maps.Keys(components))
	values := map[string]any{
		"names": names, "license": r.licenseID, "limit": maxCandidates, "seats": maxSeatCandidates,
	}
	var hashes [][]byte
	var shared strings.Builder
	for _, name := range names {
		for _, mac := range r.ring.MACs(componentPurpose, componentData(name, components[name])) {
			fmt.Fprintf(&shared, sharing, len(hashes))
			values[fmt.Sprint("hash", len(hashes))] = mac.Sum[:]
			hashes = append(hashes, mac.Sum[:])
		}
	}
	values["hashes"] = hashes
	var counts []struct {
		DeviceID        string
		Compared, Equal int
	}
	statement := fmt.Sprintf(matching, shared.String())
	err := r.tx.Session(&gorm.Session{NewDB: true}).Raw(statement, values).Scan(&counts).Error
	if err != nil || len(counts) == 0 {
		return nil, err
	}
	ids := make([]string, len(counts))
	for i, c := range counts {
		ids[i] = c.DeviceID
	}
	var rows []deviceRow
	if err := r.unlocked().Where("id IN ?", ids).Find(&rows).Error; err != nil {
		return nil, err
	}
	byID := map[string]*licensing.Device{}
	for _, d := range r.note(rows) {
		byID[d.ID] = d
	}
	matches := make([]licensing.Match, 0, len(counts))
	for _, c := range counts {
		matches = append(matches, licensing.Match{Device: byID[c.DeviceID], Equal: c.Equal, Compared: c.Compared})
	}
	return matches, nil
}

// Idle implements licensing.Store.
func (s *Store) Idle(ctx context.Context, now time.Time, limit int) ([]string, error) {
	// Each license has its own time, and the engines have no arithmetic of times in common.
	idle := "EXISTS (SELECT 1 FROM devices WHERE devices.license_id = licenses.id AND " + isIdle + ")"
	var minutes []int
	read := func() *gorm.DB { return s.db.Read(ctx).Table("licenses") }
	err := read().Where("device_idle_minutes IS NOT NULL").Distinct().Pluck("device_idle_minutes", &minutes).Error
	if err != nil {
		return nil, translate(err)
	}
	periods, err := readSeenPeriods(s.db.Read(ctx), now)
	if err != nil {
		return nil, translate(err)
	}
	var ids []string
	for _, m := range minutes {
		var some []string
		since := periods.idleSince(time.Duration(m)*time.Minute, now)
		err := read().Where("device_idle_minutes = ?", m).
			Where(idle, sql.Named("since", since), sql.Named("now", now)).
			Limit(limit-len(ids)).Pluck("id", &some).Error
		if ids = append(ids, some...); err != nil || len(ids) >= limit {
			return ids, translate(err)
		}
	}
	return ids, nil
}

// Device implements licensing.Reads.
func (s *Store) Device(ctx context.Context, licenseID, deviceID string) (licensing.Device, error) {
	if _, err := s.Find(ctx, licenseID); err != nil {
		return licensing.Device{}, err
	}
	if !uid.Is(deviceID) {
		return licensing.Device{}, licensing.ErrUnknownDeviceID
	}
	var row deviceRow
	err := s.db.Read(ctx).Table("devices").Where("license_id = ? AND id = ?", licenseID, deviceID).Take(&row).Error
	if errors.Is(err, db.ErrNotFound) {
		return licensing.Device{}, licensing.ErrUnknownDeviceID
	}
	if err != nil {
		return licensing.Device{}, db.Error(err)
	}
	found := []licensing.Device{row.device()}
	err = s.readFormerIDs(ctx, found)
	return found[0], db.Error(err)
}

// readFormerIDs adds to devices the hardware ids that they had before.
func (s *Store) readFormerIDs(ctx context.Context, devices []licensing.Device) error {
	byID, ids := map[string]*licensing.Device{}, []string{}
	for i := range devices {
		byID[devices[i].ID] = &devices[i]
		ids = append(ids, devices[i].ID)
	}
	var rows []aliasRow
	err := s.db.Read(ctx).Table(formerIDs).Where(db.In("device_id", ids)).
		Order("created_at DESC, hardware_id").Find(&rows).Error
	for _, row := range rows {
		d := byID[row.DeviceID]
		d.FormerIDs = append(d.FormerIDs, row.HardwareID)
	}
	return err
}

// Alias implements licensing.Lookup.
func (l *Lookup) Alias(ctx context.Context, licenseID, hardwareID string) (string, error) {
	var ids []string
	err := l.db.Read(ctx).Table("devices").Joins("JOIN "+formerIDs+" ON device_aliases.device_id = devices.id").
		Where("device_aliases.license_id = ? AND device_aliases.hardware_id = ?", licenseID, hardwareID).Limit(1).
		Pluck("devices.hardware_id", &ids).Error
	if err != nil || len(ids) == 0 {
		return "", translate(err)
	}
	return ids[0], nil
}
