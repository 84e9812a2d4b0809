//go:build unix

package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// takeSeatFile holds the statement of an activation in the constant takeSeat.
const takeSeatFile = "services/license/internal/store/seat.go"

// takeSeatArguments are what the service gives takeSeat, in its order, as pgbench can make it. A number in place of JSON
// numbers stands after a blank, because pgbench takes :0 for a variable.
var takeSeatArguments = []string{
	"now()", licenseExpr, "now()", hardwareExpr,
	"gen_random_uuid()", hardwareExpr, "''", "''", "''", "now()", "now()",
	"gen_random_uuid()", "'license.activated'", "'latchkey/license'", "(" + licenseExpr + ")::text", "now()", eventExpr,
}

const (
	licenseExpr  = "('" + idPrefix + "' || lpad(to_hex(:license::bigint), 12, '0'))::uuid"
	hardwareExpr = "('hardware-' || :hardware)"
	eventExpr    = `'{"license_id": "00000000-0000-7000-8000-000000000001", "device_id": "00000000-0000-7000-8000-000000000001", ` +
		`"hardware_id": "0000000000000001", "device_name": "", "os": "", "app_version": "", "session_id": "", "ip": "127.0.0.1", "returning": false}'`
)

// plainTransaction does the work of takeSeat in statements of its own, as services commonly do.
const plainTransaction = `BEGIN;
SELECT * FROM licenses WHERE id = ` + licenseExpr + ` FOR UPDATE;
INSERT INTO devices (id, license_id, hardware_id, name, os_name, os_version, is_active, activated_at, last_seen_at)
	VALUES (gen_random_uuid(), ` + licenseExpr + `, ` + hardwareExpr + `, '', '', '', true, now(), now());
WITH event AS (
	INSERT INTO outbox (id, type, source, subject, occurred_at, data)
	VALUES (gen_random_uuid(), 'license.activated', 'latchkey/license', (` + licenseExpr + `)::text, now(), ` + eventExpr + `)
	RETURNING seq
) INSERT INTO outbox_unsent SELECT seq FROM event;
UPDATE licenses SET current_devices = current_devices + 1, version = version + 1, updated_at = now() WHERE id = ` + licenseExpr + `;
COMMIT`

// activationSQL is the statement of an activation as it stands in the service's source, with pgbench's variables in it.
func (b *bench) activationSQL() (string, error) {
	statement, err := constant(filepath.Join(filepath.Dir(b.bin), takeSeatFile), "takeSeat")
	if err != nil {
		return "", err
	}
	return fillIn(statement, takeSeatArguments)
}

// constant reads a string constant from a Go file.
func constant(file, name string) (value string, err error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	err = fmt.Errorf("%s has no constant %s", file, name)
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && spec.Names[0].Name == name && len(spec.Values) == 1 {
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
				value, err = strconv.Unquote(literal.Value)
			}
		}
		return err != nil
	})
	return value, err
}

// fillIn puts the arguments in the place of the question marks.
func fillIn(statement string, arguments []string) (string, error) {
	parts := strings.Split(statement, "?")
	if len(parts) != len(arguments)+1 {
		return "", fmt.Errorf("the statement of an activation has %d parameters and bench knows %d: bring takeSeatArguments into line", len(parts)-1, len(arguments))
	}
	filled := parts[0]
	for i, argument := range arguments {
		filled += argument + parts[i+1]
	}
	return filled, nil
}

// pgbench runs SQL with as many clients as bench has connections.
type pgbench struct {
	bin, url, dir string
	span          time.Duration
}

var transactionsPerSecond = regexp.MustCompile(`tps = ([0-9.]+)`)

// run returns the transactions per second of a script on licenses drawn from 1 to count, with fresh devices.
func (p pgbench) run(ctx context.Context, count int64, statements string) (float64, error) {
	script := fmt.Sprintf("\\set license random(1, %d)\n\\set hardware random(1, 9000000000000000)\n%s;\n", count, statements)
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
