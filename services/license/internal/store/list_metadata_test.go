package store_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// TestListByMetadata: members are compared as texts, numbers as they are written, and what is nested is not searched.
func TestListByMetadata(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		ids := map[string]string{}
		for i, metadata := range []string{
			`{"order": "A-1001", "shop": "web", "it's \"odd\" ?": "100%"}`,
			`{"order": "1001", "shop": "web"}`,
			`{"order": 1001, "paid": true}`,
			`{"order": 1001.0, "paid": "true", "in": {"order": "A-1001"}}`,
			`{"order": 12345678901234567890, "list": ["web"]}`,
			`{"order": null, "huge": 1e400000, "shop": "web"}`,
			``,
			`{"\u0073hop": "\u0077eb", "path": "C:\\x", "line": "1\n2", "at": "a\/b",
				"caf\u00e9": "ol\u00e9", "n": 1.5e1}`,
		} {
			r.clock.Set(noon.Add(time.Duration(i) * time.Hour))
			made := create(t, r, licensing.NewLicense{CustomerID: "acme", Metadata: json.RawMessage(metadata)})
			ids[made.License.ID] = string('a' + rune(i))
		}
		for name, tt := range map[string]struct {
			wanted map[string]string
			want   string
		}{
			"a text":               {map[string]string{"order": "A-1001"}, "a"},
			"upper case":           {map[string]string{"order": "a-1001"}, ""},
			"a part":               {map[string]string{"order": "A-100"}, ""},
			"a text or a number":   {map[string]string{"order": "1001"}, "dcb"},
			"another way to write": {map[string]string{"order": "1001.0"}, ""},
			"true":                 {map[string]string{"paid": "true"}, "dc"},
			"a list":               {map[string]string{"list": "web"}, ""},
			"null":                 {map[string]string{"order": "null"}, ""},
			"all of them":          {map[string]string{"order": "1001", "shop": "web"}, "b"},
			"escaped":              {map[string]string{"shop": "web", "at": "a/b", "café": "olé"}, "h"},
			"to be escaped":        {map[string]string{"path": `C:\x`, "line": "1\n2"}, "h"},
			"another number":       {map[string]string{"n": "15"}, "h"},
			"signs in the name":    {map[string]string{`it's "odd" ?`: "100%"}, "a"},
		} {
			page, total, err := listed(r.store.List(t.Context(),
				licensing.Filter{Metadata: tt.wanted, Page: 1, PerPage: 50}, r.clock.Now()))
			got := ""
			for _, l := range page {
				got += ids[l.ID]
			}
			if err != nil || got != tt.want || total != len(tt.want) {
				t.Errorf("%s: %q of %d, want %q: %v", name, got, total, tt.want, err)
			}
		}
	})
}

// TestListByMetadataOfMany: a value that more licenses have than are looked up.
func TestListByMetadataOfMany(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		fill(t, r, d)
		sampled := false
		looks := func(tx *gorm.DB) { sampled = sampled || strings.Contains(tx.Statement.SQL.String(), "TABLESAMPLE") }
		_ = d.Read(t.Context()).Callback().Row().After("*").Register("looks", looks) // a name that is free never fails
		_ = d.Read(t.Context()).Callback().Query().After("*").Register("looks", looks)
		f := licensing.Filter{Metadata: map[string]string{"shop": "web"}, Page: 1, PerPage: 50}
		page, total, err := listed(r.store.List(t.Context(), f, noon))
		if want := min(many(d), licensing.MaxTotal+1); err != nil || len(page) != 50 || total != want {
			t.Errorf("%d of %d licenses, want 50 of %d: %v", len(page), total, want, err)
		}
		if postgres := d.Engine() == db.Postgres; sampled != postgres { // or the index would gather all of them
			t.Errorf("how many there are was sampled: %v, want %v", sampled, postgres)
		}
		ids, err := r.store.LicenseIDs(t.Context(), f, noon, 3000)
		if err != nil || len(ids) != min(many(d), 3000) || !slices.IsSorted(ids) {
			t.Errorf("%d ids: %v", len(ids), err)
		}
	})
}

// TestListByMetadataOfOldOnes: the index finds what only old licenses have; a page would go through all newer ones
// first.
func TestListByMetadataOfOldOnes(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		if d.Engine() != db.Postgres {
			return // SQLite has no index of metadata
		}
		fill(t, r, d)
		old := many(d) / 5
		err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec(`UPDATE licenses SET metadata = '{"source": "import"}',
				created_at = created_at - interval '1 year'
				WHERE id IN (SELECT id FROM licenses ORDER BY id LIMIT ?)`, old).Error
		})
		if err != nil {
			t.Fatal(err)
		}
		page, total, err := listed(r.store.List(t.Context(),
			licensing.Filter{Metadata: map[string]string{"source": "import"}, Page: 1, PerPage: 50}, noon))
		if err != nil || len(page) != 50 || total != min(old, licensing.MaxTotal+1) {
			t.Errorf("%d of %d licenses, want 50 of %d: %v", len(page), total, old, err)
		}
	})
}
