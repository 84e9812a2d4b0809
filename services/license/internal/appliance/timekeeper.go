package appliance

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// timekeeper has time go on where the clock was set back: from the latest time that was seen.
type timekeeper struct {
	// kept is the latest time as the store has it, seen that of now, and clock what the clock said then.
	kept, seen, clock time.Time
}

// at is the latest time that was seen, when the store has kept one and the clock says now.
func (k *timekeeper) at(kept, now time.Time) time.Time {
	if !kept.Equal(k.kept) {
		k.kept, k.seen, k.clock = kept, kept, now
	}
	if passed := now.Sub(k.clock); passed > 0 {
		k.seen = k.seen.Add(passed)
	}
	k.clock, k.seen = now, clock.Later(k.seen, now)
	return k.seen
}
