package licensing

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Bounds of the entitlements of a license.
const (
	maxEntitlements     = 100
	maxEntitlementSlots = 1_000_000
	// maxEntitlementBytes bounds the metadata of all of them together.
	maxEntitlementBytes = 64 << 10
	givenTwice          = "is given twice"
)

// Entitlement is a part of a product that a license grants. The bare ones, which have nothing but a code, are in
// Terms.Features alone. Stored as JSON.
type Entitlement struct {
	Code string `json:"code"`
	Name string `json:"name,omitempty"`
	// ExpiresAt is zero for one without its own end.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Day is as in End, until the entitlement is a part of terms, which know a time zone.
	Day bool `json:"-"`
	// Slots is how many leases may hold it at a time, 0 for as many as the license has.
	Slots int `json:"slots,omitempty"`
	// Counter names the counter that its consumption counts on, empty for none.
	Counter string `json:"counter,omitempty"`
	// Metadata is a JSON object.
	Metadata json.RawMessage `json:"metadata,omitempty"`
}

func (e *Entitlement) bare() bool {
	return e.Name == "" && e.ExpiresAt.IsZero() && e.Slots == 0 && e.Counter == "" && len(e.Metadata) == 0
}

func (e *Entitlement) ended(now time.Time) bool {
	return !e.ExpiresAt.IsZero() && !now.Before(e.ExpiresAt)
}

// Entitlement finds an entitlement by its code.
func (t *Terms) Entitlement(code string) (Entitlement, bool) {
	for i := range t.Entitlements {
		if t.Entitlements[i].Code == code {
			return t.Entitlements[i], true
		}
	}
	return Entitlement{Code: code}, slices.Contains(t.Features, code)
}

// AllEntitlements are the entitlements, the bare ones among them.
func (t *Terms) AllEntitlements() []Entitlement {
	all := []Entitlement{} // never null
	for i, code := range t.Features {
		if slices.Contains(t.Features[:i], code) {
			continue // older licenses may have a code twice
		}
		e, _ := t.Entitlement(code)
		all = append(all, e)
	}
	for _, e := range t.Entitlements {
		if !e.ExpiresAt.IsZero() {
			all = append(all, e)
		}
	}
	return all
}

// UsableFeatures are the codes of the entitlements that are granted now. They must not be changed.
func (t *Terms) UsableFeatures(now time.Time) []string {
	codes := t.Features
	for i := range t.Entitlements {
		if e := &t.Entitlements[i]; !e.ExpiresAt.IsZero() && !e.ended(now) {
			codes = append(slices.Clip(codes), e.Code)
		}
	}
	return codes
}

// FeaturesUntil are the ends of the entitlements that are granted now and end before a time.
func (t *Terms) FeaturesUntil(now, before time.Time) map[string]time.Time {
	ends := map[string]time.Time{}
	for i := range t.Entitlements {
		if e := &t.Entitlements[i]; !e.ExpiresAt.IsZero() && !e.ended(now) && e.ExpiresAt.Before(before) {
			ends[e.Code] = e.ExpiresAt
		}
	}
	return ends
}

// AskedEntitlement is what validate answers of an entitlement.
type AskedEntitlement struct {
	Granted bool
	// ExpiresAt is zero for one without an end, and for one that the license does not have.
	ExpiresAt time.Time
	// ErrorCode is empty for one that is granted.
	ErrorCode string
}

// AskEntitlements tells of each code whether it is granted now.
func (t *Terms) AskEntitlements(codes []string, now time.Time) map[string]AskedEntitlement {
	asked := make(map[string]AskedEntitlement, len(codes))
	for _, code := range codes {
		e, _ := t.Entitlement(code)
		a := AskedEntitlement{Granted: true, ExpiresAt: e.ExpiresAt}
		if why := t.Grants(code, now); why != nil {
			a.Granted, a.ErrorCode = false, why.Code
		}
		asked[code] = a
	}
	return asked
}

// hasEndingEntitlement tells that Features alone do not say what is granted.
func (t *Terms) hasEndingEntitlement() bool {
	return slices.ContainsFunc(t.Entitlements, func(e Entitlement) bool { return !e.ExpiresAt.IsZero() })
}

// Grants is the verdict on an entitlement: nil, ErrEntitlementMissing or ErrEntitlementExpired.
func (t *Terms) Grants(code string, now time.Time) *apierr.Error {
	e, ok := t.Entitlement(code)
	switch {
	case !ok:
		return ErrEntitlementMissing
	case e.ended(now):
		return ErrEntitlementExpired
	}
	return nil
}

// setEntitlements replaces all entitlements. Features become the codes of those without an end, which need no look at a
// clock.
func (t *Terms) setEntitlements(all []Entitlement) {
	t.Features, t.Entitlements = nil, nil
	for _, e := range all {
		e.ExpiresAt, e.Day = End{e.ExpiresAt, e.Day}.In(t.Location()), false
		if e.ExpiresAt.IsZero() {
			t.Features = append(t.Features, e.Code)
		}
		if !e.bare() {
			t.Entitlements = append(t.Entitlements, e)
		}
	}
}

