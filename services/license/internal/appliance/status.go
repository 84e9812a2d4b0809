package appliance

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// Status is what the license of an installation is worth at a time.
type Status string

// The statuses.
const (
	Valid Status = "VALID"
	// GracePeriod is that of an installation whose upstream does not answer. It is licensed.
	GracePeriod Status = "GRACE_PERIOD"
	Expired     Status = "EXPIRED"
	// Invalid is that of a license that was taken away: suspended, deactivated, blocked, or of an issuer that is not
	// trusted any more.
	Invalid    Status = "INVALID"
	Unlicensed Status = "UNLICENSED"
)

// Statuses are all of them.
var Statuses = []Status{Valid, GracePeriod, Expired, Invalid, Unlicensed}

// Grace is how long an installation stays licensed after it last heard from its upstream that it is.
const Grace = 14 * 24 * time.Hour

// freshFor is how long what the upstream said counts as its answer of now: longer than two checks take.
const freshFor = 10 * time.Minute

// Licensed reports whether an installation of this status serves licenses.
func (s Status) Licensed() bool { return s == Valid || s == GracePeriod }

// slowClock is how far a clock may be set back without a word.
const slowClock = 5 * time.Minute

// Status is that of the installation at a time. Where the clock was set back, it is that of the latest time that was
// seen, and what the upstream said then is not its answer of now.
func (i *Installation) Status(now time.Time) Status {
	seen := clock.Later(now, i.SeenAt)
	switch {
	case i.Cloud != nil:
		return i.Cloud.status(seen, i.setBack(now))
	case i.File != nil:
		return i.File.status(i.MachineID, seen)
	}
	return Unlicensed
}

func (i *Installation) setBack(now time.Time) bool { return now.Add(slowClock).Before(i.SeenAt) }
