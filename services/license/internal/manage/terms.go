package manage

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// The terms of a license are flat members of it. They are read in two ways: in a license to create null means absent, in a
// change of one it is refused or has a meaning.

// termsBody is the terms as answers show them.
type termsBody struct {
	LicenseType     string     `json:"license_type"`
	MaxDevices      int        `json:"max_devices"`
	MaxOfflineHours int        `json:"max_offline_hours"`
	Features        []string   `json:"features"`
	ExpiresAt       *time.Time `json:"expires_at"`
}

func newTermsBody(t *licensing.Terms) termsBody {
	return termsBody{
		LicenseType:     t.Type,
		MaxDevices:      t.MaxDevices,
		MaxOfflineHours: t.MaxOfflineHours,
		Features:        append([]string{}, t.Features...), // never null
		ExpiresAt:       httpx.TimeOrNull(t.ExpiresAt),
	}
}

// newTerms is the terms of a license to create.
type newTerms struct {
	MaxDevices      *int       `json:"max_devices"`
	MaxOfflineHours *int       `json:"max_offline_hours"`
	Features        *[]string  `json:"features" text:"identifier"`
	ExpiresAt       *time.Time `json:"expires_at" time:"end"`
	ExpiresInDays   *int       `json:"expires_in_days"`
}

func (t *newTerms) change() licensing.TermsChange {
	return licensing.TermsChange{
		MaxDevices:      t.MaxDevices,
		MaxOfflineHours: t.MaxOfflineHours,
		Features:        t.Features,
		ExpiresAt:       t.ExpiresAt,
		ExpiresInDays:   t.ExpiresInDays,
	}
}

// changedTerms is what PATCH takes of the terms.
type changedTerms struct {
	MaxDevices      jsonbody.Optional[int]       `json:"max_devices"`
	MaxOfflineHours jsonbody.Optional[int]       `json:"max_offline_hours"`
	Features        jsonbody.Optional[[]string]  `json:"features" text:"identifier"`
	ExpiresAt       jsonbody.Optional[time.Time] `json:"expires_at" null:"ok" time:"end"`
	ExpiresInDays   jsonbody.Optional[int]       `json:"expires_in_days"`
}

func (t *changedTerms) change() licensing.TermsChange {
	c := licensing.TermsChange{
		MaxDevices:      t.MaxDevices.Pointer(),
		MaxOfflineHours: t.MaxOfflineHours.Pointer(),
		Features:        t.Features.Pointer(),
		ExpiresInDays:   t.ExpiresInDays.Pointer(),
		Perpetual:       t.ExpiresAt.Null,
	}
	if !t.ExpiresAt.Null {
		c.ExpiresAt = t.ExpiresAt.Pointer()
	}
	return c
}
