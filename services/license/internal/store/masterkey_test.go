package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// under is a process with these master keys, the current one first.
type under struct {
	t    *testing.T
	d    *db.DB
	keys []byte
}

func (u under) store() *store.Store {
	return store.New(store.Deps{
		DB: u.d, Outbox: outbox.New(u.d, licensing.Source), Keys: keys(u.t, u.d, u.keys...), Clock: clock.NewFake(noon),
		Committed: func(event.Event) {},
	})
}

func (u under) find(key string) error {
	lookup := store.NewLookup(u.d, keys(u.t, u.d, u.keys...), clock.NewFake(noon),
		store.CacheOptions{Bytes: 64 << 20, Link: bus.NewLink().From("license")})
	_, _, _, err := lookup.LicenseByKey(u.t.Context(), licensing.NormalizeKey(key))
	return err
}

// bring creates a license with a key that the vendor brings along.
func (u under) bring(key string) error {
	_, err := (&licensing.Licenses{Store: u.store(), Clock: clock.NewFake(noon)}).
		Create(u.t.Context(), admin, licensing.NewLicense{CustomerID: "acme", Key: &key})
	return err
}

func (u under) rotate(ctx context.Context, progress func()) error {
	_, err := keys(u.t, u.d, u.keys...).Rotate(ctx, func(string, int) { progress() })
	return err
}

func (u under) start() error { return keys(u.t, u.d, u.keys...).Start(u.t.Context()) }

// TestAProcessWithoutAMasterKeyCannotTell: what it does not find may be under the key that it lacks.
func TestAProcessWithoutAMasterKeyCannotTell(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		const known, nobodys = "BROUGHT-ALONG-1", "BROUGHT-ALONG-2"
		if err := (under{t, d, []byte{1}}).bring(known); err != nil {
			t.Fatal(err)
		}
		wrong := under{t, d, []byte{2}}
		for name, err := range map[string]error{
			"a license that exists":        wrong.find(known),
			"a key that nobody has":        wrong.find(nobodys),
			"importing a key that exists":  wrong.bring(known),
			"importing a key that is free": wrong.bring(nobodys),
		} {
			e := apierr.From(err)
			if err == nil || e.Kind != apierr.Unavailable || e.RetryAfter == 0 {
				t.Errorf("%s: %v, want 503 with Retry-After", name, err)
			}
		}
		var n int64
		if err := d.Read(t.Context()).Table("licenses").Count(&n).Error; err != nil || n != 1 {
			t.Errorf("%d licenses, %v", n, err)
		}
	})
}

// TestMasterKeyRollsReplicaByReplica walks the documented steps with two processes, one of them always a step behind.
func TestMasterKeyRollsReplicaByReplica(t *testing.T) {
	steps := [][]byte{{1}, {1, 2}, {2, 1}, {2}}
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		var made []string
		for i := range len(steps) - 1 {
			behind, ahead := under{t, d, steps[i]}, under{t, d, steps[i+1]}
			if err := ahead.start(); err != nil {
				t.Fatalf("a process with keys %v beside one with %v: %v", ahead.keys, behind.keys, err)
			}
			for _, p := range []under{behind, ahead} {
				key := fmt.Sprintf("BROUGHT-%d-%v", i, p.keys)
				if err := p.bring(key); err != nil {
					t.Fatalf("keys %v: %v", p.keys, err)
				}
				made = append(made, key)
			}
			for _, p := range []under{behind, ahead} {
				for _, key := range made {
					if err := p.find(key); err != nil {
						t.Errorf("keys %v beside %v and %v: %s: %v", p.keys, behind.keys, ahead.keys, key, err)
					}
				}
				if err := p.find("NOBODYS-KEY"); !errors.Is(err, licensing.ErrNotFound) {
					t.Errorf("a key that nobody has, under %v: %v", p.keys, err)
				}
			}
			if i == 1 { // both processes have the new key as the current one after this step
				if err := ahead.rotate(t.Context(), func() {}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := (under{t, d, []byte{1}}).start(); err == nil {
			t.Error("a process with the old key alone starts after the rotation")
		}
	})
}

// TestOneKeyBroughtTwiceWhileMasterKeysChange: the unique index sees the hashes of one master key only.
func TestOneKeyBroughtTwiceWhileMasterKeysChange(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		if err := (under{t, d, []byte{1, 2}}).start(); err != nil {
			t.Fatal(err)
		}
		var made atomic.Int64
		const keysBrought, times = 5, 6
		together(keysBrought*times, func(i int) {
			process := under{t, d, [][]byte{{1, 2}, {2, 1}}[i%2]}
			err := process.bring(fmt.Sprintf("BROUGHT-ALONG-%d", i/times))
			tolerate(t, err, licensing.ErrKeyExists)
			if err == nil {
				made.Add(1)
			}
		})
		if made.Load() != keysBrought {
			t.Errorf("%d licenses for %d keys", made.Load(), keysBrought)
		}
	})
}

