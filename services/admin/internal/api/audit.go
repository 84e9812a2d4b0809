package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	pkgaudit "github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
)

type actorBody struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`
}

type entryBody struct {
	AuditID    string          `json:"audit_id"`
	OccurredAt time.Time       `json:"occurred_at"`
	Actor      actorBody       `json:"actor"`
	Action     string          `json:"action"`
	LicenseID  *string         `json:"license_id"`
	Before     json.RawMessage `json:"before"`
	After      json.RawMessage `json:"after"`
	IP         *string         `json:"ip"`
	RequestID  *string         `json:"request_id"`
}

// auditFilters are the parameters of searchAudit.
var auditFilters = []string{"license_id", "actor_id", "action", "after", "before", "page", "per_page", "cursor"}

type entriesBody struct {
	Entries []entryBody `json:"entries"`
	// Page is null where a cursor was asked for.
	Page    *int `json:"page"`
	PerPage int  `json:"per_page"`
	// Total and TotalPages are null where more entries match than are counted; TotalAtLeast is set then.
	Total        *int    `json:"total"`
	TotalPages   *int    `json:"total_pages"`
	TotalAtLeast *int    `json:"total_at_least,omitempty"`
	NextCursor   *string `json:"next_cursor"`
}

func (a *API) searchAudit(c *gin.Context) error {
	f, p, err := auditFilter(c)
	if err != nil {
		return err
	}
	found, err := a.Audit.Search(c.Request.Context(), f)
	if err != nil {
		return err
	}
	p = p.Of(found.Total)
	body := entriesBody{Entries: []entryBody{}, PerPage: p.PerPage, Total: &p.Total, TotalPages: &p.TotalPages}
	if p.Total > audit.MaxTotal {
		body.Total, body.TotalPages, body.TotalAtLeast = nil, nil, &p.Total
	}
	if f.Behind == nil {
		body.Page = &p.Page
	}
	if next := found.Next; next != nil {
		body.NextCursor = new(httpx.Cursor{At: next.At, Key: next.ID}.String())
	}
	for _, e := range found.Entries {
		body.Entries = append(body.Entries, newEntryBody(e))
	}
	c.JSON(http.StatusOK, body)
	return nil
}

func auditFilter(c *gin.Context) (audit.Filter, httpx.Page, error) {
	p, err := httpx.QueryPage(c, 50, 100)
	if err != nil {
		return audit.Filter{}, p, err
	}
	f := audit.Filter{Page: p.Page, PerPage: p.PerPage}
	if f.LicenseID, err = queryLicenseID(c); err != nil {
		return f, p, err
	}
	if f.ActorID, err = httpx.QueryIdentifier(c, "actor_id", maxText); err != nil {
		return f, p, err
	}
	if f.Action, err = queryAction(c); err != nil {
		return f, p, err
	}
	if f.After, err = httpx.QueryTime(c, "after"); err != nil {
		return f, p, err
	}
	if f.Before, err = httpx.QueryTime(c, "before"); err != nil {
		return f, p, err
	}
	f.Behind, err = queryCursor(c)
	return f, p, err
}

// queryCursor reads where an answer before ended; nil where it is absent.
func queryCursor(c *gin.Context) (*audit.Position, error) {
	text, err := httpx.QueryText(c, "cursor", maxText)
	if text == "" || err != nil {
		return nil, err
	}
	if c.Query("page") != "" {
		return nil, apierr.InvalidField("cursor", "send page or cursor, not both")
	}
	p := httpx.ParseCursor(text)
	if p == nil || p.At.Year() < 1970 || p.At.Year() > 9999 || !uid.Is(p.Key) {
		return nil, apierr.InvalidField("cursor", "must be the next_cursor of another answer")
	}
	return &audit.Position{At: p.At, ID: p.Key}, nil
}

// queryLicenseID reads the filter by license; an absent one is "".
func queryLicenseID(c *gin.Context) (string, error) {
	raw, err := httpx.QueryIdentifier(c, "license_id", maxText)
	if raw == "" || err != nil {
		return "", err
	}
	id, ok := uid.Parse(raw)
	if !ok {
		return "", apierr.InvalidField("license_id", "must be the id of a license")
	}
	return id, nil
}

// queryAction reads the filter by action; an absent one is "".
func queryAction(c *gin.Context) (string, error) {
	action, err := httpx.QueryIdentifier(c, "action", maxText)
	if action == "" || err != nil {
		return "", err
	}
	bad := apierr.Fields{}
	bad.OneOf("action", action, pkgaudit.Actions...)
	return action, bad.Err()
}

func newEntryBody(e audit.Entry) entryBody {
	return entryBody{
		AuditID:    e.ID,
		OccurredAt: e.OccurredAt,
		Actor:      actorBody{ID: e.Actor.GetId(), Name: e.Actor.GetName(), Role: e.Actor.GetRole()},
		Action:     e.Action,
		LicenseID:  httpx.TextOrNull(e.LicenseID),
		Before:     e.Before,
		After:      e.After,
		IP:         httpx.TextOrNull(e.Actor.GetIp()),
		RequestID:  httpx.TextOrNull(e.Actor.GetRequestId()),
	}
}
