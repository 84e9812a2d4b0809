package audit

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const id = "0199d3c4-7a10-7c3e-9f65-0c1d4e5f6a7b"

var at = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// What admin records comes back as the entry it was.
func TestRecordBecomesEntry(t *testing.T) {
	who := &Actor{Id: "a1", Name: "Ada", Role: "owner", Ip: "192.0.2.1", RequestId: "r1"}
	r := Record{Actor: who, Action: "admin_key.create", At: at, After: map[string]any{"name": "Bob"}}
	got, err := NewEntry(id, at, r.Message())
	if err != nil {
		t.Fatal(err)
	}
	want := Entry{ID: id, OccurredAt: at, Actor: who, Action: r.Action, After: json.RawMessage(`{"name":"Bob"}`)}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestNewEntryRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		id      string
		message *eventsv1.AuditRecorded
	}{
		"id that is no UUID":         {"1", &eventsv1.AuditRecorded{Action: "x.y"}},
		"no action":                  {id, &eventsv1.AuditRecorded{LicenseId: id}},
		"before that is no object":   {id, &eventsv1.AuditRecorded{Action: "x.y", BeforeJson: "null"}},
		"after that is no JSON":      {id, &eventsv1.AuditRecorded{Action: "x.y", AfterJson: "{"}},
		"license_id that is no UUID": {id, &eventsv1.AuditRecorded{Action: "x.y", LicenseId: "1"}},
		"id in upper case":           {strings.ToUpper(id), &eventsv1.AuditRecorded{Action: "x.y"}},
		"NUL in the action":          {id, &eventsv1.AuditRecorded{Action: "x\x00y"}},
		"NUL in the actor":           {id, &eventsv1.AuditRecorded{Action: "x.y", Actor: &Actor{Id: "\x00"}}},
		"NUL in the name":            {id, &eventsv1.AuditRecorded{Action: "x.y", Actor: &Actor{Name: "A\x00"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := NewEntry(test.id, at, test.message); err == nil {
				t.Errorf("accepted as %+v", got)
			}
		})
	}
}

// What earlier versions wrote of a license is in our spelling here: on it depend the filter and an erasure.
func TestNewEntrySpellsItsLicense(t *testing.T) {
	for _, spelled := range []string{id, strings.ToUpper(id), "{" + id + "}", "urn:uuid:" + id,
		strings.ReplaceAll(id, "-", "")} {
		got, err := NewEntry(id, at, &eventsv1.AuditRecorded{Action: "x.y", LicenseId: spelled})
		if err != nil || got.LicenseID != id {
			t.Errorf("%q: %q, %v", spelled, got.LicenseID, err)
		}
	}
}

func FuzzNewEntry(f *testing.F) {
	f.Add([]byte(`{"action":"x.y","actor":{"id":"1"},"before_json":"{\"a\":[1,null]}","after_json":"{}"}`))
	f.Add([]byte(`{"action":"x.y","before_json":"{\"a\":1e400}"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m eventsv1.AuditRecorded
		if (event.Event{ID: id, Data: data}).Into(&m) != nil {
			return
		}
		e, err := NewEntry(id, at, &m)
		if err != nil {
			return
		}
		if e.Action == "" || e.LicenseID != "" && !uid.Is(e.LicenseID) {
			t.Errorf("%+v", e)
		}
		for _, members := range []json.RawMessage{e.Before, e.After} {
			if members != nil && json.Unmarshal(members, &map[string]json.RawMessage{}) != nil {
				t.Errorf("not an object: %s", members)
			}
		}
	})
}
