package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
)

// keyBody is an admin key as the public API shows it.
type keyBody struct {
	ID        string        `json:"id"`
	Name      string        `json:"name"`
	Role      adminkey.Role `json:"role"`
	CreatedAt time.Time     `json:"created_at"`
}

func newKeyBody(k adminkey.Key) keyBody {
	return keyBody{ID: k.ID, Name: k.Name, Role: k.Role, CreatedAt: k.CreatedAt}
}

type createdKeyBody struct {
	keyBody
	// AdminAPIKey is the secret; it is shown this once.
	AdminAPIKey string `json:"admin_api_key"`
}

func (a *API) createKey(c *gin.Context) error {
	var in struct {
		Name string `json:"name" text:"identifier"`
		Role string `json:"role" text:"identifier"`
	}
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	by := actor(c)
	body, err := idempotency.Answer(c, a.Idempotency, caller(c).ID, func(ctx context.Context) (createdKeyBody, error) {
		key, shown, err := a.Keys.Create(ctx, by, in.Name, adminkey.Role(in.Role))
		return createdKeyBody{keyBody: newKeyBody(key), AdminAPIKey: shown}, err
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusCreated, body)
	return nil
}

func (a *API) listKeys(c *gin.Context) error {
	keys, err := a.Keys.Store.Keys(c.Request.Context())
	if err != nil {
		return err
	}
	body := struct {
		AdminKeys []keyBody `json:"admin_keys"`
	}{[]keyBody{}}
	for _, k := range keys {
		body.AdminKeys = append(body.AdminKeys, newKeyBody(k))
	}
	c.JSON(http.StatusOK, body)
	return nil
}

func (a *API) deleteKey(c *gin.Context) error {
	if err := httpx.BindOptional(c, &struct{}{}); err != nil {
		return err
	}
	id, ok := uid.Parse(c.Param("key_id"))
	if !ok {
		return adminkey.ErrNotFound
	}
	key, at, err := a.Keys.Delete(c.Request.Context(), actor(c), id)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, struct {
		keyBody
		DeletedAt time.Time `json:"deleted_at"`
	}{newKeyBody(key), at})
	return nil
}
