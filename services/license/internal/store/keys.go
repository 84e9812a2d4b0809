package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/services/license/internal/licenseimport"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// keyPurpose binds hashes and ciphertexts of license keys to what they are for.
const keyPurpose = "license-key"

// keyHashes are the hashes that a key may be found by, that under the current master key first.
func keyHashes(ring *keyring.Ring, normalized string) [][]byte {
	var sums [][]byte
	for _, mac := range ring.MACs(keyPurpose, []byte(normalized)) {
		sums = append(sums, mac.Sum[:])
	}
	return sums
}

// sealedKey is a license key as rows keep it.
type sealedKey struct {
	KeyHash   []byte
	KeySealed []byte
	MasterKey string
}

func sealKey(ring *keyring.Ring, licenseID, key string) (sealedKey, error) {
	sealed, err := ring.Seal(keyPurpose, []byte(key), []byte(licenseID))
	if err != nil {
		return sealedKey{}, fmt.Errorf("seal license key: %w", err)
	}
	mac := ring.MAC(keyPurpose, []byte(licensing.NormalizeKey(key)))
	return sealedKey{KeyHash: mac.Sum[:], KeySealed: sealed, MasterKey: mac.Key}, nil
}

// foundKey is what a key opens, or opened until it ended.
type foundKey struct {
	LicenseID string
	// ValidUntil is when a key that the license had before a rotation stops, or stopped; zero for others.
	ValidUntil time.Time
	// Enrollment is nil for a key of the license itself.
	Enrollment *licensing.EnrollmentKey
}

// ended reports whether the key is a former one that opens nothing any more.
func (f *foundKey) ended(now time.Time) bool {
	return !f.ValidUntil.IsZero() && !now.Before(f.ValidUntil)
}

// findKey finds what a normalized key opens: the license that has it, one that had it, even where it has ended, or one
// with such an enrollment key. Errors: db.ErrNotFound.
func findKey(read func() *gorm.DB, ring *keyring.Ring, key string) (foundKey, error) {
	enrollments := [][]byte{enrollmentHash(key)}
	var always time.Time // no former key has ended by then
	rows, err := lookUpKeys(read(), keyHashes(ring, key), enrollments, always)
	switch {
	case err != nil:
		return foundKey{}, err
	case len(rows) == 0:
		return foundKey{}, db.ErrNotFound
	case rows[0].Place == formerPlace:
		return foundKey{LicenseID: rows[0].LicenseID, ValidUntil: rows[0].At.UTC()}, nil
	case rows[0].Place != enrollmentPlace:
		return foundKey{LicenseID: rows[0].LicenseID}, nil
	}
	var enrollment enrollmentKeyRow
	err = read().Table("enrollment_keys").Omit("devices").Where("key_sha256 IN ?", enrollments).
		Take(&enrollment).Error
	e := enrollment.key()
	return foundKey{LicenseID: e.LicenseID, Enrollment: &e}, err
}

func (s *Store) findKey(ctx context.Context, key string) (foundKey, error) {
	return findKey(func() *gorm.DB { return s.db.Read(ctx) }, s.keys.Ring, licensing.NormalizeKey(key))
}

// ByKey implements licensing.Reads.
func (s *Store) ByKey(
	ctx context.Context, key string, now time.Time,
) (licenseID string, e *licensing.EnrollmentKey, err error) {
	found, err := s.findKey(ctx, key)
	if err == nil && found.ended(now) {
		return "", nil, licensing.ErrNotFound
	}
	return found.LicenseID, found.Enrollment, translate(err)
}

// ids is the license that the key opens now, or opened until it was replaced, or none.
func (f *foundKey) ids(now time.Time) []string {
	if f.LicenseID == "" || f.Enrollment != nil && !f.Enrollment.Live(now) {
		return nil
	}
	return []string{f.LicenseID}
}

// writeKeys carries out what a change does to the keys of its license.
func (s *Store) writeKeys(tx *gorm.DB, l *licensing.License, c *licensing.KeyChange) error {
	switch {
	case c == nil:
		return nil
	case c.Rotate != nil:
		return s.rotateKey(tx, l, c.Rotate)
	case c.Add != nil:
		return insertEnrollmentKey(tx, c.Add)
	}
	return s.deleteEnrollmentKey(tx, l.ID, c.Delete)
}

// keptFormerKeys is how many keys of a license stay known after their end: an import of a file that has one of them is
// about this license, and administrators find it by them.
const keptFormerKeys = 20

const (
	// A key that has ended may have been given to another license since.
	freeFormerKey = `DELETE FROM former_keys WHERE valid_until <= @now
		AND key_hash = (SELECT key_hash FROM licenses WHERE id = @license)`
	keepFormerKey = `INSERT INTO former_keys (id, license_id, key_hash, key_sealed, master_key, valid_until)
		SELECT @id, id, key_hash, key_sealed, master_key, @until FROM licenses WHERE id = @license`
	endFormerKeys = `UPDATE former_keys SET valid_until = @now
		WHERE license_id = @license AND valid_until > @now AND id NOT IN (
		SELECT id FROM former_keys WHERE license_id = @license AND valid_until > @now
		ORDER BY valid_until DESC, id DESC LIMIT @working)`
	dropFormerKeys = `DELETE FROM former_keys WHERE license_id = @license AND valid_until <= @now AND id NOT IN (
		SELECT id FROM former_keys WHERE license_id = @license AND valid_until <= @now
		ORDER BY valid_until DESC, id DESC LIMIT @kept)`
)

