package db_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

func TestJSONIsADocumentInADocument(t *testing.T) {
	type box struct{ In db.JSON }
	for text, want := range map[string]string{
		`{"In":{"a":1}}`: `{"In":{"a":1}}`,
		`{}`:             `{"In":null}`,
		`{"In":null}`:    `{"In":null}`,
	} {
		var b box
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(b)
		if err != nil || string(got) != want {
			t.Errorf("%s became %s (%v), want %s", text, got, err, want)
		}
	}
}

func TestScanRefusesOtherTypes(t *testing.T) {
	if err := new(db.JSON).Scan(7); err == nil {
		t.Error("a number was read as JSON")
	}
	if err := new(db.Time).Scan(7); err == nil {
		t.Error("a number was read as a time")
	}
	var at db.Time
	if err := at.Scan("2026-03-04 12:00:00.5+00:00"); err != nil || !at.Equal(noon.Add(time.Second/2)) {
		t.Errorf("%v, %v", at, err)
	}
}
