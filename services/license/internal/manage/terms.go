package manage

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// The terms of a license are flat members of it. They are read in two ways: what cannot be null is absent then in a
// license to create, and refused in a change of one. Null in the others means the same in both.

// termsBody is the terms as answers show them.
type termsBody struct {
	LicenseType       string     `json:"license_type"`
	IsTrial           bool       `json:"is_trial"`
	MaxDevices        *int       `json:"max_devices"`
	MaxOfflineHours   int        `json:"max_offline_hours"`
	OfflineActivation bool       `json:"offline_activation"`
	Features          []string   `json:"features"`
	DurationDays      *int       `json:"duration_days"`
	DurationMonths    *int       `json:"duration_months"`
	Starts            string     `json:"starts"`
	Timezone          string     `json:"timezone"`
	StartsAt          *time.Time `json:"starts_at"`
	ExpiresAt         *time.Time `json:"expires_at"`
	GraceHours        int        `json:"grace_hours"`
	MaintenanceUntil  *time.Time `json:"maintenance_until"`
	deviceTermsBody
	// Floating is null for a license without leases.
	Floating     *licensing.FloatingTerms `json:"floating"`
	Entitlements []entitlementBody        `json:"entitlements"`
	Counters     []counterTermsBody       `json:"counters"`
}

func newTermsBody(t *licensing.Terms, now time.Time) termsBody {
	return termsBody{
		LicenseType:       t.LicenseType(),
		IsTrial:           t.IsTrial,
		MaxDevices:        wire.CountOrNull(t.MaxDevices, licensing.Unlimited),
		MaxOfflineHours:   t.MaxOfflineHours,
		OfflineActivation: t.OfflineActivation,
		Features:          append([]string{}, t.UsableFeatures(now)...), // never null
		DurationDays:      wire.CountOrNull(t.DurationDays, 0),
		DurationMonths:    wire.CountOrNull(t.DurationMonths, 0),
		Starts:            t.Starts(),
		Timezone:          t.Timezone,
		StartsAt:          httpx.TimeOrNull(t.StartsAt),
		ExpiresAt:         httpx.TimeOrNull(t.ExpiresAt),
		GraceHours:        t.GraceHours,
		MaintenanceUntil:  httpx.TimeOrNull(t.MaintenanceUntil),
		deviceTermsBody:   newDeviceTermsBody(t.Devices),
		Floating:          t.Floating,
		Entitlements:      newEntitlementBodies(t.AllEntitlements()),
		Counters:          newCounterTermsBodies(t.Counters),
	}
}

// nullableTerms are those whose null has a meaning.
type nullableTerms struct {
	LicenseType      jsonbody.Optional[string]        `json:"license_type" null:"ok"`
	MaxDevices       jsonbody.Optional[int]           `json:"max_devices" null:"ok"`
	DurationDays     jsonbody.Optional[int]           `json:"duration_days" null:"ok"`
	DurationMonths   jsonbody.Optional[int]           `json:"duration_months" null:"ok"`
	StartsAt         jsonbody.Optional[time.Time]     `json:"starts_at" null:"ok" time:"start"`
	ExpiresAt        jsonbody.Optional[jsonbody.End]  `json:"expires_at" null:"ok"`
	MaintenanceUntil jsonbody.Optional[jsonbody.End]  `json:"maintenance_until" null:"ok"`
	Floating         jsonbody.Optional[floatingTerms] `json:"floating" null:"ok"`
	nullableDeviceTerms
}

func (t *nullableTerms) change() licensing.TermsChange {
	return licensing.TermsChange{
		Type:             licensing.Optional[string](t.LicenseType),
		MaxDevices:       licensing.Optional[int](t.MaxDevices),
		DurationDays:     licensing.Optional[int](t.DurationDays),
		DurationMonths:   licensing.Optional[int](t.DurationMonths),
		StartsAt:         licensing.Optional[time.Time](t.StartsAt),
		ExpiresAt:        end(t.ExpiresAt),
		MaintenanceUntil: end(t.MaintenanceUntil),
		Devices:          t.nullableDeviceTerms.change(),
		Floating:         floating(t.Floating),
	}
}

func end(o jsonbody.Optional[jsonbody.End]) licensing.Optional[licensing.End] {
	return licensing.Optional[licensing.End]{Present: o.Present, Null: o.Null, Value: endOf(o.Value)}
}

// newTerms is the terms of a license to create.
type newTerms struct {
	nullableTerms
	IsTrial           *bool             `json:"is_trial"`
	MaxOfflineHours   *int              `json:"max_offline_hours"`
	OfflineActivation *bool             `json:"offline_activation"`
	Features          *[]string         `json:"features" text:"identifier"`
	Starts            *string           `json:"starts"`
	Timezone          *string           `json:"timezone" text:"identifier"`
	ExpiresInDays     *int              `json:"expires_in_days"`
	GraceHours        *int              `json:"grace_hours"`
	PreventVM         *bool             `json:"prevent_vm"`
	Entitlements      *[]newEntitlement `json:"entitlements" max:"100"`
	Counters          *[]newCounter     `json:"counters" max:"32"`
}

func (t *newTerms) change() licensing.TermsChange {
	c := t.nullableTerms.change()
	c.IsTrial = t.IsTrial
	c.MaxOfflineHours = t.MaxOfflineHours
	c.OfflineActivation = t.OfflineActivation
	c.Features = t.Features
	c.Starts = t.Starts
	c.Timezone = t.Timezone
	c.ExpiresInDays = t.ExpiresInDays
	c.GraceHours = t.GraceHours
	c.Devices.PreventVM = t.PreventVM
	c.Entitlements = newEntitlements(t.Entitlements)
	c.Counters = newCounters(t.Counters)
	return c
}

// changedTerms is what PATCH takes of the terms.
type changedTerms struct {
	nullableTerms
	IsTrial           jsonbody.Optional[bool]             `json:"is_trial"`
	MaxOfflineHours   jsonbody.Optional[int]              `json:"max_offline_hours"`
	OfflineActivation jsonbody.Optional[bool]             `json:"offline_activation"`
	Features          jsonbody.Optional[[]string]         `json:"features" text:"identifier"`
	Starts            jsonbody.Optional[string]           `json:"starts"`
	Timezone          jsonbody.Optional[string]           `json:"timezone" text:"identifier"`
	ExpiresInDays     jsonbody.Optional[int]              `json:"expires_in_days"`
	GraceHours        jsonbody.Optional[int]              `json:"grace_hours"`
	PreventVM         jsonbody.Optional[bool]             `json:"prevent_vm"`
	Entitlements      jsonbody.Optional[[]newEntitlement] `json:"entitlements" max:"100"`
	Counters          jsonbody.Optional[[]newCounter]     `json:"counters" max:"32"`
}

func (t *changedTerms) change() licensing.TermsChange {
	c := t.nullableTerms.change()
	c.IsTrial = t.IsTrial.Pointer()
	c.MaxOfflineHours = t.MaxOfflineHours.Pointer()
	c.OfflineActivation = t.OfflineActivation.Pointer()
	c.Features = t.Features.Pointer()
	c.Starts = t.Starts.Pointer()
	c.Timezone = t.Timezone.Pointer()
	c.ExpiresInDays = t.ExpiresInDays.Pointer()
	c.GraceHours = t.GraceHours.Pointer()
	c.Devices.PreventVM = t.PreventVM.Pointer()
	c.Entitlements = newEntitlements(t.Entitlements.Pointer())
	c.Counters = newCounters(t.Counters.Pointer())
	return c
}
