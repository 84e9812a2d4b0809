package store_test

import (
	"regexp"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/store"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/store/storetest"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
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

// whole finds, in a plan of SQLite, a table that is read whole, or for all licenses of the window.
var whole = regexp.MustCompile(`SCAN (l|d|licenses|devices|license_past_days|device_past_days)\b|\(day>`)

// TestReportOfACustomer reads the licenses of the customer, not all to find them. PostgreSQL plans for the values.
func TestReportOfACustomer(t *testing.T) {
	d := testkit.SQLite(t, store.Migrations, outbox.Migrations)
	var plans []string
	explain := func(tx *gorm.DB) {
		plans = append(plans, testkit.Plan(t, d, tx.Statement.SQL.String(), tx.Statement.Vars))
	}
	if err := d.Read(t.Context()).Callback().Row().After("gorm:row").Register("explain", explain); err != nil {
		t.Fatal(err)
	}
	s := store.New(d, nil)
	q := usage.ReportQuery{Window: usage.LastDays(noon, 30), CustomerID: "acme", Limit: 10}
	_, err := s.Report(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Page(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if len(plans) < 9 {
		t.Errorf("%d statements were explained", len(plans))
	}
	for _, p := range plans {
		if strings.Contains(p, "device_days") && strings.Contains(p, "TEMP B-TREE FOR ORDER BY") {
			t.Errorf("days of devices are sorted, and held for it:\n%s", p)
		}
		if whole.MatchString(p) {
			t.Errorf("it reads what other customers have:\n%s", p)
		}
	}
}
