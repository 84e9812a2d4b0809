package db_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// kept has a column of each kind that stores use.
type kept struct {
	ID      string
	Name    string
	Count   int64
	Flag    bool
	Sum     []byte
	At      time.Time
	Until   *time.Time
	Tags    []string `gorm:"serializer:json"`
	Number  int64    `gorm:"<-:false"`
	Comment *string
}

func TestUpsertAndIn(t *testing.T) {
	columns := map[db.Engine]string{
		db.Postgres: "id uuid PRIMARY KEY, name text, count bigint, flag boolean, sum bytea, at timestamptz, until " +
			"timestamptz, tags text, number bigint DEFAULT 7, comment text",
		db.SQLite: "id text PRIMARY KEY, name text, count integer, flag boolean, sum blob, at timestamp, until " +
			"timestamp, tags text, number integer DEFAULT 7, comment text",
	}
	eachConfig(t, func(t *testing.T, cfg db.Config) {
		d := testkit.Open(t, cfg)
		if err := d.Migrate(t.Context(), source("kept", "CREATE TABLE kept ("+columns[d.Engine()]+")")); err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 3, 1, 10, 0, 0, 123456000, time.UTC)
		rows := []kept{
			{ID: idA, Name: `<a & "b"> 名 \u0041`, Count: 1<<53 - 1, Flag: true, Sum: []byte{0, 255, '"'}, At: at,
				Until: &at, Tags: []string{"x, y", `"`}},
			{ID: idB, At: at, Sum: []byte{}, Comment: new("null")},
		}
		write := func(rows []kept) {
			t.Helper()
			err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
				return db.Upsert(tx, "kept", rows, "id")
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		write(nil)
		write(rows)
		rows[1].Name, rows[1].Comment, rows[1].Flag = "changed", nil, true
		write(rows[1:])
		for _, ids := range [][]string{{idA, idB}, {idB}, {}, nil} {
			var found []kept
			err := d.Read(t.Context()).Table("kept").Where(db.In("id", ids)).Order("id").Find(&found).Error
			if err != nil || len(found) != len(ids) {
				t.Fatalf("%d rows by %d ids: %v", len(found), len(ids), err)
			}
			for _, got := range found {
				want := rows[slices.Index([]string{idA, idB}, got.ID)]
				same := got.Name == want.Name && got.Count == want.Count && got.Flag == want.Flag &&
					got.At.Equal(want.At) &&
					string(got.Sum) == string(want.Sum) && slices.Equal(got.Tags, want.Tags) && got.Number == 7 &&
					(got.Until == nil) == (want.Until == nil) && (got.Comment == nil) == (want.Comment == nil)
				if !same {
					t.Errorf("%+v, want %+v", got, want)
				}
			}
		}
	})
}
