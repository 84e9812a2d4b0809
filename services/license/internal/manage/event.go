package manage

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// What bounds the answer of listEvents: so many events, with so many bytes of data, though at least one.
const (
	maxEvents     = 1000
	maxEventBytes = 8 << 20
)

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
	events, total, err := m.Reads.Events(c.Request.Context(), id, since, maxEvents, maxEventBytes)
	if err != nil {
		return err
	}
	body := eventsBody{LicenseID: id, Hours: hours, Events: []eventBody{}, Total: total}
	for _, e := range events {
		shown, err := shownData(e.Type, e.Data)
		if err != nil {
			return err
		}
		body.Events = append(body.Events, eventBody{e.ID, e.Type, e.At.UTC(), shown})
	}
	c.PureJSON(http.StatusOK, body)
	return nil
}

// shownData is what an administrator sees of an event. Of an erasure it leaves out what services recognize the erased
// customer_id by: who knows the salt and the hash finds a short id by trying.
func shownData(eventType string, data []byte) (json.RawMessage, error) {
	if eventType != eventsv1.TypeCustomerErased {
		return object(data), nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, err
	}
	delete(members, "salt")
	delete(members, "previous")
	return json.Marshal(members)
}
