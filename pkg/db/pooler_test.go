package db_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

func TestPooled(t *testing.T) {
	direct := testkit.Postgres(t)
	for what, tt := range map[string]struct {
		url  string
		want bool
	}{
		"directly":                         {direct, false},
		"by a pooler in transaction mode":  {testkit.TransactionPooler(t, direct), true},
		"a file, of which nothing is said": {"sqlite:" + t.TempDir() + "/x.db", false},
	} {
		d, err := db.Open(t.Context(), db.Config{URL: tt.url, Schema: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.Pooled(t.Context()); got != tt.want || err != nil {
			t.Errorf("%s: %v, %v", what, got, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