func TestRotateMasterKeyIsResumed(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		old, both, fresh := under{t, d, []byte{1}}, under{t, d, []byte{2, 1}}, under{t, d, []byte{2}}
		const licenses = 450
		rows := make([]licensing.NewLicense, licenses)
		for i := range rows {
			key := fmt.Sprintf("BROUGHT-ALONG-%d", i)
			rows[i] = licensing.NewLicense{CustomerID: "acme", Key: &key}
		}
		made, refused, err := (&licensing.Licenses{Store: old.store(), Clock: clock.NewFake(noon)}).
			CreateMany(t.Context(), admin, rows)
		if err != nil || errors.Join(refused...) != nil {
			t.Fatal(err, errors.Join(refused...))
		}
		ctx, kill := context.WithCancel(t.Context())
		if err := both.rotate(ctx, kill); err == nil { // after the first batch
			t.Fatal("it went on")
		}
		if err := fresh.start(); err == nil {
			t.Error("a process without the old key starts although rows are under it")
		}
		for _, i := range []int{0, licenses / 2, licenses - 1} {
			if err := both.find(made[i].Key); err != nil {
				t.Errorf("in the middle: %v", err)
			}
		}
		if err := both.rotate(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		if err := fresh.start(); err != nil {
			t.Errorf("the new key alone: %v", err)
		}
		for _, i := range []int{0, licenses / 2, licenses - 1} {
			if err := fresh.find(made[i].Key); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			if key, err := fresh.store().Key(t.Context(), made[i].License.ID); err != nil || key != made[i].Key {
				t.Errorf("revealed %q, %v", key, err)
			}
		}
	})
}

// TestRotateMasterKeyPassesOverDoubles: rows that should not exist do not hold up the others, and are named.
func TestRotateMasterKeyPassesOverDoubles(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		const double, single = "BROUGHT-TWICE", "BROUGHT-ONCE"
		for _, p := range []under{{t, d, []byte{1}}, {t, d, []byte{2}}} {
			forgetMasterKeys(t, d)
			if err := p.bring(double); err != nil {
				t.Fatal(err)
			}
		}
		both := under{t, d, []byte{2, 1}}
		forgetMasterKeys(t, d)
		if err := (under{t, d, []byte{1}}).bring(single); err != nil {
			t.Fatal(err)
		}
		if err := both.rotate(t.Context(), func() {}); err == nil {
			t.Error("nobody hears of the double")
		}
		if err := (under{t, d, []byte{2, 3}}).find(single); err != nil {
			t.Errorf("the other license was not moved: %v", err)
		}
	})
}

// forgetMasterKeys leaves the database as one that was restored without the register.
func forgetMasterKeys(t *testing.T, d *db.DB) {
	t.Helper()
	err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec("DELETE FROM master_keys").Error
	})
	if err != nil {
		t.Fatal(err)
	}
}
