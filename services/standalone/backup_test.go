package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// TestBackupAndRestore backs up a running suite, and goes on with the backup somewhere else.
func TestBackupAndRestore(t *testing.T) {
	d := installation{t, t.TempDir()}
	c, _, stop := start(t, anyPort(d.dir))
	if status := validate(t, c, "activate"); status != 201 {
		t.Fatalf("activate answers %d", status)
	}
	folder := filepath.Join(t.TempDir(), "backup")
	if out, code := d.command("backup", folder); code != 0 || !strings.Contains(out, "restore "+folder) {
		t.Fatalf("%d %s", code, out)
	}
	stop()
	for _, path := range append(glob(t, folder+"/*"), folder) {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	r := installation{t, filepath.Join(t.TempDir(), "restored")}
	if out, code := r.command("restore", folder); code != 0 || !strings.Contains(out, r.dir+" is as it was at 20") {
		t.Fatalf("%d %s", code, out)
	}
	restored, _, stop := start(t, anyPort(r.dir))
	defer stop()
	if status := validate(t, restored, "validate"); status != 200 {
		t.Errorf("validate answers %d", status)
	}
	c.AuthURL, c.LicenseURL, c.AnalyticsURL, c.AdminURL =
		restored.AuthURL, restored.LicenseURL, restored.AnalyticsURL, restored.AdminURL
	if diff := cmp.Diff(c, restored); diff != "" {
		t.Errorf("-backed up +restored:\n%s", diff)
	}
}

// TestBackupSaysWhichKeyItLacks: it has the master key of secrets.json, and not one of the settings.
func TestBackupSaysWhichKeyItLacks(t *testing.T) {
	t.Setenv("LATCHKEY_MASTER_KEY", newSecrets().MasterKey)
	d := installation{t, t.TempDir()}
	_, _, stop := start(t, anyPort(d.dir))
	stop()
	folder := filepath.Join(t.TempDir(), "backup")
	out, code := d.command("backup", folder)
	_, key, lacks := strings.Cut(out, "It lacks the master key ")
	if key, _, _ = strings.Cut(key, ","); code != 0 || !lacks || len(key) != 8 {
		t.Fatalf("%d %s", code, out)
	}
	r := installation{t, t.TempDir()}
	if out, code := r.command("restore", folder); code != 0 ||
		!strings.Contains(out, "with the master key "+key+" as LATCHKEY_MASTER_KEY") {
		t.Errorf("%d %s", code, out)
	}
}

// TestInterruptedRestore starts no suite, and is repeated.
func TestInterruptedRestore(t *testing.T) {
	d := installation{t, t.TempDir()}
	_, _, stop := start(t, anyPort(d.dir))
	stop()
	folder := filepath.Join(t.TempDir(), "backup")
	if out, code := d.command("backup", folder); code != 0 || strings.Contains(out, "lacks") {
		t.Fatalf("%d %s", code, out)
	}
	r := installation{t, t.TempDir()}
	for _, name := range []string{restoringFile, "auth.db"} {
		if err := os.WriteFile(filepath.Join(r.dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{nil, {"doctor"}, {"backup", filepath.Join(t.TempDir(), "b")}} {
		if out, code := r.command(args...); code != 2 ||
			!strings.Contains(out, "repeat latchkey --data-dir "+r.dir+" restore") {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
	log := filepath.Join(r.dir, "license.db-wal")
	if err := os.WriteFile(log, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := r.command("restore", folder); code != 2 || !strings.Contains(out, "is not empty") {
		t.Errorf("beside a log: %d %s", code, out)
	}
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	if out, code := r.command("restore", folder); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	_, _, stop = start(t, anyPort(r.dir))
	stop()
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found
}

// TestBackupRefuses what it cannot do, in a line, and leaves nothing behind.
func TestBackupRefuses(t *testing.T) {
	d := installation{t, t.TempDir()}
	_, _, stop := start(t, anyPort(d.dir))
	stop()
	good := filepath.Join(t.TempDir(), "backup")
	if err := os.Mkdir(good+".part", 0o700); err != nil {
		t.Fatal(err)
	}
	if out, code := d.command("backup", good); code != 0 {
		t.Fatal(out)
	}
	if _, err := os.Stat(good + ".part"); err != nil {
		t.Errorf("another's folder is gone: %v", err)
	}
	altered := func(alter func(folder string) error) string {
		folder := filepath.Join(t.TempDir(), "altered")
		if err := os.CopyFS(folder, os.DirFS(good)); err != nil {
			t.Fatal(err)
		}
		if err := alter(folder); err != nil {
			t.Fatal(err)
		}
		return folder
	}
	without := func(name string) func(string) error {
		return func(folder string) error { return os.Remove(filepath.Join(folder, name)) }
	}
	sums := func(text string) func(string) error {
		return func(folder string) error { return os.WriteFile(filepath.Join(folder, sumsFile), []byte(text), 0o600) }
	}
	// The directory of a suite whose data is in PostgreSQL.
	elsewhere := installation{t, t.TempDir()}
	if err := credentials.WriteJSON(filepath.Join(elsewhere.dir, secretsFile), newSecrets()); err != nil {
		t.Fatal(err)
	}
	empty := installation{t, t.TempDir()}
	logs := installation{t, t.TempDir()}
	if err := os.WriteFile(filepath.Join(logs.dir, "license.db-wal"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		d    installation
		args []string
		code int
		want string
	}{
		"no folder":       {d, []string{"backup"}, 2, "latchkey backup FOLDER"},
		"an existing one": {d, []string{"backup", good}, 2, "exists"},
		"nowhere":         {d, []string{"backup", filepath.Join(good, "a", "b")}, 2, "cannot be made"},
		"no data":         {empty, []string{"backup", filepath.Join(t.TempDir(), "b")}, 2, "has no data"},
		"data elsewhere":  {elsewhere, []string{"backup", filepath.Join(elsewhere.dir, "b")}, 1, "auth.db"},
		"over data":       {d, []string{"restore", good}, 2, "is not empty"},
		"beside a log":    {logs, []string{"restore", good}, 2, "is not empty (license.db-wal)"},
		"no backup":       {empty, []string{"restore", t.TempDir()}, 2, "is no backup"},
		"a damaged file": {empty, []string{"restore", altered(func(f string) error {
			return os.Truncate(f+"/auth.db", 4096)
		})}, 2, "auth.db is not what was backed up"},
		"a missing file":    {empty, []string{"restore", altered(without(secretsFile))}, 2, "secrets.json is not what"},
		"no sum of a file":  {empty, []string{"restore", altered(sums(""))}, 2, "it has no secrets.json"},
		"of scripts/backup": {empty, []string{"restore", altered(sums("0  latchkey.dump"))}, 2, "scripts/restore"},
		"a path":            {empty, []string{"restore", altered(sums("0  ../x.db"))}, 2, "is no backup"},
	} {
		if out, code := tt.d.command(tt.args...); code != tt.code || !strings.Contains(out, tt.want) ||
			strings.Count(strings.TrimSpace(out), "\n") > 2 {
			t.Errorf("%s: exit code %d, %s", name, code, out)
		}
	}
	if left, _ := filepath.Glob(elsewhere.dir + "/b*"); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	if left, _ := filepath.Glob(empty.dir + "/*.db*"); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	t.Setenv("LATCHKEY_DATABASE_URL", "postgres://me@db/latchkey")
	for command, want := range map[string]string{"backup": "scripts/backup", "restore": "scripts/restore"} {
		if out, code := d.command(command, "x"); code != 2 || !strings.Contains(out, want) {
			t.Errorf("%s beside PostgreSQL: %d %s", command, code, out)
		}
	}
}
