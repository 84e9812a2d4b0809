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

// Licenses are numbered from 1: id, key and first device follow from the number, so that a million of them need no memory.

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
	"id", "key_hash", "key_sealed", "master_key", "masked_key", "customer_id", "product_id", "license_type", "max_devices", "current_devices",
	"max_offline_hours", "is_active", "is_test", "features", "metadata", "version", "grace_hours", "expires_at", "expiry_notice", "created_at",
	"updated_at", "deactivation_reason",
}

var deviceColumns = []string{
	"id", "license_id", "hardware_id", "name", "os_name", "os_version", "is_active", "activated_at", "last_seen_at",
}

// fill writes licenses 1 to count with an active device each into the schema license of a migrated database, as the service
// itself would write them.
func fill(ctx context.Context, url, masterKey string, count int64) error {
	raw, err := keyring.ParseKey(masterKey)
	if err != nil {
		return err
	}
	ring, err := keyring.New(keyService, raw)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	now, product := time.Now().UTC(), uuidOf(1, 2)
	if _, err := conn.Exec(ctx, `INSERT INTO license.products (id, name, created_at) VALUES ($1, 'bench', $2)`, product, now); err != nil {
		return err
	}
	licenses := func(n int64) ([]any, error) {
		key := licenseKey(n)
		id := uuidOf(n, 0)
		sealed, err := ring.Seal(keyPurpose, []byte(key), []byte(licenseID(n)))
		mac := ring.MAC(keyPurpose, []byte(key))
		return []any{
			id, mac.Sum[:], sealed, mac.Key, key[:8] + "********", "bench", product, "standard", maxDevices, 1,
			720, true, false, `["` + feature + `"]`, "{}", 1, 0, expiry, 0, now,
			now, "",
		}, err
	}
	devices := func(n int64) ([]any, error) {
		return []any{uuidOf(n, 1), uuidOf(n, 0), hardwareID(n), "", "", "", true, now, now}, nil
	}
	if err := copyRows(ctx, conn, "licenses", licenseColumns, count, licenses); err != nil {
		return err
	}
	if err := copyRows(ctx, conn, "devices", deviceColumns, count, devices); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "VACUUM ANALYZE license.licenses, license.devices")
	return err
}

func copyRows(ctx context.Context, conn *pgx.Conn, table string, columns []string, count int64, values func(n int64) ([]any, error)) error {
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
