package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// userBody is a user as the public API shows it.
type userBody struct {
	UserID             string     `json:"user_id"`
	Product            string     `json:"product"`
	CustomerID         string     `json:"customer_id"`
	Email              string     `json:"email"`
	Name               *string    `json:"name"`
	MaxDevices         *int       `json:"max_devices"`
	IsLocked           bool       `json:"is_locked"`
	MustChangePassword bool       `json:"must_change_password"`
	LicenseIDs         []string   `json:"license_ids"`
	SignedInAt         *time.Time `json:"signed_in_at"`
	Version            int        `json:"version"`
	CreatedAt          time.Time  `json:"created_at"`
	UpdatedAt          time.Time  `json:"updated_at"`
	// InitialPassword is shown once, where it was made.
	InitialPassword string `json:"initial_password,omitempty"`
}

func newUserBody(u user.User) userBody {
	return userBody{
		UserID:             u.ID,
		Product:            u.Product,
		CustomerID:         u.CustomerID,
		Email:              u.Email,
		Name:               httpx.TextOrNull(u.Name),
		MaxDevices:         wire.CountOrNull(u.MaxDevices, licensing.Unlimited),
		IsLocked:           u.IsLocked,
		MustChangePassword: u.MustChangePassword,
		LicenseIDs:         append([]string{}, u.Licenses...),
		SignedInAt:         httpx.TimeOrNull(u.SignedInAt),
		Version:            u.Version,
		CreatedAt:          u.CreatedAt.UTC(),
		UpdatedAt:          u.UpdatedAt.UTC(),
	}
}

func newCreatedUserBody(made user.Created) userBody {
	body := newUserBody(made.User)
	body.InitialPassword = made.Password
	return body
}

// newUser is a user to create.
type newUser struct {
	Product         string                 `json:"product" text:"identifier"`
	CustomerID      string                 `json:"customer_id" text:"identifier"`
	Email           *string                `json:"email" text:"identifier"`
	Name            *string                `json:"name" text:"identifier"`
	MaxDevices      jsonbody.Optional[int] `json:"max_devices" null:"ok"`
	InitialPassword *string                `json:"initial_password"`
}

// Unsettable implements jsonbody.Unsettable.
func (newUser) Unsettable() map[string]string {
	members := madeMembers("user_id")
	members["is_locked"] = "lock the user once it is made"
	members["must_change_password"], members["signed_in_at"] = "", ""
	members["license_ids"] = "use PUT /api/v1/admin/licenses/{license_id}/users/{user_id}"
	return members
}

func (n newUser) wanted() user.NewUser {
	return user.NewUser{
		Product:    n.Product,
		CustomerID: n.CustomerID,
		Password:   n.InitialPassword,
		Change:     user.Change{Email: n.Email, Name: n.Name, MaxDevices: licensing.Optional[int](n.MaxDevices)},
	}
}

// userChange is what PATCH takes: only the members that are present change.
type userChange struct {
	Email      jsonbody.Optional[string] `json:"email" text:"identifier"`
	Name       jsonbody.Optional[string] `json:"name" text:"identifier" null:"ok"`
	MaxDevices jsonbody.Optional[int]    `json:"max_devices" null:"ok"`
	IsLocked   jsonbody.Optional[bool]   `json:"is_locked"`
}

// Unsettable implements jsonbody.Unsettable.
func (userChange) Unsettable() map[string]string {
	return map[string]string{
		"user_id": "it cannot change", "product": "it cannot change", "customer_id": "it cannot change",
		"version": "send the ETag in If-Match", "created_at": "", "updated_at": "", "signed_in_at": "",
		"must_change_password": "use /reset-password", "initial_password": "use /reset-password",
		"license_ids": "use PUT /api/v1/admin/licenses/{license_id}/users/{user_id}",
	}
}

func (u userChange) change() user.Change {
	c := user.Change{
		Email:      u.Email.Pointer(),
		Name:       u.Name.Pointer(),
		MaxDevices: licensing.Optional[int](u.MaxDevices),
		IsLocked:   u.IsLocked.Pointer(),
	}
	if u.Name.Null {
		c.Name = new(string)
	}
	return c
}

// userID reads the id of the path. What is no UUID becomes one that no user has.
func userID(c *gin.Context) string { return pathID(c, "user_id") }

func (m *Manage) createUser(c *gin.Context) error {
	var in newUser
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (userBody, error) {
		made, err := m.Users.Create(ctx, by, in.wanted())
		return newCreatedUserBody(made), err
	})
	if err != nil {
		return err
	}
	return show(c, http.StatusCreated, body.Version, body)
}

func (m *Manage) listUsers(c *gin.Context) error {
	span, err := querySpan(c, inTime)
	if err != nil {
		return err
	}
	q := query{c: c}
	f := user.Filter{
		Product:    q.identifier("product"),
		CustomerID: q.identifier("customer_id"),
		Email:      q.identifier("email"),
		LicenseID:  q.uuid("license_id"),
	}
	if q.err != nil {
		return q.err
	}
	page, err := m.Users.Store.Users(c.Request.Context(), f, span)
	if err != nil {
		return err
	}
	body := struct {
		Users []userBody `json:"users"`
		pageBody
	}{bodies(page.Items, newUserBody), newPageBody(span, page)}
	c.PureJSON(http.StatusOK, body)
	return nil
}

func (m *Manage) getUser(c *gin.Context) error {
	u, err := m.Users.Store.FindUser(c.Request.Context(), userID(c))
	return showUser(c, u, err)
}

func showUser(c *gin.Context, u user.User, err error) error {
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, u.Version, newUserBody(u))
}

func (m *Manage) updateUser(c *gin.Context) error {
	var in userChange
	version, err := bindChange(c, &in)
	if err != nil {
		return err
	}
	u, err := m.Users.Update(c.Request.Context(), rpc.ActorOf(c), userID(c), version, in.change())
	return showUser(c, u, err)
}

// deleteUser removes a user, whose licenses stay.
func (m *Manage) deleteUser(c *gin.Context) error {
	version, err := ifVersion(c)
	if err != nil {
		return err
	}
	id := userID(c)
	if err := m.Users.Delete(c.Request.Context(), rpc.ActorOf(c), id, version); err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, struct {
		UserID  string `json:"user_id"`
		Deleted bool   `json:"deleted"`
	}{id, true})
	return nil
}

func (m *Manage) resetPassword(c *gin.Context) error {
	var in struct {
		InitialPassword *string `json:"initial_password"`
	}
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	id := userID(c)
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (userBody, error) {
		made, err := m.Users.ResetPassword(ctx, by, id, in.InitialPassword)
		return newCreatedUserBody(made), err
	})
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, body.Version, body)
}

func (m *Manage) assignUser(c *gin.Context) error {
	u, err := m.Users.Assign(c.Request.Context(), rpc.ActorOf(c), licenseID(c), userID(c))
	return showUser(c, u, err)
}

func (m *Manage) unassignUser(c *gin.Context) error {
	u, err := m.Users.Unassign(c.Request.Context(), rpc.ActorOf(c), licenseID(c), userID(c))
	return showUser(c, u, err)
}
