// Package wire is the JSON of the main API that its surfaces share: what devices ask (api), what administrators ask
// (manage) and what peer services ask (rpc). A dialect has its own form.
package wire

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Limits are the seats of a license.
type Limits struct {
	// MaxDevices is null for any number.
	MaxDevices     *int `json:"max_devices"`
	CurrentDevices int  `json:"current_devices"`
}

// NewLimits shows the seats of a license.
func NewLimits(l licensing.Limits) Limits {
	return Limits{MaxDevices: CountOrNull(l.MaxDevices, licensing.Unlimited), CurrentDevices: l.CurrentDevices}
}

// Standing is what answers about a usable license say of it beside its end.
type Standing struct {
	LicenseType string           `json:"license_type"`
	IsTrial     bool             `json:"is_trial"`
	Status      licensing.Status `json:"status"`
	// Grace and GraceEndsAt are left out before the end.
	Grace       bool       `json:"grace,omitempty"`
	GraceEndsAt *time.Time `json:"grace_ends_at,omitempty"`
	// Starts and the duration are left out once the time of the license runs.
	Starts         string `json:"starts,omitempty"`
	DurationDays   int    `json:"duration_days,omitempty"`
	DurationMonths int    `json:"duration_months,omitempty"`
}

// NewStanding shows a license that can be used and has this status.
func NewStanding(t *licensing.Terms, status licensing.Status) Standing {
	s := Standing{LicenseType: t.LicenseType(), IsTrial: t.IsTrial, Status: status}
	if status == licensing.StatusInGrace {
		s.Grace, s.GraceEndsAt = true, httpx.TimeOrNull(t.UsableUntil())
	}
	if t.AwaitsStart() {
		s.Starts, s.DurationDays, s.DurationMonths = t.Starts(), t.DurationDays, t.DurationMonths
	}
	return s
}

// CountOrNull is null where n stands for none or for any number.
func CountOrNull(n, null int) *int {
	if n == null {
		return nil
	}
	return &n
}

// Variables are those of a device, never null.
func Variables(variables map[string]string) map[string]string {
	if variables == nil {
		return map[string]string{}
	}
	return variables
}
