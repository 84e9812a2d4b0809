package manage

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
)

// maxEvents bounds the answer of listEvents.
const maxEvents = 1000

type eventBody struct {
	EventID    string          `json:"event_id"`
	Type       string          `json:"type"`
	OccurredAt time.Time       `json:"occurred_at"`
	Data       json.RawMessage `json:"data"`
}

type eventsBody struct {
	LicenseID string      `json:"license_id"`
	Hours     int         `json:"hours"`
	Events    []eventBody `json:"events"`
	// Total may be larger than the number of events shown.
	Total int `json:"total"`
}

// listEvents answers the license's changes of state from the event log, newest first.
func (m *Manage) listEvents(c *gin.Context) error {
	hours, err := httpx.QueryInt(c, "hours", 24, 1, 8760)
	if err != nil {
		return err
	}
	id, since := licenseID(c), m.Clock.Now().Add(-time.Duration(hours)*time.Hour)
	events, total, err := m.Licensing.Catalog.Events(c.Request.Context(), id, since, maxEvents)
	if err != nil {
		return err
	}
	body := eventsBody{LicenseID: id, Hours: hours, Events: []eventBody{}, Total: total}
	for _, e := range events {
		body.Events = append(body.Events, eventBody{e.ID, e.Type, e.At.UTC(), object(e.Data)})
	}
	c.JSON(http.StatusOK, body)
	return nil
}
