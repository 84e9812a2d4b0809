package licensing

import (
	"fmt"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/proto/claims"
)

const (
	maxFeature        = 64
	maxExpiryDays     = 36_500
	maxDurationMonths = 1_200
	maxGraceHours     = 87_600
	// firstYear is the earliest year in which a license may end: zero dates of languages and databases lie before it.
	firstYear = 2000
	// lastYear leaves room for durations and grace before the year 9999, where times end.
	lastYear   = 9000
	onlyOneEnd = "send expires_at or expires_in_days, not both"
	onlyOneDur = "send duration_days or duration_months, not both"
)

// Optional is a member of a change that null takes away. The zero value leaves it as it is.
type Optional[T any] struct {
	// Present tells that the change speaks of the member.
	Present bool
	// Null takes the member away.
	Null  bool
	Value T
}

// Some sets a member.
func Some[T any](value T) Optional[T] { return Optional[T]{Present: true, Value: value} }

// Null takes a member away.
func Null[T any]() Optional[T] { return Optional[T]{Present: true, Null: true} }

// End is when something ends.
type End struct {
	At time.Time
	// Day tells that At is the last second, in UTC, of a day that was named without a time: the day ends when it does
	// in the time zone of the license.
	Day bool
}

// lastEnd is the last second that JSON and databases can tell of: the last day of the year 9999 ends after it west of
// Greenwich.
var lastEnd = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// In is the instant of the end in a time zone.
func (e End) In(zone *time.Location) time.Time {
	if !e.Day {
		return e.At
	}
	year, month, dayOfMonth := e.At.UTC().Date()
	return clock.Earlier(time.Date(year, month, dayOfMonth, 23, 59, 59, 0, zone).UTC(), lastEnd)
}

// TermsChange is some of the terms; what is absent stays as it is. A new license changes the terms of its policy, or
// the default ones.
type TermsChange struct {
	// Type null is the type that the end says.
	Type              Optional[string]
	IsTrial           *bool
	OfflineActivation *bool
	// MaxDevices null is Unlimited.
	MaxDevices      Optional[int]
	MaxOfflineHours *int
	// Features names entitlements by their codes alone, see Terms.applyEntitlements.
	Features     *[]string
	Entitlements *[]Entitlement
	Counters     *[]CounterTerms
	// At most one of DurationDays and DurationMonths has a value; it takes the place of either.
	DurationDays, DurationMonths Optional[int]
	// Starts is StartsAtCreation or StartsAtFirstActivation.
	Starts   *string
	Timezone *string
	// StartsAt null is usable at once.
	StartsAt Optional[time.Time]
	// ExpiresAt null is perpetual, which takes the duration away as well. Not together with ExpiresInDays (from now).
	ExpiresAt        Optional[End]
	ExpiresInDays    *int
	GraceHours       *int
	MaintenanceUntil Optional[End]
	Devices          DeviceChange
	// Floating null is none.
	Floating Optional[FloatingTerms]
	// ShortLeases admits leases too short for production.
	ShortLeases bool
}

// apply changes the terms, except the end, which has its own notice: see License.applyTerms.
func (t *Terms) apply(c *TermsChange) {
	setOr(&t.Type, c.Type, "")
	set(&t.IsTrial, c.IsTrial)
	set(&t.OfflineActivation, c.OfflineActivation)
	setOr(&t.MaxDevices, c.MaxDevices, Unlimited)
	set(&t.MaxOfflineHours, c.MaxOfflineHours)
	set(&t.Timezone, c.Timezone) // before the ends that it decides about
	t.applyEntitlements(c)
	if c.Counters != nil {
		t.Counters = append([]CounterTerms(nil), *c.Counters...) // nil where there are none
	}
	t.applyDuration(c)
	setOr(&t.StartsAt, c.StartsAt, time.Time{})
	set(&t.GraceHours, c.GraceHours)
	t.applyDevices(&c.Devices)
	t.applyFloating(c)
	if c.MaintenanceUntil.Present {
		t.MaintenanceUntil = c.MaintenanceUntil.Value.orNever(c.MaintenanceUntil.Null, t)
	}
}

// applyDuration has a duration replace the other kind, and no end mean no duration, except one that comes with it.
func (t *Terms) applyDuration(c *TermsChange) {
	if c.givesDuration() || c.ExpiresAt.Null {
		t.DurationDays, t.DurationMonths = 0, 0
	}
	setOr(&t.DurationDays, c.DurationDays, 0)
	setOr(&t.DurationMonths, c.DurationMonths, 0)
	if c.Starts != nil {
		t.FirstActivation = *c.Starts == StartsAtFirstActivation
	}
}

