package store_test

import (
	"errors"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// A key that works on beside its successor does so under another master key, too, and is moved to it.
func TestFormerKeysMoveToAnotherMasterKey(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		before, both, after := under{t, d, []byte{1}}, under{t, d, []byte{2, 1}}, under{t, d, []byte{2}}
		const former = "BROUGHT-ALONG-1"
		key := former
		licenses := &licensing.Licenses{Store: before.store(), Clock: clock.NewFake(noon)}
		made, err := licenses.Create(t.Context(), admin, licensing.NewLicense{CustomerID: "acme", Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		rotated, err := licenses.RotateKey(t.Context(), admin, made.License.ID, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []string{former, rotated.Key} {
			if err := both.find(k); err != nil {
				t.Errorf("%s before it is moved: %v", k, err)
			}
		}
		if err := both.rotate(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		if err := after.start(); err != nil {
			t.Errorf("a process with the new master key alone: %v", err)
		}
		for _, k := range []string{former, rotated.Key} {
			if err := after.find(k); err != nil {
				t.Errorf("%s under the new master key alone: %v", k, err)
			}
		}
	})
}

// TestAKeyIsLookedUpOnce: a key that nobody has costs one statement, as that of a license does.
func TestAKeyIsLookedUpOnce(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		statements := 0
		count := func(*gorm.DB) { statements++ }
		on := d.Read(t.Context()).Callback()
		_ = on.Query().After("*").Register("count", count) // names that are free never fail
		_ = on.Row().After("*").Register("count", count)
		s := (&under{t, d, []byte{1}}).store()
		licenses := &licensing.Licenses{Store: s, Clock: clock.NewFake(noon)}
		made, err := licenses.Create(t.Context(), admin, licensing.NewLicense{CustomerID: "acme"})
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]error{made.Key: nil, "LIC-000000000000": licensing.ErrNotFound} {
			statements = 0
			id, _, err := s.ByKey(t.Context(), key, noon)
			if !errors.Is(err, want) || (id != "") != (want == nil) || statements != 1 {
				t.Errorf("%s: %q, %v after %d statements, want one", key, id, err, statements)
			}
		}
	})
}
