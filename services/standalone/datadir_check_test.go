package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// copied is a copy of an installation with these files alone.
func (d installation) copied(names ...string) installation {
	d.Helper()
	to := installation{d.T, d.TempDir()}
	for _, name := range names {
		if err := copyFile(filepath.Join(d.dir, name), filepath.Join(to.dir, name)); err != nil {
			d.Fatal(err)
		}
	}
	return to
}

// TestALostDatabaseIsNotMadeAnew: a new one in its place would know none of the licenses, keys or entries that the
// suite has given out, and nobody would be told.
func TestALostDatabaseIsNotMadeAnew(t *testing.T) {
	whole := installation{t, t.TempDir()}
	_, _, stop := start(t, anyPort(whole.dir))
	stop()
	all := restored()
	for _, service := range app.Services() {
		name := service + ".db"
		for how, lose := range map[string]func(string) error{
			"gone":            os.Remove,
			"empty":           func(file string) error { return os.Truncate(file, 0) },
			"without a table": func(file string) error { return os.Truncate(file, onePage) },
		} {
			d := whole.copied(all...)
			if err := lose(filepath.Join(d.dir, name)); err != nil {
				t.Fatal(err)
			}
			before := changes(t, d.dir)
			for _, args := range [][]string{{"config", "check"}, {"doctor"}, {"rotate-signing-key"},
				{"backup", filepath.Join(t.TempDir(), "b")}, nil} {
				if out, code := d.command(args...); code != 2 || !strings.Contains(out, "lost what was in "+name) ||
					!strings.Contains(out, "restore FOLDER") {
					t.Fatalf("%s is %s: %v: %d %s", name, how, args, code, out) // a start that goes on has no end
				}
			}
			if after := changes(t, d.dir); !slices.Equal(before, after) {
				t.Errorf("%s is %s: the directory is changed from %v to %v", name, how, before, after)
			}
		}
	}
	if out, code := whole.copied(secretsFile, credentials.File).command(); code != 2 ||
		!strings.Contains(out, "set LATCHKEY_DATABASE_URL") {
		t.Errorf("all of them are gone: %d %s", code, out)
	}
}

// changes are the files of a directory with the times of their last changes.
func changes(t *testing.T, dir string) (files []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, entry.Name()+" "+info.ModTime().String())
	}
	return files
}

// TestAnInterruptedFirstStartGoesOn: what it had not made yet is made by the next.
func TestAnInterruptedFirstStartGoesOn(t *testing.T) {
	whole := installation{t, t.TempDir()}
	_, _, stop := start(t, anyPort(whole.dir))
	stop()
	// In the order in which they are made.
	made := []string{secretsFile, "license.db", "bus.db", "auth.db", "analytics.db", "admin.db"}
	for n := range len(made) + 1 {
		d := whole.copied(made[:n]...)
		if n > 1 && n < len(made) { // killed after it had made the file, before there was a table in it
			if err := os.WriteFile(filepath.Join(d.dir, made[n]), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, _, stop := start(t, anyPort(d.dir))
		stop()
		if c.LicenseKey == "" {
			t.Errorf("with %v no demo license is made", made[:n])
		}
	}
}

// TestCommandsLeaveNoDirectory: one that is named by mistake is not made.
func TestCommandsLeaveNoDirectory(t *testing.T) {
	parent := t.TempDir()
	d := installation{t, filepath.Join(parent, "a", "b")}
	for _, args := range [][]string{{"config", "check"}, {"config", "print"}, {"restore", parent}, {"smoke-test"},
		{"doctor"}} {
		out, _ := d.command(args...)
		if _, err := os.Lstat(filepath.Dir(d.dir)); err == nil {
			t.Fatalf("%v makes the directory: %s", args, out)
		}
	}
}
