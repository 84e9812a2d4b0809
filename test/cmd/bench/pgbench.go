//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

const (
	licenseExpr  = "('" + idPrefix + "' || lpad(to_hex(:license::bigint), 12, '0'))::uuid"
	hardwareExpr = "('hardware-' || :hardware)"
	eventExpr    = `'{"license_id": "00000000-0000-7000-8000-000000000001", ` +
		`"device_id": "00000000-0000-7000-8000-000000000001", ` +
		`"hardware_id": "0000000000000001", "device_name": "", "os": "", "app_version": "", "session_id": "", ` +
		`"ip": "127.0.0.1", "returning": false}'`
)

// oneStatement does the work of an activation in the fewest steps that it can have by itself: one statement, one
// commit. The service's own, takeSeats, costs more than this for one device and less for several, which pgbench has no
// way to bring together.
const oneStatement = `
WITH license AS (
	UPDATE licenses SET current_devices = current_devices + 1, version = version + 1, updated_at = now()
	WHERE id = ` + licenseExpr + ` AND is_active AND (expires_at IS NULL OR expires_at > now())
		AND current_devices < max_devices
		AND NOT EXISTS (SELECT 1 FROM devices WHERE license_id = licenses.id AND hardware_id = ` + hardwareExpr + `)
	RETURNING *
), device AS (
	INSERT INTO devices (id, license_id, hardware_id, name, os_name, os_version, app_version, is_active, activated_at,
	activated_version, last_seen_at)
	SELECT gen_random_uuid(), id, ` + hardwareExpr + `, '', '', '', '', true, now(), version, now() FROM license
), event AS (
	INSERT INTO outbox (id, type, source, subject, occurred_at, data)
	SELECT gen_random_uuid(), 'license.activated', 'latchkey/license',
	(` + licenseExpr + `)::text, now(), (` + eventExpr + `::jsonb || jsonb_build_object(
		'current_devices', current_devices, 'max_devices', max_devices, 'version', version))::json FROM license
	RETURNING seq
), unsent AS (
	INSERT INTO outbox_unsent SELECT seq FROM event
)
SELECT license.*, (SELECT name FROM products WHERE products.id = license.product_id) AS product FROM license`

// plainTransaction does the work of oneStatement in statements of its own, as services commonly do.
const plainTransaction = `BEGIN;
SELECT * FROM licenses WHERE id = ` + licenseExpr + ` FOR UPDATE;
INSERT INTO devices (id, license_id, hardware_id, name, os_name, os_version, app_version, is_active, activated_at,
activated_version, last_seen_at)
	VALUES (gen_random_uuid(), ` + licenseExpr + `, ` + hardwareExpr + `, '', '', '', '', true, now(), 2, now());
WITH event AS (
	INSERT INTO outbox (id, type, source, subject, occurred_at, data)
	VALUES (gen_random_uuid(), 'license.activated', 'latchkey/license',
	(` + licenseExpr + `)::text, now(), ` + eventExpr + `)
	RETURNING seq
) INSERT INTO outbox_unsent SELECT seq FROM event;
UPDATE licenses SET current_devices = current_devices + 1, version = version + 1, updated_at = now()
WHERE id = ` + licenseExpr + `;
COMMIT`

// pgbench runs SQL with as many clients as bench has connections.
type pgbench struct {
	bin, url, dir string
	span          time.Duration
}

var transactionsPerSecond = regexp.MustCompile(`tps = ([0-9.]+)`)

// run returns the transactions per second of a script on licenses drawn from 1 to count, with fresh devices.
func (p pgbench) run(ctx context.Context, count int64, statements string) (float64, error) {
	script := fmt.Sprintf("\\set license random(1, %d)\n\\set hardware random(1, 9000000000000000)\n%s;\n",
		count, statements)
	file := filepath.Join(p.dir, "activation.sql")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "pgbench"), "--no-vacuum", "--protocol=prepared",
		"--client="+strconv.Itoa(connections), "--jobs=2", "--time="+wholeSeconds(p.span), "--file="+file, p.url)
	cmd.Env = append(os.Environ(), "PGOPTIONS=-c search_path=license")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	found := transactionsPerSecond.FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("pgbench tells no rate:\n%s", out)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}
