package appliance

import "time"

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

// Grace is how long an installation stays licensed after it last heard from its upstream that it is.
const Grace = 14 * 24 * time.Hour

// freshFor is how long what the upstream said counts as its answer of now: longer than two checks take.
const freshFor = 10 * time.Minute

// Licensed tells whether an installation of this status serves licenses.
func (s Status) Licensed() bool { return s == Valid || s == GracePeriod }

// Status is that of the installation at a time.
func (i *Installation) Status(now time.Time) Status {
	switch {
	case i.Cloud != nil:
		return i.Cloud.status(now)
	case i.File != nil:
		return i.File.status(i.MachineID, now)
	}
	return Unlicensed
}
