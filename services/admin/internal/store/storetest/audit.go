package storetest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
)

// entry is one line of the log, minute minutes after start.
func entry(t *testing.T, minute int, edit func(*audit.Entry)) audit.Entry {
	e := audit.Entry{
		ID:         newID(t),
		OccurredAt: start.Add(time.Duration(minute) * time.Minute),
		Actor:      &audit.Actor{Id: "a1", Name: "Ada", Role: "operator", Ip: "192.0.2.1", RequestId: "r1"},
		Action:     "license.update",
		Before:     json.RawMessage(`{"max_devices":3}`),
		After:      json.RawMessage(`{"max_devices":5}`),
	}
	if edit != nil {
		edit(&e)
	}
	return e
}

func appendAll(t *testing.T, s Subject, entries ...audit.Entry) {
	t.Helper()
	if err := s.Audit.Append(t.Context(), entries); err != nil {
		t.Fatalf("append: %v", err)
	}
}

func search(t *testing.T, s Subject, f audit.Filter) ([]audit.Entry, int) {
	t.Helper()
	if f.Page == 0 {
		f.Page, f.PerPage = 1, 50
	}
	found, err := s.Audit.Search(t.Context(), f)
	if err != nil {
		t.Fatalf("search: %v", err)
	}
	return found.Entries, found.Total
}

func duplicatesAreOne(t *testing.T, s Subject) {
	one, two := entry(t, 1, nil), entry(t, 2, nil)
	appendAll(t, s, one, one)
	appendAll(t, s, one, two)
	appendAll(t, s)
	if found, total := search(t, s, audit.Filter{}); total != 2 || len(found) != 2 {
		t.Errorf("%d entries, total %d; want 2", len(found), total)
	}
}

func entryRoundTrip(t *testing.T, s Subject) {
	full := entry(t, 2, func(e *audit.Entry) { e.LicenseID = newID(t) })
	bare := audit.Entry{ID: newID(t), OccurredAt: start, Actor: &audit.Actor{}, Action: "x.y"}
	appendAll(t, s, full, bare)
	found, _ := search(t, s, audit.Filter{})
	asValue := cmp.Transformer("JSON", func(raw json.RawMessage) (v any) {
		_ = json.Unmarshal(raw, &v) // nil stays nil
		return v
	})
	if diff := cmp.Diff([]audit.Entry{full, bare}, found, asValue, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func searchFilters(t *testing.T, s Subject) {
	license := newID(t)
	old := entry(t, 0, func(e *audit.Entry) { e.LicenseID = license })
	other := entry(t, 10, func(e *audit.Entry) { e.Actor.Id = "a2" })
	create := entry(t, 20, func(e *audit.Entry) { e.Action = "license.create" })
	appendAll(t, s, old, other, create)
	ten := start.Add(10 * time.Minute)
	for name, test := range map[string]struct {
		filter audit.Filter
		want   []audit.Entry
	}{
		"none":                {audit.Filter{}, []audit.Entry{create, other, old}},
		"license":             {audit.Filter{LicenseID: license}, []audit.Entry{old}},
		"actor":               {audit.Filter{ActorID: "a2"}, []audit.Entry{other}},
		"action":              {audit.Filter{Action: "license.create"}, []audit.Entry{create}},
		"after is inclusive":  {audit.Filter{After: &ten}, []audit.Entry{create, other}},
		"before is exclusive": {audit.Filter{Before: &ten}, []audit.Entry{old}},
		"combined":            {audit.Filter{Action: "license.update", After: &ten}, []audit.Entry{other}},
		"nothing matches":     {audit.Filter{ActorID: "nobody"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			found, total := search(t, s, test.filter)
			if diff := cmp.Diff(ids(test.want), ids(found)); diff != "" || total != len(test.want) {
				t.Errorf("total %d\n%s", total, diff)
			}
		})
	}
}

func pages(t *testing.T, s Subject) {
	var want []string
	for range 7 { // all at the same time, so that only the id orders them
		e := entry(t, 0, nil)
		appendAll(t, s, e)
		want = append([]string{e.ID}, want...)
	}
	var got []string
	for number := 1; number <= 4; number++ {
		found, total := search(t, s, audit.Filter{Page: number, PerPage: 3})
		if total != 7 {
			t.Errorf("page %d: total %d", number, total)
		}
		got = append(got, ids(found)...)
	}
	if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" {
		t.Error(diff)
	}
}

// readingOn reads the log by the ends of pages, while entries come.
func readingOn(t *testing.T, s Subject) {
	var want, got []string
	for n := range 7 {
		e := entry(t, n/3, nil)
		appendAll(t, s, e)
		want = append([]string{e.ID}, want...)
	}
	f := audit.Filter{Page: 1, PerPage: 3}
	for range 3 {
		found, err := s.Audit.Search(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids(found.Entries)...)
		if f.Behind = found.Next; f.Behind == nil {
			break
		}
		appendAll(t, s, entry(t, 60, nil))
	}
	if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" || f.Behind != nil {
		t.Errorf("next %v\n%s", f.Behind, diff)
	}
}

func ids(entries []audit.Entry) []string {
	out := []string{}
	for _, e := range entries {
		out = append(out, e.ID)
	}
	return out
}