// applyEntitlements changes the entitlements: codes alone keep what is known of an entitlement that has the code
// already.
func (t *Terms) applyEntitlements(c *TermsChange) {
	if c.Entitlements == nil && c.Features == nil {
		return
	}
	var all []Entitlement
	if c.Entitlements != nil {
		all = slices.Clone(*c.Entitlements)
	}
	if c.Features != nil {
		for _, code := range *c.Features {
			if c.Entitlements == nil {
				e, _ := t.Entitlement(code)
				all = append(all, e)
			} else if !slices.ContainsFunc(all, func(e Entitlement) bool { return e.Code == code }) {
				all = append(all, Entitlement{Code: code})
			}
		}
	}
	t.setEntitlements(all)
}

// withEntitlement are all entitlements with e in place of the one that has its code.
func (t *Terms) withEntitlement(e Entitlement) []Entitlement {
	all := t.AllEntitlements()
	if i := slices.IndexFunc(all, func(old Entitlement) bool { return old.Code == e.Code }); i >= 0 {
		all[i] = e
		return all
	}
	return append(all, e)
}

// overPolicy is c for a license that has these terms from a policy. Its entitlements come to those of the policy, of
// which only those are left that features name, where they are given; an empty list is none.
func (t *Terms) overPolicy(c TermsChange) TermsChange {
	if c.Entitlements == nil {
		return c
	}
	taken := *t
	taken.setEntitlements(slices.DeleteFunc(t.AllEntitlements(), func(e Entitlement) bool {
		if c.Features != nil {
			return !slices.Contains(*c.Features, e.Code)
		}
		return len(*c.Entitlements) == 0
	}))
	return taken.mergingEntitlements(c)
}

// mergingEntitlements is c with the entitlements that the terms have already, such as those of a policy, beside its
// own: where both have a code, that of c wins.
func (t *Terms) mergingEntitlements(c TermsChange) TermsChange {
	if c.Entitlements == nil {
		return c
	}
	merged := *t
	set(&merged.Timezone, c.Timezone)
	for _, e := range *c.Entitlements {
		merged.setEntitlements(merged.withEntitlement(e))
	}
	all := merged.AllEntitlements()
	c.Entitlements = &all
	return c
}

// entitlementProblems notes what is wrong with features and entitlements.
func (c *TermsChange) entitlementProblems(p map[string]string) {
	codes := map[string]bool{}
	if c.Features != nil {
		if len(*c.Features) > maxEntitlements {
			p["features"] = fmt.Sprintf("must have at most %d entries", maxEntitlements)
			return
		}
		for i, code := range *c.Features {
			if codes[code] {
				p[fmt.Sprintf("features[%d]", i)] = givenTwice
			}
			codes[code] = true
			checkCode(p, "features", code, "each must have")
		}
	}
	if c.Entitlements != nil {
		metadata, seen := 0, map[string]bool{}
		for i, e := range *c.Entitlements {
			e.problems(p, fmt.Sprintf("entitlements[%d].", i))
			if seen[e.Code] {
				p[fmt.Sprintf("entitlements[%d].code", i)] = givenTwice
			}
			codes[e.Code], seen[e.Code] = true, true
			metadata += len(e.Metadata)
		}
		if metadata > maxEntitlementBytes {
			p["entitlements"] = "the metadata of all together must be at most 64 KiB of JSON"
		}
	}
	if len(codes) > maxEntitlements {
		name := "features"
		if c.Entitlements != nil {
			name = "entitlements"
		}
		p[name] = fmt.Sprintf("must have at most %d entries", maxEntitlements)
	}
}

func (e *Entitlement) problems(p map[string]string, path string) {
	checkCode(p, path+"code", e.Code, "must have")
	checkText(p, path+"name", e.Name, false)
	if e.Slots < 0 || e.Slots > maxEntitlementSlots {
		p[path+"slots"] = fmt.Sprintf("must be from 1 to %d; null for as many as the license has", maxEntitlementSlots)
	}
	if e.Counter != "" && !counterName.MatchString(e.Counter) {
		p[path+"counter"] = badCounterName
	}
	if !e.ExpiresAt.IsZero() && e.ExpiresAt.Year() < firstYear {
		p[path+"expires_at"] = fmt.Sprintf("must not be before %d; null means no end", firstYear)
	}
}

func checkCode(p map[string]string, name, code, must string) {
	if n := utf8.RuneCountInString(code); n < 1 || n > maxFeature {
		p[name] = fmt.Sprintf("%s 1 to %d characters", must, maxFeature)
	}
}

// entitlementsView is what the audit log shows, in the form of the public API.
func entitlementsView(all []Entitlement) []any {
	view := []any{}
	for i := range all {
		e := &all[i]
		view = append(view, map[string]any{
			"code": e.Code, "name": textValue(e.Name), "expires_at": timeValue(e.ExpiresAt),
			"slots": countValue(e.Slots, 0), "counter": textValue(e.Counter), "metadata": metadataValue(e.Metadata),
		})
	}
	return view
}

// entitlementsOf are the entitlements as events carry them.
func entitlementsOf(t *Terms) (all []*eventsv1.Entitlement) {
	for i := range t.Entitlements {
		e := &t.Entitlements[i]
		all = append(all, &eventsv1.Entitlement{
			Code: e.Code, Name: e.Name, ExpiresAt: timestamp(e.ExpiresAt), Slots: int32(e.Slots), Counter: e.Counter,
		})
	}
	return all
}
