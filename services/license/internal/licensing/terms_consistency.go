package licensing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

const neverUsable = "starts_at must be before expires_at, or the license can never be used"

const endlessTrial = "a policy that makes trials needs duration_days, duration_months or expires_at, or a counter " +
	"with a limit and without reset, or its trials never end"

const endedTrial = "is over, and each trial of this policy would have ended when it is made; send a time ahead, or " +
	"null and duration_days or duration_months"

// contradictions notes which members of changed terms contradict one another, by their public names. What
// was contradictory before the change stays: it was accepted earlier. Names that p tells to be wrong in themselves are
// not compared, nor quoted.
func (t *Terms) contradictions(p map[string]string, before *Terms) {
	if t.endsBeforeStart() && !(t.StartsAt.Equal(before.StartsAt) && t.ExpiresAt.Equal(before.ExpiresAt)) {
		p["starts_at"], p["expires_at"] = neverUsable, neverUsable
	}
	for name := range p {
		if strings.HasPrefix(name, "entitlements") || strings.HasPrefix(name, "counters") {
			return
		}
	}
	for i := range t.Entitlements {
		e := &t.Entitlements[i]
		if e.Counter == "" || t.Counter(e.Counter) != nil {
			continue
		}
		old, _ := before.Entitlement(e.Code)
		switch {
		case old.Counter != e.Counter:
			p["entitlements"] = fmt.Sprintf("%s names the counter %s, and %s", e.Code, e.Counter, t.knownCounters())
		case before.Counter(e.Counter) != nil:
			p["counters"] = fmt.Sprintf("the entitlement %s names the counter %s; change it as well", e.Code, e.Counter)
		}
	}
}

func (t *Terms) endsBeforeStart() bool {
	return !t.StartsAt.IsZero() && !t.ExpiresAt.IsZero() && !t.StartsAt.Before(t.ExpiresAt)
}

// endlessTrial tells that the terms make a trial that neither time nor what is consumed ever ends. An administrator may
// give a license such terms; a policy would give them to everybody who asks for a trial.
func (t *Terms) endlessTrial() bool {
	return t.IsTrial && !t.hasDuration() && t.ExpiresAt.IsZero() && !slices.ContainsFunc(t.Counters, ends)
}

// TrialsOver tells that the terms make trials that have ended when they are made.
func (t *Terms) TrialsOver(now time.Time) bool {
	return t.IsTrial && !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(now)
}

// ends tells that nothing is left of a counter one day.
func ends(c CounterTerms) bool { return c.Reset == ResetNever && c.Ceiling() < MaxCount }

// consistent is a VALIDATION_ERROR with the contradictions, nil for none.
func (t *Terms) consistent(before *Terms) error {
	p := apierr.Fields{}
	t.contradictions(p, before)
	return p.Err()
}

// knownCounters says which counters there are.
func (t *Terms) knownCounters() string {
	names := make([]string, len(t.Counters))
	for i := range t.Counters {
		names[i] = t.Counters[i].Name
	}
	if len(names) == 0 {
		return "there are no counters"
	}
	return "the counters are " + listed(names)
}
