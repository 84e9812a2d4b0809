package store_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// many is how many licenses fill makes. SQLite chooses its indexes whatever the number.
func many(d *db.DB) int {
	if d.Engine() == db.SQLite {
		return 2000
	}
	return 100_000
}

// fill makes many licenses with a device each, for a thousand customers; one in a thousand is inactive, and as many are
// expired.
func fill(t *testing.T, r *replica, d *db.DB) (known string) {
	t.Helper()
	known = create(t, r, seats(1)).Key
	const series = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) `
	id, hash := `'00000000-0000-4000-8000-' || printf('%012x', i)`, `CAST(printf('%032d', i) AS blob)`
	created := `strftime('%Y-%m-%d %H:%M:%f+00:00', ` + `?, '-' || i || ' seconds')`
	if d.Engine() == db.Postgres {
		created = `?::timestamptz - i * interval '1 second'`
		id, hash = `('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid`, `decode(md5(i::text), 'hex')`
	}
	end := `CASE WHEN i % 1000 = 2 THEN ` + cast(d, "?") + ` ELSE ` + cast(d, "?") + ` END`
	licenses := `INSERT INTO licenses (id, key_hash, key_sealed, master_key, masked_key, customer_id, product_id,
		license_type, max_devices,
		current_devices, max_offline_hours, is_active, is_test, features, metadata, version, grace_hours, plain_terms,
		expires_at, usable_until,
		expiry_notice, created_at, updated_at, deactivation_reason,
		deactivated_version) ` + series + `SELECT ` + id + `, ` + hash + `, ` + hash + `, 'm', 'LIC-',
		'customer-' || (i % 1000),
		(SELECT id FROM products LIMIT 1), 'standard', 5, 1, 24, i % 1000 <> 1, i % 10 = 0, '[]',
		'{"order": "A-' || i || '", "shop": "web"}', 1, 0, true,
		` + end + `, ` + end + `, 0, ` + created + `, ` + cast(d, "?") + `, '', 0 FROM n`
	devices := `INSERT INTO devices (id, license_id, hardware_id, name, os_name, os_version, app_version, is_active,
		activated_at, activated_version) ` +
		series + `SELECT ` + id + `, ` + id + `, 'hw-' || i, '', '', '', '', true, ` + cast(d, "?") + `, 1 FROM n`
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := d.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		past, ahead := noon.AddDate(0, 0, -1), noon.AddDate(1, 0, 0)
		if err := tx.Exec(licenses, many(d), past, ahead, past, ahead, noon, noon).Error; err != nil {
			return err
		}
		if err := tx.Exec(devices, many(d), noon).Error; err != nil {
			return err
		}
		if d.Engine() == db.Postgres { // it does so by itself in time; SQLite never does here
			return tx.Exec("ANALYZE").Error
		}
		return nil
	})
	if err == nil {
		err = d.Optimize(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	return known
}

func cast(d *db.DB, value string) string {
	if d.Engine() == db.Postgres {
		return value + "::timestamptz"
	}
	return value
}

// explain adds the plans of all queries that follow.
func explain(t *testing.T, d *db.DB, plans *[]string) {
	t.Helper()
	add := func(tx *gorm.DB) {
		if !tx.DryRun { // as a part of another query is
			*plans = append(*plans, testkit.Plan(t, d, tx.Statement.SQL.String(), tx.Statement.Vars))
		}
	}
	if err := d.Read(t.Context()).Callback().Query().After("gorm:query").Register("explain", add); err != nil {
		t.Fatal(err)
	}
}

// TestListSortsFewLicenses: a page of a filter that most licenses pass does not sort them all.
func TestListSortsFewLicenses(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		fill(t, r, d)
		var plans []string
		explain(t, d, &plans)
		customers, product, active := "customer", "default", true
		for name, f := range map[string]licensing.Filter{
			"status active": {Status: licensing.StatusActive}, "search all": {Search: &customers}, "all": {},
			"active": {IsActive: &active}, "product": {Product: &product},
		} {
			plans = nil
			f.Page, f.PerPage = 1, 50
			page, _, err := listed(r.store.List(t.Context(), f, noon))
			if err != nil || len(page) != 50 || len(plans) < 2 {
				t.Errorf("%s: %d licenses by %d queries (%v)", name, len(page), len(plans), err)
			}
			for _, p := range plans {
				if strings.Contains(p, "TEMP B-TREE FOR ORDER BY") || strings.Contains(p, "Sort Key") {
					t.Errorf("%s sorts:\n%s", name, p)
				}
			}
		}
	})
}

// TestListReadsIndexes: a filter that few of many licenses pass does not read them all.
func TestListReadsIndexes(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		known := fill(t, r, d)
		hw1999 := 1 // and those of which it is the beginning
		if many(d) > 19_999 {
			hw1999 += 10
		}
		each, text := many(d)/1000, func(s string) *string { return &s }
		var plans []string
		explain(t, d, &plans)
		type row struct {
			filter licensing.Filter
			want   int
		}
		rows := map[string]row{
			"license_key":     {licensing.Filter{Key: &known}, 1},
			"hardware_id":     {licensing.Filter{HardwareID: text("hw-77")}, 1},
			"customer_id":     {licensing.Filter{CustomerID: text("customer-7")}, each},
			"status inactive": {licensing.Filter{Status: licensing.StatusInactive}, each},
			"status expired":  {licensing.Filter{Status: licensing.StatusExpired}, each},
			"product":         {licensing.Filter{Product: text("nothing")}, 0},
			"policy":          {licensing.Filter{Policy: text("nothing")}, 0},
			"license_type":    {licensing.Filter{LicenseType: "subscription"}, 0},
			"search device":   {licensing.Filter{Search: text("hw-1999")}, hw1999},
			"search nothing":  {licensing.Filter{Search: text("zzz")}, 0},
			"no license_key":  {licensing.Filter{Key: text("LIC-000000000000")}, 0},
			"metadata of a customer": {licensing.Filter{CustomerID: text("customer-7"),
				Metadata: map[string]string{"shop": "web"}}, each},
		}
		if d.Engine() == db.Postgres { // SQLite has no index of metadata
			rows["metadata"] = row{licensing.Filter{Metadata: map[string]string{"order": "A-77", "shop": "web"}}, 1}
			rows["no metadata"] = row{licensing.Filter{Metadata: map[string]string{"order": "A-x"}}, 0}
		}
		for name, tt := range rows {
			plans = nil
			tt.filter.Page, tt.filter.PerPage = 1, 50
			page, total, err := listed(r.store.List(t.Context(), tt.filter, noon))
			if err != nil || total != tt.want || len(page) != min(tt.want, 50) {
				t.Errorf("%s: %d of %d licenses, want %d (%v)", name, len(page), total, tt.want, err)
			}
			if len(plans) < 2 {
				t.Errorf("%s: %d queries were explained, want the page and the total", name, len(plans))
			}
			for _, p := range plans {
				if whole.MatchString(p) {
					t.Errorf("%s reads the whole table:\n%s", name, p)
				}
			}
		}
	})
}

// whole is a scan of all licenses or devices, by itself or in the order of an index.
var whole = regexp.MustCompile(`(?m)Seq Scan on (licenses|devices)|^SCAN (licenses|devices)|licenses_created_at`)

func listed(p licensing.Page[licensing.License], err error) ([]licensing.License, int, error) {
	return p.Items, p.Total, err
}
