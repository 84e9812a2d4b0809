package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// buried puts a dead letter into the database of the bus of a stopped suite.
func (d installation) buried() {
	d.Helper()
	e, err := event.New("latchkey/license", "nobody", time.Now(), &eventsv1.LicenseActivated{})
	if err != nil {
		d.Fatal(err)
	}
	message, err := e.Encode()
	if err != nil {
		d.Fatal(err)
	}
	letters, err := db.Open(d.Context(), db.Config{URL: "sqlite:" + filepath.Join(d.dir, busSchema+".db")})
	if err != nil {
		d.Fatal(err)
	}
	err = letters.Tx(d.Context(), func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec(`INSERT INTO bus_dead_letters (id, queue, message, bytes, reason, attempts, died_at)
			VALUES ('letter-1', 'analytics.events', ?, ?, 'of a test', 1, ?)`,
			string(message), len(message), time.Now()).Error
	})
	if err != nil {
		d.Fatal(err)
	}
	if err := letters.Close(); err != nil {
		d.Fatal(err)
	}
}

// TestOperatingInMaintenance: what would wait for consumers that rest is refused, what only looks goes on.
func TestOperatingInMaintenance(t *testing.T) {
	d := installation{t, t.TempDir()}
	_, _, stop := start(t, anyPort(d.dir))
	stop()
	d.buried()
	t.Setenv("LATCHKEY_MAINTENANCE", "true")
	since := time.Now().Add(-time.Hour).Format(time.RFC3339)
	for _, tt := range []struct {
		code int
		want string
		args []string
	}{
		{0, "of a test", []string{"dead-letters", "list"}},
		{1, "LATCHKEY_MAINTENANCE", []string{"dead-letters", "replay"}},
		{1, "LATCHKEY_MAINTENANCE", []string{"republish", "--since", since}},
		{0, "maintenance", []string{"doctor"}},
	} {
		if out, code := d.command(tt.args...); code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("%v: exit code %d, want %d and %q: %s", tt.args, code, tt.code, tt.want, out)
		}
	}
}

// TestOperating looks after a suite as docs/operations.md has it.
func TestOperating(t *testing.T) {
	d := installation{t, t.TempDir()}
	_, _, stop := start(t, anyPort(d.dir))
	expect := func(code int, want string, args ...string) {
		t.Helper()
		if out, got := d.command(args...); got != code || !strings.Contains(out, want) {
			t.Errorf("%v: exit code %d, want %d and %q: %s", args, got, code, want, out)
		}
	}
	expect(0, "a license was made, activated and validated", "smoke-test")
	expect(0, "are fine", "config", "check")
	expect(0, "--data-dir", "config", "print")
	expect(1, "stop it", "dead-letters", "list")
	lastWeek := time.Now().AddDate(0, 0, -7).Format(time.DateOnly)
	expect(1, "stop it", "republish", "--since", lastWeek)
	expect(2, "--into-empty", "republish", "--since", "2020-01-31") // consumers may have forgotten what they counted
	expect(1, "stop it", "republish", "--into-empty", "--since", "2020-01-31")
	stop()

	d.buried()
	expect(0, "of a test", "dead-letters", "list")
	expect(0, "ID", "dead-letters", "list", "--queue", "admin.audit")
	expect(2, "dead-letters list", "dead-letters", "replay", "nope")
	expect(2, "dead-letters list", "dead-letters", "drop", "nope")
	expect(0, "1 back in the queue", "dead-letters", "replay", "letter-1")
	expect(0, "deleted", "dead-letters", "drop", "--all")
	expect(0, "admin:\n", "republish", "--since", time.Now().Add(-time.Hour).Format(time.RFC3339))
	expect(1, "refused", "smoke-test")
	for _, args := range [][]string{
		{"republish"}, {"republish", "--since", "yesterday"}, {"republish", "--untill", "2026-01-31"},
		{"dead-letters", "drop"}, {"dead-letters", "bury"}, {"dead-letters", "list", "--queue", "mine"},
		{"config"}, {"config", "chekc"}, {"--lease", "republish", "--since", lastWeek},
	} {
		if out, code := d.command(args...); code != 2 || strings.Count(strings.TrimSpace(out), "\n") > 2 {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
	}
}

// TestConfigNeedsNoData: it is asked before the first start, and shows what is wrong, too.
func TestConfigNeedsNoData(t *testing.T) {
	d := installation{t, filepath.Join(t.TempDir(), "none")}
	if out, code := d.command("config", "check"); code != 0 {
		t.Errorf("%d %s", code, out)
	}
	t.Setenv("LATCHKEY_LOG_LEVEL", "loud")
	if out, code := d.command("config", "check"); code != 2 || strings.Contains(out, "fine") {
		t.Errorf("%d %s", code, out)
	}
	if out, code := d.command("config", "print"); code != 2 || !strings.Contains(out, "auth_addr") ||
		!strings.Contains(out, "loud") {
		t.Errorf("%d %s", code, out)
	}
}
