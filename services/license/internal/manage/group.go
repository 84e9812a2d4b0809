package manage

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/group"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// groupBody is a group as the public API shows it. Limits are null for any number.
type groupBody struct {
	GroupID         string          `json:"group_id"`
	Name            string          `json:"name"`
	MaxDevices      *int            `json:"max_devices"`
	MaxLicenses     *int            `json:"max_licenses"`
	CurrentDevices  int             `json:"current_devices"`
	CurrentLicenses int             `json:"current_licenses"`
	Metadata        json.RawMessage `json:"metadata"`
	Version         int             `json:"version"`
	CreatedAt       time.Time       `json:"created_at"`
	UpdatedAt       time.Time       `json:"updated_at"`
}

func newGroupBody(g licensing.Group) groupBody {
	return groupBody{
		GroupID:         g.ID,
		Name:            g.Name,
		MaxDevices:      wire.CountOrNull(g.MaxDevices, licensing.Unlimited),
		MaxLicenses:     wire.CountOrNull(g.MaxLicenses, licensing.Unlimited),
		CurrentDevices:  g.CurrentDevices,
		CurrentLicenses: g.CurrentLicenses,
		Metadata:        object(g.Metadata),
		Version:         g.Version,
		CreatedAt:       g.CreatedAt.UTC(),
		UpdatedAt:       g.UpdatedAt.UTC(),
	}
}

// newGroup is a group to create.
type newGroup struct {
	Name        *string                `json:"name" text:"identifier"`
	MaxDevices  jsonbody.Optional[int] `json:"max_devices" null:"ok"`
	MaxLicenses jsonbody.Optional[int] `json:"max_licenses" null:"ok"`
	Metadata    jsonbody.Object        `json:"metadata"`
}

// Unsettable implements jsonbody.Unsettable.
func (newGroup) Unsettable() map[string]string {
	members := madeMembers("group_id")
	members["current_devices"], members["current_licenses"] = "it is counted", "it is counted"
	return members
}

func (n newGroup) wanted() group.Change {
	return group.Change{
		Name:        n.Name,
		MaxDevices:  licensing.Optional[int](n.MaxDevices),
		MaxLicenses: licensing.Optional[int](n.MaxLicenses),
		Metadata:    (*json.RawMessage)(&n.Metadata),
	}
}

// groupChange is what PATCH takes: only the members that are present change.
type groupChange struct {
	Name        jsonbody.Optional[string]          `json:"name" text:"identifier"`
	MaxDevices  jsonbody.Optional[int]             `json:"max_devices" null:"ok"`
	MaxLicenses jsonbody.Optional[int]             `json:"max_licenses" null:"ok"`
	Metadata    jsonbody.Optional[jsonbody.Object] `json:"metadata"`
}

// Unsettable implements jsonbody.Unsettable.
func (groupChange) Unsettable() map[string]string {
	return map[string]string{
		"group_id": "it cannot change", "version": "send the ETag in If-Match", "created_at": "", "updated_at": "",
		"current_devices": "it is counted", "current_licenses": "it is counted",
	}
}

func (g groupChange) change() group.Change {
	return group.Change{
		Name:        g.Name.Pointer(),
		MaxDevices:  licensing.Optional[int](g.MaxDevices),
		MaxLicenses: licensing.Optional[int](g.MaxLicenses),
		Metadata:    (*json.RawMessage)(g.Metadata.Pointer()),
	}
}

// groupID reads the id of the path. What is no UUID becomes one that no group has.
func groupID(c *gin.Context) string { return pathID(c, "group_id") }

func (m *Manage) createGroup(c *gin.Context) error {
	var in newGroup
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (groupBody, error) {
		g, err := m.Groups.Create(ctx, by, in.wanted())
		return newGroupBody(g), err
	})
	if err != nil {
		return err
	}
	return show(c, http.StatusCreated, body.Version, body)
}

func (m *Manage) listGroups(c *gin.Context) error {
	return answerList(c, inTime, m.Groups.Store.Groups, func(items []licensing.Group, page pageBody) any {
		return struct {
			Groups []groupBody `json:"groups"`
			pageBody
		}{bodies(items, newGroupBody), page}
	})
}

func (m *Manage) getGroup(c *gin.Context) error {
	g, err := m.Groups.Find(c.Request.Context(), groupID(c))
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, g.Version, newGroupBody(g))
}

func (m *Manage) updateGroup(c *gin.Context) error {
	var in groupChange
	version, err := bindChange(c, &in)
	if err != nil {
		return err
	}
	g, err := m.Groups.Update(c.Request.Context(), rpc.ActorOf(c), groupID(c), version, in.change())
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, g.Version, newGroupBody(g))
}

// deleteGroup removes a group; its licenses stay, without one.
func (m *Manage) deleteGroup(c *gin.Context) error {
	version, err := ifVersion(c)
	if err != nil {
		return err
	}
	id := groupID(c)
	if err := m.Groups.Delete(c.Request.Context(), rpc.ActorOf(c), id, version); err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, struct {
		GroupID string `json:"group_id"`
		Deleted bool   `json:"deleted"`
	}{id, true})
	return nil
}
