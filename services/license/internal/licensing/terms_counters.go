package licensing

import (
	"fmt"
	"regexp"
	"slices"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// MaxCount is the largest number that a counter takes: larger ones are not exact in the JSON of every client.
const MaxCount = 1<<53 - 1

// maxCounters is how many counters a license may have.
const maxCounters = 32

var counterName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

const badCounterName = "must be 1 to 64 letters, digits, dots, hyphens or underscores"

// When a counter starts again at 0, and what its periods are counted from.
const (
	ResetNever    = ""
	ResetDaily    = "daily"
	ResetWeekly   = "weekly"
	ResetMonthly  = "monthly"
	ResetAnnually = "annually"

	// AnchorCalendar begins periods at local midnight, weeks on Monday, months on the 1st and years on 1 January.
	AnchorCalendar = "calendar"
	// AnchorStart begins periods at the start of the license and whole steps of the calendar after it.
	AnchorStart = "start"
)

// CounterTerms are what was agreed on the consumption of something. What was consumed is kept by package counter.
// Stored as JSON.
type CounterTerms struct {
	Name string `json:"name"`
	// Limit is nil for unlimited.
	Limit *int64 `json:"limit"`
	// Overage is how much may be consumed beyond Limit, nil for any amount.
	Overage *int64 `json:"overage"`
	// AllowNegative lets clients give back by a negative amount.
	AllowNegative bool   `json:"allow_negative"`
	Reset         string `json:"reset"`
	Anchor        string `json:"anchor"`
	// PerDevice also counts each device's part.
	PerDevice bool `json:"per_device"`
}

// Ceiling is the number that the counter never passes.
func (c *CounterTerms) Ceiling() int64 {
	if c.Limit == nil || c.Overage == nil {
		return MaxCount
	}
	return min(*c.Limit+*c.Overage, MaxCount)
}

// Counter finds the terms of a counter by its name, nil where there is none.
func (t *Terms) Counter(name string) *CounterTerms {
	if i := slices.IndexFunc(t.Counters, func(c CounterTerms) bool { return c.Name == name }); i >= 0 {
		return &t.Counters[i]
	}
	return nil
}

// CountsDevices tells that some counter also counts each device's part.
func (t *Terms) CountsDevices() bool {
	return slices.ContainsFunc(t.Counters, func(c CounterTerms) bool { return c.PerDevice })
}

// withCounter are the counters with c in place of the one that has its name.
func (t *Terms) withCounter(c CounterTerms) []CounterTerms {
	all := slices.Clone(t.Counters)
	if i := slices.IndexFunc(all, func(old CounterTerms) bool { return old.Name == c.Name }); i >= 0 {
		all[i] = c
		return all
	}
	return append(all, c)
}

// counterProblems notes what is wrong with counters.
func (c *TermsChange) counterProblems(p map[string]string) {
	if c.Counters == nil {
		return
	}
	if len(*c.Counters) > maxCounters {
		p["counters"] = fmt.Sprintf("must have at most %d entries", maxCounters)
	}
	seen := map[string]bool{}
	for i, counter := range *c.Counters {
		path := fmt.Sprintf("counters[%d].", i)
		counter.problems(p, path)
		if seen[counter.Name] {
			p[path+"name"] = givenTwice
		}
		seen[counter.Name] = true
	}
}

func (c *CounterTerms) problems(p map[string]string, path string) {
	if !counterName.MatchString(c.Name) {
		p[path+"name"] = badCounterName
	}
	count := fmt.Sprintf("must be from 0 to %d; null means unlimited", MaxCount)
	if c.Limit != nil && (*c.Limit < 0 || *c.Limit > MaxCount) {
		p[path+"limit"] = count
	}
	if c.Overage != nil && (*c.Overage < 0 || *c.Overage > MaxCount) {
		p[path+"overage"] = count
	}
	if !slices.Contains([]string{ResetNever, ResetDaily, ResetWeekly, ResetMonthly, ResetAnnually}, c.Reset) {
		p[path+"reset"] = "must be one of daily, weekly, monthly, annually; null means never"
	}
	if c.Anchor != AnchorCalendar && c.Anchor != AnchorStart {
		p[path+"anchor"] = "must be one of calendar, start"
	}
}

// countersView is what the audit log shows, in the form of the public API.
func countersView(all []CounterTerms) []any {
	view := []any{}
	for i := range all {
		c := &all[i]
		view = append(view, map[string]any{
			"name": c.Name, "limit": c.Limit, "overage": c.Overage, "allow_negative": c.AllowNegative,
			"reset": textValue(c.Reset), "anchor": c.Anchor, "per_device": c.PerDevice,
		})
	}
	return view
}

// countersOf are the counters as events carry them.
func countersOf(t *Terms) (all []*eventsv1.Counter) {
	for _, c := range t.Counters {
		all = append(all, &eventsv1.Counter{
			Name:          c.Name,
			Limit:         number(c.Limit),
			Overage:       number(c.Overage),
			AllowNegative: c.AllowNegative,
			Reset_:        c.Reset,
			Anchor:        c.Anchor,
			PerDevice:     c.PerDevice,
		})
	}
	return all
}

func number(n *int64) *float64 {
	if n == nil {
		return nil
	}
	f := float64(*n)
	return &f
}
