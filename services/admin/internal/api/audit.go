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
var auditFilters = []string{"license_id", "actor_id", "action", "after", "before", "page", "per_page"}

type entriesBody struct {
	Entries []entryBody `json:"entries"`
	httpx.Page
}

func (a *API) searchAudit(c *gin.Context) error {
	f, p, err := auditFilter(c)
	if err != nil {
		return err
	}
	entries, total, err := a.Audit.Search(c.Request.Context(), f)
	if err != nil {
		return err
	}
	body := entriesBody{Entries: []entryBody{}, Page: p.Of(total)}
	for _, e := range entries {
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
	f.Before, err = httpx.QueryTime(c, "before")
	return f, p, err
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
