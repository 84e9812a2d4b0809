package store

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/services/license/internal/appliance"
)

// TestWhatWasHeardSurvives: an installation finds all that it knew of its upstream again.
func TestWhatWasHeardSurvives(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 3, 18, hour, 0, 0, 0, time.UTC) }
	want := &appliance.Cloud{
		ConnectedAt: at(1),
		SeatedAt:    at(2),
		Unseated:    true,
		Left:        []string{"earlier"},
		HeardAt:     at(3),
		Refusal:     "LICENSE_EXPIRED",
		Failures:    4,
	}
	text, err := json.Marshal(newHeard(&appliance.Installation{Cloud: want}))
	if err != nil {
		t.Fatal(err)
	}
	var h heardColumn
	if err := json.Unmarshal(text, &h); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, (&sealedAccount{}).cloud(&h)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