// rotateKey puts another key in place of that of a license.
func (s *Store) rotateKey(tx *gorm.DB, l *licensing.License, r *licensing.Rotation) error {
	now := s.clock.Now()
	values := map[string]any{
		"id": uuid.Must(uuid.NewV7()).String(), "license": l.ID, "now": now, "until": now, "working": 0,
		"kept": keptFormerKeys,
	}
	if !r.Until.IsZero() {
		values["until"], values["working"] = r.Until, licensing.MaxFormerKeys
	}
	for _, statement := range []string{freeFormerKey, keepFormerKey, endFormerKeys, dropFormerKeys} {
		if err := tx.Exec(statement, values).Error; err != nil {
			return err
		}
	}
	sealed, err := sealKey(s.keys.Ring, l.ID, r.Key)
	if err != nil {
		return err
	}
	return tx.Table("licenses").Where("id = ?", l.ID).Updates(map[string]any{
		"key_hash": sealed.KeyHash, "key_sealed": sealed.KeySealed, "master_key": sealed.MasterKey,
		"masked_key": l.MaskedKey,
	}).Error
}

// byKeys asks once for all that keys can be, because strangers try keys that nobody has. A key that is being rotated is
// found by one or the other. Of several licenses that had a key one after the other, the last comes first.
const byKeys = `SELECT 1 AS place, key_hash AS hash, id AS license_id, created_at AS at FROM licenses
		WHERE key_hash IN @hashes
	UNION ALL SELECT CASE WHEN valid_until > @now THEN 2 ELSE @ended END, key_hash, license_id, valid_until
		FROM former_keys WHERE key_hash IN @hashes
	UNION ALL SELECT @enrollment, key_sha256, license_id, created_at FROM enrollment_keys
		WHERE key_sha256 IN @enrollments
	ORDER BY place, at DESC`

// The places of byKeys that matter: that of a key which a license had and that works on (written out above, because
// PostgreSQL takes the type of the column from it), of an enrollment key, and of a key which was replaced and opens
// nothing any more.
const (
	formerPlace     = 2
	enrollmentPlace = 3
	endedPlace      = 4
)

// knownKey is the license that has a key, or had it.
type knownKey struct {
	// Place is where byKeys found it.
	Place     int
	LicenseID string
	Hash      []byte
	// At is when a former key stops, or stopped, and when another was made.
	At db.Time
}

func lookUpKeys(tx *gorm.DB, hashes, enrollments [][]byte, now time.Time) (rows []knownKey, err error) {
	err = tx.Raw(byKeys, map[string]any{
		"hashes": hashes, "enrollments": enrollments, "now": now,
		"enrollment": enrollmentPlace, "ended": endedPlace,
	}).Scan(&rows).Error
	return rows, err
}

// knownKeys finds what keys open, or opened, by their normalized form.
func (s *Store) knownKeys(tx *gorm.DB, keys []string) (map[string]knownKey, error) {
	known := map[string]knownKey{}
	if len(keys) == 0 {
		return known, nil
	}
	var hashes, enrollments [][]byte
	keyOf := map[string]string{}
	for _, key := range keys {
		key = licensing.NormalizeKey(key)
		enrollments = append(enrollments, enrollmentHash(key))
		keyOf[string(enrollmentHash(key))] = key
		for _, hash := range keyHashes(s.keys.Ring, key) {
			hashes = append(hashes, hash)
			keyOf[string(hash)] = key
		}
	}
	rows, err := lookUpKeys(tx.Session(&gorm.Session{NewDB: true}), hashes, enrollments, s.clock.Now())
	for _, row := range rows {
		if key := keyOf[string(row.Hash)]; known[key].Place == 0 {
			known[key] = row
		}
	}
	return known, err
}

// Known implements licenseimport.Store.
func (s *Store) Known(ctx context.Context, keys []string) (map[string]licenseimport.Known, error) {
	found, err := s.knownKeys(s.db.Read(ctx), keys)
	known := make(map[string]licenseimport.Known, len(found))
	for key, row := range found {
		known[key] = licenseimport.Known{LicenseID: row.LicenseID, Enrollment: row.Place == enrollmentPlace}
	}
	return known, translate(err)
}

// wasTaken reports whether an imported key still works for a license that had it, or is an enrollment key. It is asked
// after the insertion, which has waited for a rotation that was taking the key away.
func (s *Store) wasTaken(tx *gorm.DB, n *licensing.NewRow) (bool, error) {
	if !n.Imported {
		return false, nil
	}
	hashes := keyHashes(s.keys.Ring, licensing.NormalizeKey(n.Key))
	var count int64
	err := tx.Table("former_keys").Where("key_hash IN ? AND valid_until > ?", hashes, s.clock.Now()).
		Limit(1).Count(&count).Error
	if err != nil || count > 0 {
		return count > 0, err
	}
	enrollment := enrollmentHash(licensing.NormalizeKey(n.Key))
	err = tx.Table("enrollment_keys").Where("key_sha256 = ?", enrollment).Limit(1).Count(&count).Error
	return count > 0, err
}

// FormerKey implements licensing.Reads.
func (s *Store) FormerKey(ctx context.Context, key string) (licenseID string, until time.Time, err error) {
	found, err := s.findKey(ctx, key)
	if errors.Is(err, db.ErrNotFound) || err == nil && found.ValidUntil.IsZero() {
		return "", time.Time{}, nil
	}
	return found.LicenseID, found.ValidUntil, translate(err)
}

func enrollmentHash(normalized string) []byte {
	sum := sha256.Sum256([]byte(normalized))
	return sum[:]
}
