package trial

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// TestTrialsThatAreNotMadeDoNotCount: a network is not counted where the integration has made all of its trials.
func TestTrialsThatAreNotMadeDoNotCount(t *testing.T) {
	now := clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	trials, by := &Trials{Limiter: ratelimit.NewLocal(now)}, &licensing.Actor{Id: "integration"}
	admitted := func(network string) bool {
		_, err := trials.admit(t.Context(), by, network)
		return err == nil
	}
	for i := range perCaller {
		if !admitted(fmt.Sprint("network ", i/perNetwork)) {
			t.Fatalf("trial %d was refused", i)
		}
	}
	now.Advance(30 * time.Minute)
	for range perNetwork {
		if admitted("late") {
			t.Fatal("the integration makes more trials than it may")
		}
	}
	now.Advance(31 * time.Minute)
	if !admitted("late") {
		t.Error("a network that made none is refused")
	}
}
