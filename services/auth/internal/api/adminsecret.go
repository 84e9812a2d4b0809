package api

import (
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

// There is one admin secret, so there is one administrator as far as auth knows.
const (
	adminHeader = "X-Admin-Secret"
	adminPrefix = "as_" // of a secret that package secret made
	adminID     = "admin-secret"
)

var errInvalidAdminSecret = apierr.New(apierr.Unauthenticated, errcode.InvalidAdminSecret,
	"the admin secret is missing or wrong; send it once, in the header X-Admin-Secret")

// requireAdminSecret admits the administrator, whom rpc.ActorOf then tells.
func (a *API) requireAdminSecret(c *gin.Context) {
	if err := a.checkAdminSecret(c); err != nil {
		httpx.WriteError(c, err)
		return
	}
	httpx.SetCaller(c, actor(c))
}

func (a *API) checkAdminSecret(c *gin.Context) error {
	given := httpx.Credential(c.Request.Header, adminHeader)
	if given == "" {
		return a.AdminAttempts.Refuse(c, errInvalidAdminSecret)
	}
	return a.AdminAttempts.Try(c, guard.Of(c, adminPrefix, given), func() error {
		for _, s := range a.AdminSecrets {
			if s != "" && secret.Equal(given, s.Reveal()) {
				return nil
			}
		}
		return errInvalidAdminSecret
	})
}

func actor(c *gin.Context) *credential.Actor {
	return &credential.Actor{
		Id:        adminID,
		Name:      "administrator at auth",
		Role:      "owner",
		Ip:        httpx.ClientIP(c),
		RequestId: httpx.RequestID(c.Request.Context()),
	}
}
