package testkit_test

import (
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

var things = db.Migrations{Name: "things", FS: fstest.MapFS{
	"postgres/00001_things.sql": {Data: []byte("-- +goose Up\nCREATE TABLE things (id uuid PRIMARY KEY);\n")},
	"sqlite/00001_things.sql":   {Data: []byte("-- +goose Up\nCREATE TABLE things (id TEXT PRIMARY KEY);\n")},
}}

func TestEachEngineStartsEmpty(t *testing.T) {
	for range 2 {
		testkit.EachEngine(t, []db.Migrations{things}, func(t *testing.T, d *db.DB) {
			var n int
			err := d.Read(t.Context()).
				Raw("INSERT INTO things (id) VALUES ('018f4b1e-0000-7000-8000-000000000001') RETURNING 1").
				Scan(&n).Error
			if d.Engine() == db.Postgres && (err != nil || n != 1) {
				t.Fatalf("insert: %v", err)
			}
		})
	}
}

func TestAMQPGivesAURL(t *testing.T) {
	if testkit.AMQP(t) == "" {
		t.Fatal("no URL")
	}
}

func TestEventuallyWaits(t *testing.T) {
	tries := 0
	testkit.Eventually(t, time.Minute, func() error {
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if tries != 3 {
		t.Fatalf("%d tries", tries)
	}
}

func TestLogOutlivesTheTest(t *testing.T) {
	log := testkit.Log(t)
	t.Run("sub", func(t *testing.T) { log = testkit.Log(t) })
	log.Info("nobody hears this")
}
