package api

import (
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
)

const credentialHeader = "X-Admin-Api-Key" // canonical

// callerKey is where the request keeps who asks.
type callerKey struct{}

// require lets a request through only with an admin key whose role covers need.
func (a *API) require(need adminkey.Role) gin.HandlerFunc {
	return func(c *gin.Context) {
		key, err := a.authenticate(c)
		if err == nil && !key.Role.Covers(need) {
			err = adminkey.ErrRole.With("required", need).With("role", key.Role)
		}
		if err != nil {
			httpx.WriteError(c, err)
			return
		}
		c.Set(callerKey{}, key)
	}
}

// authenticate finds the key of the request.
func (a *API) authenticate(c *gin.Context) (key adminkey.Key, err error) {
	sent := httpx.Credential(c.Request.Header, credentialHeader)
	if !adminkey.WellFormed(sent) {
		return key, a.Attempts.Refuse(c, adminkey.ErrInvalidKey)
	}
	err = a.Attempts.Try(c, guard.Of(c, adminkey.Prefix, sent), func() error {
		key, err = a.Keys.Authenticate(c.Request.Context(), sent)
		return err
	})
	return key, err
}

// caller is the admin key that require let through.
func caller(c *gin.Context) adminkey.Key {
	key, _ := c.MustGet(callerKey{}).(adminkey.Key)
	return key
}

// actor is the caller as the audit log shows who made a change.
func actor(c *gin.Context) *audit.Actor {
	key := caller(c)
	return &audit.Actor{
		Id:        key.ID,
		Name:      key.Name,
		Role:      string(key.Role),
		Ip:        httpx.ClientIP(c),
		RequestId: httpx.RequestID(c.Request.Context()),
	}
}
