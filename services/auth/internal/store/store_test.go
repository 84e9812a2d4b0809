package store_test

import (
	"bytes"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/auth/internal/store"
	"github.com/latchkey-dev/latchkey/services/auth/internal/store/storetest"
)

func TestStore(t *testing.T) {
	ring, err := keyring.New("auth", bytes.Repeat([]byte{7}, keyring.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	migrations := []db.Migrations{store.Migrations, outbox.Migrations, masterkey.Migrations}
	open := func(t *testing.T, d *db.DB) (storetest.Store, func() int) {
		box := outbox.New(d, "test")
		return store.New(d, box, masterkey.New(d, ring)), func() int {
			n, err := box.Pending(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) (storetest.Store, func() int) {
			return open(t, testkit.SQLite(t, migrations...))
		})
	})
	t.Run("postgres", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) (storetest.Store, func() int) {
			return open(t, testkit.Open(t, db.Config{URL: testkit.Postgres(t), Schema: "auth"}, migrations...))
		})
	})
}