func (c *TermsChange) givesDuration() bool {
	return c.DurationDays.given() || c.DurationMonths.given()
}

// orNever is the end in the time zone of the terms, zero for never.
func (e End) orNever(never bool, t *Terms) time.Time {
	if never {
		return time.Time{}
	}
	return e.In(t.Location())
}

func (o Optional[T]) given() bool { return o.Present && !o.Null }

func set[T any](member *T, value *T) {
	if value != nil {
		*member = *value
	}
}

// setOr sets a member to a value, or to what it is without one.
func setOr[T any](member *T, o Optional[T], without T) {
	switch {
	case o.Null:
		*member = without
	case o.Present:
		*member = o.Value
	}
}

// problems notes what is wrong with the members of c that are given, by their public names.
func (c *TermsChange) problems(p map[string]string) {
	t := DefaultTerms()
	t.apply(c)
	if t.MaxDevices != Unlimited {
		devicesInRange(p, t.MaxDevices)
	} else if c.MaxDevices.given() {
		p["max_devices"] = fmt.Sprintf("must be from 1 to %d, or null for any number", MaxDevicesLimit)
	}
	inRange(p, "max_offline_hours", t.MaxOfflineHours, 1, claims.MaxOfflineHours)
	inRange(p, "grace_hours", t.GraceHours, 0, maxGraceHours)
	oneOf(p, "license_type", t.Type, "", TypePerpetual, TypeTimeLimited, TypeSubscription, TypeConsumption)
	if _, ok := zoneOf(t.Timezone); !ok {
		p["timezone"] = "must be the name of a time zone, as Europe/Berlin or UTC"
	}
	c.entitlementProblems(p)
	c.counterProblems(p)
	c.durationProblems(p)
	c.timeProblems(p)
	c.deviceProblems(p)
	c.floatingProblems(p)
}

// durationProblems notes what is wrong with the duration that is given.
func (c *TermsChange) durationProblems(p map[string]string) {
	if c.DurationDays.given() {
		inRange(p, "duration_days", c.DurationDays.Value, 1, maxExpiryDays)
	}
	if c.DurationMonths.given() {
		inRange(p, "duration_months", c.DurationMonths.Value, 1, maxDurationMonths)
	}
	if c.DurationDays.given() && c.DurationMonths.given() {
		p["duration_days"], p["duration_months"] = onlyOneDur, onlyOneDur
	}
	if c.Starts != nil {
		oneOf(p, "starts", *c.Starts, StartsAtCreation, StartsAtFirstActivation)
	}
}

// timeProblems notes what is wrong with the times that are given.
func (c *TermsChange) timeProblems(p map[string]string) {
	if days := c.ExpiresInDays; days != nil && (*days < 1 || *days > maxExpiryDays) {
		p["expires_in_days"] = fmt.Sprintf("must be from 1 to %d; leave it out for a perpetual license", maxExpiryDays)
	}
	if c.ExpiresInDays != nil && c.ExpiresAt.Present {
		p["expires_at"], p["expires_in_days"] = onlyOneEnd, onlyOneEnd
	}
	yearProblem(p, "expires_at", c.ExpiresAt.Value.At, "null means perpetual")
	yearProblem(p, "starts_at", c.StartsAt.Value, "null means at once")
	yearProblem(p, "maintenance_until", c.MaintenanceUntil.Value.At, "null means without end")
}

func yearProblem(p map[string]string, name string, at time.Time, null string) {
	if !at.IsZero() && (at.Year() < firstYear || at.Year() > lastYear) {
		p[name] = fmt.Sprintf("must be in a year from %d to %d; %s", firstYear, lastYear, null)
	}
}

func inRange(p map[string]string, name string, n, from, to int) {
	if n < from || n > to {
		p[name] = fmt.Sprintf("must be from %d to %d", from, to)
	}
}

// devicesInRange notes a bound of seats that is none: what others write for any number.
func devicesInRange(p map[string]string, n int) {
	if n < 1 || n > MaxDevicesLimit {
		p["max_devices"] = fmt.Sprintf("must be from 1 to %d, or null for any number", MaxDevicesLimit)
	}
}

func oneOf(p map[string]string, name, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	p[name] = "must be one of " + listed(allowed)
}

// listed names what is allowed, without the empty text, which is the absence of any.
func listed(allowed []string) (text string) {
	for _, a := range allowed {
		if a != "" && text != "" {
			text += ", "
		}
		text += a
	}
	return text
}
