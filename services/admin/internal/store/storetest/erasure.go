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
		about(90, license, `{"suspension_reason":"after the erasure"}`))
	found, total := search(t, s, audit.Filter{})
	text, err := json.Marshal(found)
	if err != nil || total != 7 {
		t.Fatal(total, err)
	}
	for _, gone := range []string{"ada@example.com", "ada@home", `"Ada"}`, "Ada asked"} {
		if strings.Contains(string(text), gone) {
			t.Errorf("%s is left in %s", gone, text)
		}
	}
	for _, kept := range []string{"bob@home.example", `"who":"Bob"`, "after the erasure", "12345678901234567890",
		"erased-1"} {
		if !strings.Contains(string(text), kept) {
			t.Errorf("%s is gone from %s", kept, text)
		}
	}
}
