package licensing

import (
	"math"
	"time"
)

// Limits and defaults of the terms that an administrator may set.
const (
	// MaxDevicesLimit is the largest number of seats beside Unlimited.
	MaxDevicesLimit = 1_000_000
	// Unlimited is MaxDevices of a license whose seats nobody counts. It is a number so that statements compare with it
	// as with any other.
	Unlimited              = math.MaxInt32
	DefaultMaxOfflineHours = 720
	DefaultTimezone        = "UTC"
)

// The types of licenses: what the vendor calls them. Rules look at the terms.
const (
	TypePerpetual    = "perpetual"
	TypeTimeLimited  = "time-limited"
	TypeSubscription = "subscription"
	TypeConsumption  = "consumption"
)

// When the time of a license begins to run, as its terms say.
const (
	StartsAtCreation        = "creation"
	StartsAtFirstActivation = "first_activation"
)

// Terms are what was agreed on a license: one value in a license, in its creation, in a change of it and in its events.
// A new term gets a member here and, when an administrator may set it, in TermsChange; CONTRIBUTING.md has the other
// files.
type Terms struct {
	// Type is empty where the vendor named none; LicenseType says what it is then.
	Type string
	// IsTrial holds for a license that is to become a full one.
	IsTrial bool
	// OfflineActivation lets a machine that reaches no server be activated by a file.
	OfflineActivation bool
	// FirstActivation tells that the duration runs from the first activation, not from the creation.
	FirstActivation bool
	// MaxDevices is the number of seats, or Unlimited. Lowering it below the devices in use keeps them and admits no
	// more.
	MaxDevices int
	// MaxOfflineHours bounds the life of an offline token.
	MaxOfflineHours int
	// Features are the codes of the entitlements without their own end.
	Features []string
	// Entitlements are those with more than a code, nil for none; Counters likewise.
	Entitlements []Entitlement
	Counters     []CounterTerms
	// DurationDays or DurationMonths is how long the license runs, and what a renewal adds; at most one is not 0.
	DurationDays, DurationMonths int
	// Timezone is the IANA name of the zone in which months are counted and days end.
	Timezone string
	// StartsAt is when the license becomes usable; zero for one that is usable from its creation on.
	StartsAt time.Time
	// ExpiresAt is zero for a perpetual license, and for one that awaits its first activation.
	ExpiresAt time.Time
	// GraceHours is how long after ExpiresAt the license stays usable. As all terms it is copied from the policy when
	// the license is made (policy.go).
	GraceHours int
	// MaintenanceUntil is the end of the time in which a release must have come out to be covered; zero for no end.
	MaintenanceUntil time.Time
	// Devices is nil for a license without rules about devices.
	Devices *DeviceTerms
	// Floating is nil for a license without leases.
	Floating *FloatingTerms
}

// DefaultTerms are those of a license of which nothing else is said.
func DefaultTerms() Terms {
	return Terms{
		MaxDevices: 1, MaxOfflineHours: DefaultMaxOfflineHours, OfflineActivation: true, Timezone: DefaultTimezone,
	}
}

// LicenseType is what the vendor calls the license: where nobody said, its end says it.
func (t *Terms) LicenseType() string {
	switch {
	case t.Type != "":
		return t.Type
	case t.ExpiresAt.IsZero() && !t.hasDuration():
		return TypePerpetual
	}
	return TypeTimeLimited
}

// Starts is when the time of the license begins to run.
func (t *Terms) Starts() string {
	if t.FirstActivation {
		return StartsAtFirstActivation
	}
	return StartsAtCreation
}

func (t *Terms) hasDuration() bool { return t.DurationDays > 0 || t.DurationMonths > 0 }

// AwaitsStart tells that the time of the license begins to run with its first activation, which has not come.
func (t *Terms) AwaitsStart() bool {
	return t.FirstActivation && t.hasDuration() && t.ExpiresAt.IsZero()
}

// UsableUntil is the instant from which on the license cannot be used any more, zero for never: ExpiresAt and the grace
// after it.
func (t *Terms) UsableUntil() time.Time {
	if t.ExpiresAt.IsZero() {
		return time.Time{}
	}
	return t.ExpiresAt.Add(time.Duration(t.GraceHours) * time.Hour)
}

// Plain tells that the store may activate by its one fast statement, which checks only that the license is active and
// not suspended, has not passed ExpiresAt, and has a free seat. Other terms are judged by the checks, under the lock of
// the license.
func (t *Terms) Plain() bool {
	return t.StartsAt.IsZero() && t.GraceHours == 0 && t.MaintenanceUntil.IsZero() && !t.AwaitsStart() &&
		t.Devices == nil && !t.hasEndingEntitlement()
}

// endAfter is the end of a time that begins at start, as long as the duration.
func (t *Terms) endAfter(start time.Time) time.Time {
	if t.DurationMonths > 0 {
		return AddMonths(start, t.DurationMonths, t.Location())
	}
	return start.Add(time.Duration(t.DurationDays) * day)
}

// View is the terms by their public names, as the audit log and license files show them.
func (t *Terms) View() map[string]any {
	view := map[string]any{
		"license_type": t.LicenseType(), "is_trial": t.IsTrial, "max_devices": countValue(t.MaxDevices, Unlimited),
		"max_offline_hours": t.MaxOfflineHours, "offline_activation": t.OfflineActivation,
		"features": append([]string{}, t.Features...), "duration_days": countValue(t.DurationDays, 0),
		"duration_months": countValue(t.DurationMonths, 0), "starts": t.Starts(), "timezone": t.Timezone,
		"starts_at": timeValue(t.StartsAt), "expires_at": timeValue(t.ExpiresAt), "grace_hours": t.GraceHours,
		"maintenance_until": timeValue(t.MaintenanceUntil), "floating": t.floatingView(),
		"entitlements": entitlementsView(t.AllEntitlements()),
		"counters":     countersView(t.Counters),
	}
	t.viewDevices(view)
	return view
}

// countValue is n, or null where n stands for none.
func countValue(n, none int) any {
	if n == none {
		return nil
	}
	return n
}
