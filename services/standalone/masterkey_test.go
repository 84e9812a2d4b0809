package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/app"
)

// TestAnotherMasterKeyDoesNotStart: with a master key that did not seal its data the program ends at once, naming the
// setting, and changes nothing: with the right one it starts again.
func TestAnotherMasterKeyDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	before, _, stop := start(t, anyPort(dir))
	stop()
	t.Run("another key", func(t *testing.T) {
		t.Setenv("LATCHKEY_MASTER_KEY", newSecrets().MasterKey)
		err := run(t.Context(), anyPort(dir), io.Discard, io.Discard)
		var problem *app.SettingsError
		if !errors.As(err, &problem) || !strings.Contains(err.Error(), "\n  - LATCHKEY_MASTER_KEY") {
			t.Errorf("the start: %v", err)
		}
	})
	after, _, stop := start(t, anyPort(dir))
	defer stop()
	if after.AdminAPIKey != before.AdminAPIKey || after.LicenseKey != before.LicenseKey {
		t.Error("the start that failed changed credentials")
	}
	if status := validate(t, after, "activate"); status != 201 {
		t.Errorf("activate answers %d", status)
	}
}
