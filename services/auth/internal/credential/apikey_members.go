package credential

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

const (
	maxEndpoints  = 100
	maxLimit      = 1_000_000_000
	defaultMinute = 60
	defaultHour   = 1000
	perKey        = "key"
	perAddress    = "address"
)

// NewAPIKey is what an administrator asks for. Nil members take their defaults, and so does an empty list.
type NewAPIKey struct {
	ClientName string
	Allowed    []string
	// Product is the code of a product, nil for all.
	Product   *string
	PerMinute *int
	PerHour   *int
	Per       *string
	ExpiresAt *time.Time
}

// productCode is the form of the codes that the license service gives products.
var productCode = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// defaultEndpoints is what an application needs that leaves the vendor's hands: no analytics.
func defaultEndpoints() []string { return []string{"/api/v1/license/*", "/api/v1/auth/token"} }

// validate names everything that is wrong, by member.
func (n NewAPIKey) validate(now time.Time) error {
	wrong := apierr.Fields{}
	wrong.Require("client_name", n.ClientName)
	if n.Product != nil && (!productCode.MatchString(*n.Product) || *n.Product == "." || *n.Product == "..") {
		wrong.Add("product", "must have 1 to 64 letters, digits and . _ -")
	}
	n.check(wrong, now)
	return wrong.Err()
}

// check notes what is wrong with the members that are given.
func (n NewAPIKey) check(wrong apierr.Fields, now time.Time) {
	wrong.MaxLen("client_name", n.ClientName, maxName)
	checkEndpoints(wrong, n.Allowed)
	for name, limit := range map[string]*int{"rate_limit.per_minute": n.PerMinute, "rate_limit.per_hour": n.PerHour} {
		if limit != nil && (*limit < 0 || *limit > maxLimit) {
			wrong.Add(name, fmt.Sprintf("must be from 0 (no limit) to %d", maxLimit))
		}
	}
	if n.Per != nil && *n.Per != perKey && *n.Per != perAddress {
		wrong.Add("rate_limit.per", `must be "key" or "address"`)
	}
	if n.ExpiresAt != nil && !n.ExpiresAt.After(now) {
		wrong.Add("expires_at", "must be in the future")
	}
}

func checkEndpoints(wrong apierr.Fields, patterns []string) {
	if len(patterns) > maxEndpoints {
		wrong.Add("allowed_endpoints", fmt.Sprintf("must have at most %d entries", maxEndpoints))
	}
	for i, p := range patterns {
		if !strings.HasPrefix(p, "/") && p != "*" || utf8.RuneCountInString(p) > maxName {
			wrong.Add(fmt.Sprintf("allowed_endpoints[%d]", i), fmt.Sprintf(
				"must be \"*\", or a path or glob that begins with / and has at most %d characters", maxName))
		}
	}
}

// key is the key that was asked for, defaults filled in. One without endpoints of its own is for an application that is
// given to customers: each of them has its allowance, so that none uses up another's.
func (n NewAPIKey) key(id string, now time.Time) APIKey {
	k := APIKey{ID: id, ClientName: n.ClientName, Allowed: n.Allowed, Product: or(n.Product, ""), CreatedAt: now}
	k.RateLimit = RateLimit{
		PerMinute: or(n.PerMinute, defaultMinute),
		PerHour:   or(n.PerHour, defaultHour),
		Per:       or(n.Per, perKey),
	}
	if len(k.Allowed) == 0 {
		k.Allowed, k.RateLimit.Per = defaultEndpoints(), or(n.Per, perAddress)
	}
	if n.ExpiresAt != nil {
		k.ExpiresAt = end(*n.ExpiresAt)
	}
	return k
}

// end is a time as the store keeps it.
func end(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func or[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
}

// APIKeyPatch is what changes of a key; nil members stay.
type APIKeyPatch struct {
	ClientName *string
	// Allowed empty: what an application needs that is given to customers, and Per "address" unless it is given.
	Allowed   *[]string
	PerMinute *int
	PerHour   *int
	Per       *string
	// ExpiresAt zero: never.
	ExpiresAt *time.Time
}

func (p APIKeyPatch) validate(now time.Time) error {
	wrong := apierr.Fields{}
	if p.ClientName != nil && strings.TrimSpace(*p.ClientName) == "" {
		wrong.Add("client_name", "must not be empty")
	}
	given := NewAPIKey{
		ClientName: or(p.ClientName, ""),
		Allowed:    or(p.Allowed, nil),
		PerMinute:  p.PerMinute,
		PerHour:    p.PerHour,
		Per:        p.Per,
	}
	if p.ExpiresAt != nil && !p.ExpiresAt.IsZero() {
		given.ExpiresAt = p.ExpiresAt
	}
	given.check(wrong, now)
	return wrong.Err()
}

func (p APIKeyPatch) apply(k APIKey) APIKey {
	k.ClientName, k.Allowed = or(p.ClientName, k.ClientName), or(p.Allowed, k.Allowed)
	l := k.RateLimit
	if len(k.Allowed) == 0 {
		k.Allowed, l.Per = defaultEndpoints(), perAddress // as in key
	}
	k.RateLimit = RateLimit{
		PerMinute: or(p.PerMinute, l.PerMinute),
		PerHour:   or(p.PerHour, l.PerHour),
		Per:       or(p.Per, l.Per),
	}
	if p.ExpiresAt != nil {
		k.ExpiresAt = end(*p.ExpiresAt)
	}
	return k
}
