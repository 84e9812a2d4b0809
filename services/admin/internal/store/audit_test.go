package store_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/erasure"
	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
	"github.com/latchkey-dev/latchkey/services/admin/internal/store"
)

// wholeLog is a scan of all entries, or of all erasures, by itself or in the order of time.
var wholeLog = regexp.MustCompile(
	`(?m)Seq Scan on (audit_entries|erasures)|^SCAN (audit_entries|erasures)$|audit_entries_newest`)

// TestALongLogIsReadByIndexes: what few of many entries match is found without the others, and of many so many are
// counted as lists tell.
func TestALongLogIsReadByIndexes(t *testing.T) {
	testkit.EachEngine(t, []db.Migrations{store.Migrations}, func(t *testing.T, d *db.DB) {
		s := store.New(d, nil)
		fillLog(t, d, s)
		var plans []string
		explain := func(tx *gorm.DB) {
			if !tx.DryRun { // as a part of another query is
				plans = append(plans, testkit.Plan(t, d, tx.Statement.SQL.String(), tx.Statement.Vars))
			}
		}
		register := func(_ context.Context, tx *gorm.DB) error {
			return errors.Join(tx.Callback().Query().After("gorm:query").Register("explain", explain),
				tx.Callback().Row().After("gorm:row").Register("explain", explain))
		}
		// Transactions have a pool of their own on SQLite.
		if err := errors.Join(register(t.Context(), d.Read(t.Context())), d.Tx(t.Context(), register)); err != nil {
			t.Fatal(err)
		}
		found := func(action string, want int) func() error {
			return func() error {
				got, err := s.Search(t.Context(), audit.Filter{Action: action, Page: 1, PerPage: 50})
				if err == nil && (got.Total != want || len(got.Entries) != min(want, 50)) {
					err = fmt.Errorf("%d of %d, want %d", len(got.Entries), got.Total, want)
				}
				return err
			}
		}
		for name, do := range map[string]func() error{
			"few entries": found("customer.create", 10),
			"no entry":    found("api_key.revoke", 0),
			"an erasure": func() error {
				return s.Erase(t.Context(), audit.Erasure{Rule: erasure.New("ada", "erased-1", noon)})
			},
			"an entry": func() error { return s.Append(t.Context(), []audit.Entry{newEntry(noon, "user.create", "")}) },
		} {
			plans = nil
			if err := do(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if len(plans) == 0 {
				t.Errorf("%s: no query was explained", name)
			}
			for _, p := range plans {
				if wholeLog.MatchString(p) {
					t.Errorf("%s reads all:\n%s", name, p)
				}
			}
		}
		if err := found("license.create", audit.MaxTotal+1)(); err != nil {
			t.Error(err)
		}
	})
}

// fillLog writes many entries about licenses, ten of customers, and many erasures.
func fillLog(t *testing.T, d *db.DB, s *store.Store) {
	const portion = 2000
	var entries []audit.Entry
	for n := range 10 {
		entries = append(entries, newEntry(noon.Add(-time.Duration(n)*time.Hour), "customer.create", ""))
	}
	for n := range audit.MaxTotal + portion {
		at := noon.Add(-time.Duration(n) * time.Second)
		entries = append(entries, newEntry(at, "license.create", uuid.NewString()))
		if len(entries) < portion {
			continue
		}
		if err := s.Append(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
		entries = nil
	}
	err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
		for n := range portion {
			err := tx.Exec(`INSERT INTO erasures (license_id, previous, salt, customer_id, erased_at, had)
				VALUES ('', ?, '', '', ?, false)`, fmt.Sprint(n), noon.Add(-time.Duration(n+1)*time.Hour)).Error
			if err != nil {
				return err
			}
		}
		return tx.Exec("ANALYZE").Error
	})
	if err != nil {
		t.Fatal(err)
	}
}

func newEntry(at time.Time, action, license string) audit.Entry {
	return audit.Entry{ID: uuid.Must(uuid.NewV7()).String(), OccurredAt: at, Actor: &audit.Actor{}, Action: action,
		LicenseID: license, After: []byte(`{"customer_id":"ada"}`)}
}
