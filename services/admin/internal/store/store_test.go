package store_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/admin/internal/store"
	"github.com/latchkey-dev/latchkey/services/admin/internal/store/storetest"
)

func TestStore(t *testing.T) {
	migrations := []db.Migrations{outbox.Migrations, store.Migrations}
	t.Run("sqlite", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Subject { return subject(testkit.SQLite(t, migrations...)) })
	})
	t.Run("postgres", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Subject {
			return subject(testkit.Open(t, db.Config{URL: testkit.Postgres(t), Schema: "admin"}, migrations...))
		})
	})
}

func subject(d *db.DB) storetest.Subject {
	o := outbox.New(d, "latchkey/admin")
	s := store.New(d, o)
	return storetest.Subject{Keys: s, Audit: s,
		Announced: func(ctx context.Context, about string) ([]event.Event, error) {
			events, _, err := o.List(ctx, about, time.Time{}, nil, 100, math.MaxInt)
			return events, err
		}}
}
