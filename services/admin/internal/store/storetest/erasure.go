package storetest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/proto/erasure"
	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
)

// erases checks that nothing of a customer is left in the log, also of entries that arrive later, and that the entries
// stay.
func erases(t *testing.T, s Subject) {
	license, other := uuid.NewString(), uuid.NewString()
	about := func(minute int, licenseID, after string) audit.Entry {
		return entry(t, minute, func(e *audit.Entry) {
			e.LicenseID, e.Before, e.After = licenseID, nil, json.RawMessage(after)
		})
	}
	appendAll(t, s,
		about(0, license, `{"customer_id":"ada@example.com","metadata":{"who":"Ada"},`+
			`"max_devices":12345678901234567890}`),
		about(1, "", `{"customer_id":"ada@example.com","email":"ada@home.example","name":"Ada"}`),
		about(2, "", `{"customer_id":"bob","email":"bob@home.example","name":"Bob"}`),
		about(3, other, `{"customer_id":"ada@example.com","metadata":{"who":"Bob"}}`))
	rule := erasure.New("ada@example.com", "erased-1", start.Add(time.Hour))
	erasures := []audit.Erasure{{Rule: rule}, {Rule: rule, LicenseID: license},
		{Rule: rule, LicenseID: other, Had: true}}
	again := `{"customer_id":"ada@example.com","email":"another@home.example"}` // a customer made with the same id
	appendAll(t, s, about(80, "", again), about(81, other, again))
	for range 2 { // delivered twice
		for _, x := range erasures {
			if err := s.Audit.Erase(t.Context(), x); err != nil {
				t.Fatal(err)
			}
		}
	}
	appendAll(t, s,
		about(4, license, `{"customer_id":"ada@example.com","suspension_reason":"Ada asked"}`),
		about(5, "", `{"customer_id":"ada@example.com","email":"ada@home.example"}`),
		about(90, license, `{"suspension_reason":"after the erasure"}`),
		about(91, "", again), about(92, license, again))
	found, total := search(t, s, audit.Filter{})
	newer := found[:0:0]
	for len(found) > 0 && found[0].OccurredAt.After(rule.At.Add(erasure.Slack)) {
		newer, found = append(newer, found[0]), found[1:]
	}
	for _, e := range newer {
		if text := string(e.After); text != again && !strings.Contains(text, "after the erasure") {
			t.Errorf("what came long after the erasure became %s", text)
		}
	}
	text, err := json.Marshal(found)
	if err != nil || total != 11 || len(newer) != 5 {
		t.Fatal(total, len(newer), err)
	}
	for _, gone := range []string{"ada@example.com", "ada@home", `"Ada"}`, "Ada asked"} {
		if strings.Contains(string(text), gone) {
			t.Errorf("%s is left in %s", gone, text)
		}
	}
	for _, kept := range []string{"bob@home.example", `"who":"Bob"`, "12345678901234567890", "erased-1"} {
		if !strings.Contains(string(text), kept) {
			t.Errorf("%s is gone from %s", kept, text)
		}
	}
}
