package manage

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
)

type historyBody struct {
	LicenseID string      `json:"license_id"`
	Counter   string      `json:"counter"`
	History   []entryBody `json:"history"`
	pageBody
}

type entryBody struct {
	EntryID    string    `json:"entry_id"`
	Action     string    `json:"action"`
	At         time.Time `json:"at"`
	UsedBefore int64     `json:"used_before"`
	UsedAfter  int64     `json:"used_after"`
	Reason     *string   `json:"reason"`
	// Actor is the administrator, null for the calendar.
	Actor *actorBody `json:"actor"`
}

type actorBody struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func newEntryBody(e counter.Entry) entryBody {
	body := entryBody{
		EntryID:    e.ID,
		Action:     e.Action,
		At:         e.At.UTC(),
		UsedBefore: e.UsedBefore,
		UsedAfter:  e.UsedAfter,
		Reason:     httpx.TextOrNull(e.Reason),
	}
	if e.ActorID != "" {
		body.Actor = &actorBody{e.ActorID, e.ActorName}
	}
	return body
}

func (m *Manage) counterHistory(c *gin.Context) error {
	span, err := querySpan(c, inTime)
	if err != nil {
		return err
	}
	id, name := licenseID(c), counterName(c)
	page, err := m.Counters.History(c.Request.Context(), id, name, span)
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, historyBody{id, name, bodies(page.Items, newEntryBody), newPageBody(span, page)})
	return nil
}
