package store_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/store"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/store/storetest"
)

func TestStore(t *testing.T) {
	migrations := []db.Migrations{store.Migrations, outbox.Migrations}
	open := func(d *db.DB) storetest.Store { return store.New(d, outbox.New(d, "latchkey/analytics")) }
	t.Run("sqlite", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Store { return open(testkit.SQLite(t, migrations...)) })
	})
	t.Run("postgres", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Store {
			return open(testkit.Open(t, db.Config{URL: testkit.Postgres(t), Schema: "analytics"}, migrations...))
		})
	})
}
