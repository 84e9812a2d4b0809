package manage

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// counterTermsBody is the terms of a counter as answers show them.
type counterTermsBody struct {
	Name          string  `json:"name"`
	Limit         *int64  `json:"limit"`
	Overage       *int64  `json:"overage"`
	AllowNegative bool    `json:"allow_negative"`
	Reset         *string `json:"reset"`
	Anchor        string  `json:"anchor"`
	PerDevice     bool    `json:"per_device"`
}

func newCounterTermsBody(t *licensing.CounterTerms) counterTermsBody {
	return counterTermsBody{
		Name:          t.Name,
		Limit:         t.Limit,
		Overage:       t.Overage,
		AllowNegative: t.AllowNegative,
		Reset:         httpx.TextOrNull(t.Reset),
		Anchor:        t.Anchor,
		PerDevice:     t.PerDevice,
	}
}

func newCounterTermsBodies(all []licensing.CounterTerms) []counterTermsBody {
	bodies := []counterTermsBody{} // never null
	for i := range all {
		bodies = append(bodies, newCounterTermsBody(&all[i]))
	}
	return bodies
}

// counterMembers are what can be said of a counter beside its name.
type counterMembers struct {
	Limit         jsonbody.Optional[int64]  `json:"limit" null:"ok"`
	Overage       jsonbody.Optional[int64]  `json:"overage" null:"ok"`
	AllowNegative bool                      `json:"allow_negative"`
	Reset         jsonbody.Optional[string] `json:"reset" null:"ok"`
	Anchor        *string                   `json:"anchor"`
	PerDevice     bool                      `json:"per_device"`
}

func (m *counterMembers) terms(name string) licensing.CounterTerms {
	t := licensing.CounterTerms{
		Name:          name,
		Overage:       new(int64),
		AllowNegative: m.AllowNegative,
		Reset:         m.Reset.Value,
		Anchor:        licensing.AnchorCalendar,
		PerDevice:     m.PerDevice,
	}
	if !m.Limit.Null {
		t.Limit = m.Limit.Pointer()
	}
	if m.Overage.Present {
		if t.Overage = nil; !m.Overage.Null {
			t.Overage = &m.Overage.Value
		}
	}
	if m.Anchor != nil {
		t.Anchor = *m.Anchor
	}
	return t
}

// newCounter is a counter in the terms of a license.
type newCounter struct {
	Name string `json:"name" text:"identifier"`
	counterMembers
}

func newCounters(list *[]newCounter) *[]licensing.CounterTerms {
	if list == nil {
		return nil
	}
	all := make([]licensing.CounterTerms, len(*list))
	for i := range *list {
		all[i] = (*list)[i].terms((*list)[i].Name)
	}
	return &all
}

// counterBody is a counter with what it counted.
type counterBody struct {
	counterTermsBody
	Used        int64      `json:"used"`
	OverageUsed int64      `json:"overage_used"`
	Remaining   *int64     `json:"remaining"`
	PeriodStart *time.Time `json:"period_start"`
	ResetsAt    *time.Time `json:"resets_at"`
	// Devices consumed most of this period, null where parts are not counted.
	Devices []counter.DevicePart `json:"devices"`
}

func newCounterBody(r *counter.Reading) counterBody {
	return counterBody{
		counterTermsBody: newCounterTermsBody(&r.Terms),
		Used:             r.State.Used,
		OverageUsed:      r.State.OverageUsed,
		Remaining:        r.State.Remaining,
		PeriodStart:      r.State.PeriodStart,
		ResetsAt:         r.State.ResetsAt,
		Devices:          r.Devices,
	}
}

type countersBody struct {
	LicenseID string        `json:"license_id"`
	Counters  []counterBody `json:"counters"`
	pageBody
}

func (m *Manage) listCounters(c *gin.Context) error {
	span, err := querySpanOf(c, 100, 100, inNumbers)
	if err != nil {
		return err
	}
	l, all, err := m.Counters.List(c.Request.Context(), licenseID(c))
	if err != nil {
		return err
	}
	page := shortPage(all, span)
	body := countersBody{LicenseID: l.ID, Counters: []counterBody{}, pageBody: newCountedBody(span, page)}
	for _, r := range page.Items {
		body.Counters = append(body.Counters, newCounterBody(&r))
	}
	return show(c, http.StatusOK, l.Version, body)
}

// counterName reads the name of the path.
func counterName(c *gin.Context) string { return jsonbody.Identifier(c.Param("name")) }

func (m *Manage) putCounter(c *gin.Context) error {
	var in counterMembers
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	if !in.Limit.Present { // which would make the counter unlimited
		return apierr.InvalidField("limit", "is required; null means unlimited")
	}
	ctx, terms := c.Request.Context(), in.terms(counterName(c))
	if _, err := m.Licenses.PutCounter(ctx, rpc.ActorOf(c), licenseID(c), terms); err != nil {
		return err
	}
	l, r, err := m.Counters.Find(ctx, licenseID(c), terms.Name)
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, l.Version, struct {
		LicenseID string `json:"license_id"`
		counterBody
	}{l.ID, newCounterBody(&r)})
}

func (m *Manage) deleteCounter(c *gin.Context) error {
	l, err := m.Licenses.DeleteCounter(c.Request.Context(), rpc.ActorOf(c), licenseID(c), counterName(c))
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, l.Version, struct {
		LicenseID string `json:"license_id"`
		Name      string `json:"name"`
		Deleted   bool   `json:"deleted"`
	}{l.ID, counterName(c), true})
}
