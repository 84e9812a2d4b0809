//go:build unix

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/pkg/keyring"
)

// Licenses are numbered from 1: id, key and first device follow from the number, so that a million of them need no
// memory.

// crockford are the 32 symbols of license keys.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

const (
	keyLen      = len("LIC-000000000000")
	hardwareLen = len("0000000000000000")
	idPrefix    = "00000000-0000-7000-8000-"
)

// putKey writes the license key of number n into the keyLen bytes of dst.
func putKey(dst []byte, n int64) {
	copy(dst, "LIC-")
	for i := keyLen - 1; i >= 4; i-- {
		dst[i] = crockford[n&31]
		n >>= 5
	}
}

// putHex writes n into all of dst, with zeros in front.
func putHex(dst []byte, n int64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = "0123456789abcdef"[n&15]
		n >>= 4
	}
}

func licenseID(n int64) string { return fmt.Sprintf("%s%012x", idPrefix, n) }

func hardwareID(n int64) string { return fmt.Sprintf("%016x", n) }

func licenseKey(n int64) string {
	var key [keyLen]byte
	putKey(key[:], n)
	return string(key[:])
}

// uuidText is an id in the notation of the API.
func uuidText(id [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// uuidOf is licenseID in binary; kind sets apart what has the same number.
func uuidOf(n int64, kind byte) (id [16]byte) {
	id[6], id[8] = 0x70, 0x80|kind
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], uint64(n))
	copy(id[10:], number[2:])
	return id
}

// expiry of every license; answers show it, as those of most customers do.
var expiry = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)

// maxDevices leaves room for every fresh activation of a run.
const maxDevices = 1_000_000

const feature = "pro"

// What the license service derives its hashes for; see services/license/internal/store.
const (
	keyService = "license"
	keyPurpose = "license-key"
)

var licenseColumns = []string{
	"id", "key_hash", "key_sealed", "master_key", "masked_key", "customer_id", "product_id", "license_type",
	"max_devices", "current_devices", "max_offline_hours", "is_active", "is_test", "features", "metadata", "version",
	"grace_hours", "expires_at", "usable_until", "plain_terms", "expiry_notice", "created_at",
	"updated_at", "deactivation_reason", "deactivated_version",
}

var deviceColumns = []string{
	"id", "license_id", "hardware_id", "name", "os_name", "os_version", "app_version", "is_active", "activated_at",
	"activated_version", "last_seen_at",
}

// rows are licenses with an active device each, as the service itself would write them.
type rows struct {
	ring    *keyring.Ring
	now     time.Time
	product [16]byte
}

func newRows(masterKey string) (*rows, error) {
	raw, err := keyring.ParseKey(masterKey)
	if err != nil {
		return nil, err
	}
	ring, err := keyring.New(keyService, raw)
	return &rows{ring: ring, now: time.Now().UTC(), product: uuidOf(1, 2)}, err
}

// license is the values of licenseColumns of license n.
func (r *rows) license(n int64) ([]any, error) {
	key := licenseKey(n)
	sealed, err := r.ring.Seal(keyPurpose, []byte(key), []byte(licenseID(n)))
	mac := r.ring.MAC(keyPurpose, []byte(key))
	return []any{
		uuidOf(n, 0), mac.Sum[:], sealed, mac.Key, key[:8] + "********", "bench", r.product, "standard", maxDevices, 1,
		720, true, false, `["` + feature + `"]`, "{}", 1, 0, expiry, expiry,
		true, 0, r.now,
		r.now, "", 0,
	}, err
}

// device is the values of deviceColumns of the device of license n.
func (r *rows) device(n int64) ([]any, error) {
	return []any{uuidOf(n, 1), uuidOf(n, 0), hardwareID(n), "", "", "", "", true, r.now, 1, r.now}, nil
}

// fill writes licenses 1 to count with their devices into the schema license of a migrated database.
func fill(ctx context.Context, url, masterKey string, count int64) error {
	rows, err := newRows(masterKey)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `INSERT INTO license.products (id, name, created_at) VALUES ($1, 'bench', $2)`,
		rows.product, rows.now); err != nil {
		return err
	}
	if err := copyRows(ctx, conn, "licenses", licenseColumns, count, rows.license); err != nil {
		return err
	}
	if err := copyRows(ctx, conn, "devices", deviceColumns, count, rows.device); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "VACUUM ANALYZE license.licenses, license.devices")
	return err
}

func copyRows(
	ctx context.Context, conn *pgx.Conn, table string, columns []string, count int64,
	values func(n int64) ([]any, error),
) error {
	n := int64(0)
	rows := pgx.CopyFromFunc(func() ([]any, error) {
		if n++; n > count {
			return nil, nil
		}
		return values(n)
	})
	_, err := conn.CopyFrom(ctx, pgx.Identifier{"license", table}, columns, rows)
	return err
}
