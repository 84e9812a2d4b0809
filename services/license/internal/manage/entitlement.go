package manage

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// entitlementBody is an entitlement as answers show it.
type entitlementBody struct {
	Code      string          `json:"code"`
	Name      *string         `json:"name"`
	ExpiresAt *time.Time      `json:"expires_at"`
	Slots     *int            `json:"slots"`
	Counter   *string         `json:"counter"`
	Metadata  json.RawMessage `json:"metadata"`
}

func newEntitlementBody(e *licensing.Entitlement) entitlementBody {
	return entitlementBody{
		Code:      e.Code,
		Name:      httpx.TextOrNull(e.Name),
		ExpiresAt: httpx.TimeOrNull(e.ExpiresAt),
		Slots:     wire.CountOrNull(e.Slots, 0),
		Counter:   httpx.TextOrNull(e.Counter),
		Metadata:  object(e.Metadata),
	}
}

func newEntitlementBodies(all []licensing.Entitlement) []entitlementBody {
	bodies := []entitlementBody{} // never null
	for i := range all {
		bodies = append(bodies, newEntitlementBody(&all[i]))
	}
	return bodies
}

// entitlementMembers are what can be said of an entitlement beside its code; null in each is the absence of it.
type entitlementMembers struct {
	Name      jsonbody.Optional[string]          `json:"name" null:"ok"`
	ExpiresAt jsonbody.Optional[jsonbody.End]    `json:"expires_at" null:"ok"`
	Slots     jsonbody.Optional[int]             `json:"slots" null:"ok"`
	Counter   jsonbody.Optional[string]          `json:"counter" null:"ok" text:"identifier"`
	Metadata  jsonbody.Optional[jsonbody.Object] `json:"metadata" null:"ok"`
}

func (m *entitlementMembers) entitlement(code string) licensing.Entitlement {
	slots := m.Slots.Value
	if m.Slots.Present && !m.Slots.Null && slots == 0 {
		slots = -1 // which is refused: the 0 of the rules is null here
	}
	return licensing.Entitlement{
		Code:      code,
		Name:      m.Name.Value,
		ExpiresAt: m.ExpiresAt.Value.Time,
		Day:       m.ExpiresAt.Value.Day,
		Slots:     slots,
		Counter:   m.Counter.Value,
		Metadata:  compact(m.Metadata.Value),
	}
}

// compact is a JSON object as it is stored within others, so that the same object is no change; nil for an empty one.
func compact(o jsonbody.Object) json.RawMessage {
	var short bytes.Buffer
	if len(o) == 0 || json.Compact(&short, o) != nil || short.String() == "{}" {
		return nil
	}
	return short.Bytes()
}

// newEntitlement is an entitlement in the terms of a license.
type newEntitlement struct {
	Code string `json:"code" text:"identifier"`
	entitlementMembers
}

func newEntitlements(list *[]newEntitlement) *[]licensing.Entitlement {
	if list == nil {
		return nil
	}
	all := make([]licensing.Entitlement, len(*list))
	for i := range *list {
		all[i] = (*list)[i].entitlement((*list)[i].Code)
	}
	return &all
}

type entitlementsBody struct {
	LicenseID    string            `json:"license_id"`
	Entitlements []entitlementBody `json:"entitlements"`
	pageBody
}

func (m *Manage) listEntitlements(c *gin.Context) error {
	span, err := querySpanOf(c, 100, 100, inNumbers)
	if err != nil {
		return err
	}
	l, err := m.Reads.Find(c.Request.Context(), licenseID(c))
	if err != nil {
		return err
	}
	page := shortPage(newEntitlementBodies(l.AllEntitlements()), span)
	return show(c, http.StatusOK, l.Version, entitlementsBody{l.ID, page.Items, newCountedBody(span, page)})
}

func (m *Manage) putEntitlement(c *gin.Context) error {
	var in entitlementMembers
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	e := in.entitlement(jsonbody.Identifier(c.Param("code")))
	l, err := m.Licenses.PutEntitlement(c.Request.Context(), rpc.ActorOf(c), licenseID(c), e)
	if err != nil {
		return err
	}
	e, _ = l.Entitlement(e.Code)
	return show(c, http.StatusOK, l.Version, struct {
		LicenseID string `json:"license_id"`
		entitlementBody
	}{l.ID, newEntitlementBody(&e)})
}

func (m *Manage) deleteEntitlement(c *gin.Context) error {
	code := jsonbody.Identifier(c.Param("code"))
	l, err := m.Licenses.DeleteEntitlement(c.Request.Context(), rpc.ActorOf(c), licenseID(c), code)
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, l.Version, struct {
		LicenseID string `json:"license_id"`
		Code      string `json:"code"`
		Deleted   bool   `json:"deleted"`
	}{l.ID, code, true})
}
