//go:build unix

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/test/suite"
)

// TestBackupUnderLoad backs up while devices are activated, deletes everything, and restores: whatever was acknowledged
// before the backup is there, and counted once; tokens and license files from before the backup are good.
func TestBackupUnderLoad(t *testing.T) {
	each(t, func(w *harness) {
		backUp, restore := w.directoryBackup()
		if !w.embedded {
			backUp, restore = w.databaseBackup()
		}
		id, key := w.create(`{"customer_id":"backup","max_devices":1000000,"max_offline_hours":72}`)
		w.want(w.license("activate", device(key, "pc")), http.StatusCreated, "")
		access, _, offline := w.threeTokens(id, "pc")
		root := string(w.call(http.MethodGet, w.LicenseURL+"/api/v1/license/keys", "").raw)
		stop := w.activations(key, 3)
		w.until(id, 40)
		before, _ := w.devices(id)
		folder := filepath.Join(t.TempDir(), "backup")
		backUp(folder)
		w.until(id, before+40) // changes that will be lost
		acknowledged := int(stop()) + 1
		restore(folder)

		after, _ := w.devices(id)
		if after < before || after >= acknowledged {
			w.Errorf("%d devices before the backup, %d acknowledged in all, %d restored", before, acknowledged, after)
		}
		w.ledger(id, int64(after))
		w.want(w.call(http.MethodPost, w.AuthURL+"/api/v1/auth/verify", "", "Authorization", "Bearer "+access), 200, "")
		w.want(w.call(http.MethodPost, w.LicenseURL+"/api/v1/license/validate-offline",
			fmt.Sprintf(`{"token":%q}`, offline)), 200, "")
		if now := string(w.call(http.MethodGet, w.LicenseURL+"/api/v1/license/keys", "").raw); now != root {
			w.Errorf("license files were signed under %s and are verified with %s", root, now)
		}
		w.works()
	})
}

// databaseBackup backs up with scripts/backup, and restores with scripts/restore what was deleted.
func (w *harness) databaseBackup() (backUp, restore func(folder string)) {
	w.needsClients()
	return func(folder string) { w.script(0, "backup", folder) }, func(folder string) {
		if out := w.script(1, "restore", folder); !strings.Contains(out, "--replace") {
			w.Errorf("restored into a database with rows: %s", out)
		}
		if out := w.script(1, "restore", "--replace", folder); !strings.Contains(out, "stop all services first") {
			w.Errorf("restored below running services: %s", out)
		}
		w.stopAll()
		for _, service := range services {
			w.sql("DROP SCHEMA " + service + " CASCADE")
		}
		w.emptyQueues()
		w.script(0, "restore", folder)
		if out := w.script(0, "restore", "--replace", folder); strings.Contains(out, "NOTICE") {
			w.Errorf("what is left to do is lost among notices:\n%s", out)
		}
		w.startAll()
		since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
		for _, service := range services {
			w.ran(w.settings(service), service, "republish", "--since", since)
		}
	}
}

// directoryBackup backs up the data directory with latchkey backup, and restores it with latchkey restore.
func (w *harness) directoryBackup() (backUp, restore func(folder string)) {
	data := filepath.Join(w.Dir, "latchkey-data")
	settings := map[string]string{"PATH": os.Getenv("PATH"), "LATCHKEY_DATA_DIR": data}
	return func(folder string) { w.ran(settings, "latchkey", "backup", folder) }, func(folder string) {
		w.stopAll()
		if err := os.RemoveAll(data); err != nil {
			w.Fatal(err)
		}
		w.ran(settings, "latchkey", "restore", folder)
		w.startAll()
	}
}

func (w *harness) stopAll() {
	w.Helper()
	if err := w.StopProcesses(); err != nil {
		w.Fatal(err)
	}
}

// startAll starts all processes, or these, at the same time, because any order must do.
func (w *harness) startAll(these ...*suite.Process) {
	w.Helper()
	if these == nil {
		these = w.Processes
	}
	for _, p := range these {
		if err := p.Start(); err != nil {
			w.Fatal(err)
		}
	}
	for _, p := range these {
		if err := p.Await(context.WithoutCancel(w.Context())); err != nil { // of a cleanup, too
			w.Fatal(err)
		}
	}
}

// needsClients wants PostgreSQL's client programs, not older than the server, which may run in a container.
func (w *harness) needsClients() {
	w.Helper()
	server := w.countIn(`SELECT current_setting('server_version_num')::integer / 10000`)
	for _, program := range []string{"pg_dump", "pg_restore", "psql"} {
		out, _ := exec.CommandContext(w.Context(), program, "--version").Output()
		major, _ := strconv.Atoi(string(versionNumber.Find(out)))
		if major < server {
			testkit.NotCovered(w.T, "a backup needs %s of PostgreSQL %d or newer", program, server)
		}
	}
}

var versionNumber = regexp.MustCompile(`\d+`)

// emptyQueues deletes what waits in the broker.
func (w *harness) emptyQueues() {
	w.Helper()
	for _, q := range bus.AllQueues() {
		w.brokerAPI(http.MethodDelete, "/api/queues/%2F/"+url.PathEscape(q.Name)+"/contents", "")
	}
}

// script runs one of scripts on the suite's database, demands its exit code, and returns what it says.
func (w *harness) script(code int, name string, args ...string) string {
	w.Helper()
	u, err := url.Parse(w.Postgres.URL)
	if err != nil {
		w.Fatal(err)
	}
	password, _ := u.User.Password()
	cmd := exec.CommandContext(w.Context(), "../../scripts/"+name, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "PGHOST=" + u.Hostname(), "PGPORT=" + u.Port(), "PGUSER=" + u.User.Username(),
		"PGPASSWORD=" + password, "PGDATABASE=" + strings.TrimPrefix(u.Path, "/"), "PGSSLMODE=disable",
	}
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		w.Fatalf("scripts/%s %v: exit code %d, want %d\n%s", name, args, got, code, out)
	}
	return string(out)
}

// TestBackupRefuses bad arguments and damaged backups, in a sentence.
func TestBackupRefuses(t *testing.T) {
	w := start(t, processes)
	w.needsClients()
	taken := t.TempDir()
	damaged := filepath.Join(t.TempDir(), "damaged")
	w.script(0, "backup", damaged)
	if err := os.WriteFile(filepath.Join(damaged, "latchkey.dump"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		code int
		args []string
		want string
	}{
		{2, []string{"backup"}, "usage"},
		{2, []string{"backup", "--help"}, "usage"},
		{1, []string{"backup", taken}, "exists"},
		{2, []string{"restore"}, "usage"},
		{1, []string{"restore", taken}, "is no backup"},
		{1, []string{"restore", damaged}, "is damaged"},
	} {
		if out := w.script(tt.code, tt.args[0], tt.args[1:]...); !strings.Contains(out, tt.want) {
			t.Errorf("%v says %s", tt.args, out)
		}
	}
}
