package licensing

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// begin has the time of a license begin to run where nothing holds it up: its terms have a duration and no end yet, and
// no first activation is to come.
func (l *License) begin(now time.Time) {
	if l.StartsAt.After(now) {
		l.Announced = StatusNotStarted
	}
	if !l.hasDuration() || !l.ExpiresAt.IsZero() || l.FirstActivation && l.CurrentDevices == 0 {
		return
	}
	l.runFrom(clock.Later(l.StartsAt, now), now)
}

// runFrom has the time of a license begin to run.
func (l *License) runFrom(start, now time.Time) {
	l.setExpiry(l.endAfter(start), now)
	if l.DurationMonths > 0 {
		l.EndDay = dayOfMonth(start, l.Location())
	}
}

// Start has the time of a license begin to run with its first use: an activation, a lease or a file. It does nothing
// where the time runs already.
func (ch *Change) Start(now time.Time) {
	l := &ch.License
	if !l.AwaitsStart() {
		return
	}
	l.StartedAt = now
	l.runFrom(now, now)
	l.touch(now)
	ch.Emit(started(l, now, now))
}
