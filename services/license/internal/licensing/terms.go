package licensing

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/proto/claims"
)

// Limits and defaults of the terms that an administrator may set.
const (
	MaxDevicesLimit        = 1_000_000
	DefaultMaxOfflineHours = 720
	DefaultType            = "standard"

	maxFeatures = 100
	maxFeature  = 64
)

// Terms are what was agreed on a license: one value in a license, in its creation, in a change of it and in its events. A new
// term gets a member here and, when an administrator may set it, in TermsChange; CONTRIBUTING.md has the other files.
type Terms struct {
	Type string
	// MaxDevices is the number of seats. Lowering it below the devices in use keeps them and admits no more.
	MaxDevices int
	// MaxOfflineHours bounds the life of an offline token.
	MaxOfflineHours int
	Features        []string
	// StartsAt is when the license becomes usable; zero for one that is usable from its creation on.
	StartsAt time.Time
	// ExpiresAt is zero for a perpetual license.
	ExpiresAt time.Time
	// GraceHours is how long after ExpiresAt the license stays usable.
	GraceHours int
}

// defaultTerms are those of a license of which nothing else is said.
func defaultTerms() Terms {
	return Terms{Type: DefaultType, MaxDevices: 1, MaxOfflineHours: DefaultMaxOfflineHours}
}

// UsableUntil is the instant from which on the license cannot be used any more, zero for never: ExpiresAt and the grace after it.
func (t *Terms) UsableUntil() time.Time {
	if t.ExpiresAt.IsZero() {
		return time.Time{}
	}
	return t.ExpiresAt.Add(time.Duration(t.GraceHours) * time.Hour)
}

// Plain tells that the store may activate by its one fast statement, which checks only that the license is active, has not passed
// ExpiresAt, and has a free seat. Other terms are judged by the checks, under the lock of the license.
func (t *Terms) Plain() bool {
	return t.StartsAt.IsZero() && t.GraceHours == 0
}

// TermsChange is some of the terms; what is nil stays as it is. A new license changes the default terms.
type TermsChange struct {
	MaxDevices      *int
	MaxOfflineHours *int
	Features        *[]string
	// At most one of ExpiresAt, ExpiresInDays (from now) and Perpetual is given.
	ExpiresAt     *time.Time
	ExpiresInDays *int
	Perpetual     bool
}

// apply changes the terms, save the end, which has a notice of its own: see License.applyTerms.
func (t *Terms) apply(c *TermsChange) {
	set(&t.MaxDevices, c.MaxDevices)
	set(&t.MaxOfflineHours, c.MaxOfflineHours)
	set(&t.Features, c.Features)
}

func set[T any](member *T, value *T) {
	if value != nil {
		*member = *value
	}
}

// problems notes what is wrong with the members of c that are given, by their public names.
func (c *TermsChange) problems(p map[string]string) {
	t := defaultTerms()
	t.apply(c)
	if t.MaxDevices < 1 || t.MaxDevices > MaxDevicesLimit {
		p["max_devices"] = fmt.Sprintf("must be from 1 to %d", MaxDevicesLimit)
	}
	if t.MaxOfflineHours < 1 || t.MaxOfflineHours > claims.MaxOfflineHours {
		p["max_offline_hours"] = fmt.Sprintf("must be from 1 to %d", claims.MaxOfflineHours)
	}
	if len(t.Features) > maxFeatures {
		p["features"] = fmt.Sprintf("must have at most %d entries", maxFeatures)
	}
	for _, f := range t.Features {
		if n := utf8.RuneCountInString(f); n < 1 || n > maxFeature {
			p["features"] = fmt.Sprintf("each must have 1 to %d characters", maxFeature)
		}
	}
	c.endProblems(p)
}

// view is what the audit log shows of the terms, by their public names.
func (t *Terms) view() map[string]any {
	return map[string]any{
		"max_devices": t.MaxDevices, "max_offline_hours": t.MaxOfflineHours,
		"features": append([]string{}, t.Features...), "expires_at": timeValue(t.ExpiresAt),
	}
}
