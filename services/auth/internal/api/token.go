package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/refusal"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

type tokenRequest struct {
	LicenseID  string `json:"license_id" text:"identifier"`
	HardwareID string `json:"hardware_id" text:"identifier"`
	AppVersion string `json:"app_version" text:"identifier"`
	IsVM       bool   `json:"is_vm"`
	UserToken  string `json:"user_token" text:"identifier"`
}

type refreshRequest struct {
	RefreshToken string `json:"refresh_token" text:"identifier"`
}

type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
}

func newTokenResponse(p credential.Pair) tokenResponse {
	return tokenResponse{
		AccessToken:  p.Access,
		RefreshToken: p.Refresh,
		TokenType:    "Bearer",
		ExpiresIn:    int(p.ExpiresIn / time.Second),
	}
}

type verifyResponse struct {
	Valid      bool      `json:"valid"`
	LicenseID  string    `json:"license_id"`
	HardwareID string    `json:"hardware_id"`
	IssuedAt   time.Time `json:"issued_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	TokenID    string    `json:"token_id"`
}

func (a *API) issueTokens(c *gin.Context) error {
	var req tokenRequest
	if err := httpx.Bind(c, &req); err != nil {
		return err
	}
	once, err := a.once(c, idempotency.Key{Scope: apikey.Of(c).ID + " "}, new(credential.Pair))
	if err != nil {
		return err
	}
	pair, err := a.Tokens.Issue(c.Request.Context(), caller(c), credential.Device(req), once)
	if err != nil {
		return err
	}
	a.TokenAttempts.Trust(guard.Made(secret.Hash(pair.Refresh)))
	c.JSON(http.StatusOK, newTokenResponse(pair))
	return nil
}

func (a *API) refreshTokens(c *gin.Context) error {
	var req refreshRequest
	if err := httpx.Bind(c, &req); err != nil {
		return err
	}
	var kept credential.Pair
	once, err := a.once(c, idempotency.Key{Last: true}, &kept)
	if err != nil {
		return err
	}
	pair, err := a.tryRefresh(c, req.RefreshToken, once)
	if err != nil || pair != kept { // the one that was kept is void, and another may have taken its place
		c.Writer.Header().Del(httpx.HeaderReplayed)
	}
	if err != nil {
		return err
	}
	a.TokenAttempts.Trust(guard.Made(secret.Hash(pair.Refresh)))
	c.JSON(http.StatusOK, newTokenResponse(pair))
	return nil
}

func (a *API) tryRefresh(c *gin.Context, raw string, once credential.Once) (pair credential.Pair, err error) {
	err = a.TokenAttempts.Try(c, guard.Of(c, credential.RefreshPrefix, raw), func() error {
		pair, err = a.Tokens.Refresh(c.Request.Context(), caller(c), raw, once)
		return err
	})
	return pair, err
}

// once makes the Idempotency-Key of the request hold, which belongs to the scope of like and a subject together, and is
// kept as like says; nil without one. kept becomes the pair that it holds for.
func (a *API) once(c *gin.Context, like idempotency.Key, kept *credential.Pair) (credential.Once, error) {
	key, err := idempotency.KeyOf(c, like.Scope)
	if err != nil || key.Key == "" {
		return nil, err
	}
	key.Last = like.Last
	return func(ctx context.Context, subject string,
		fn func(ctx context.Context) (credential.Pair, error)) (_ credential.Pair, err error) {
		key.Scope = like.Scope + subject
		*kept, err = idempotency.Do(ctx, a.Idempotency, key, fn)
		return *kept, err
	}, nil
}

func (a *API) verifyToken(c *gin.Context) error {
	raw, err := guard.Bearer(c.Request.Header, "access token")
	if err != nil {
		return a.TokenAttempts.Refuse(c, err)
	}
	v, err := a.Tokens.Verify(c.Request.Context(), caller(c), raw)
	if err != nil {
		return a.TokenAttempts.RefuseToken(c, raw, err)
	}
	c.JSON(http.StatusOK, verifyResponse{
		Valid:      true,
		LicenseID:  v.LicenseID,
		HardwareID: v.HardwareID,
		IssuedAt:   v.IssuedAt,
		ExpiresAt:  v.ExpiresAt,
		TokenID:    v.TokenID,
	})
	return nil
}

// keySet lets others keep the answer for as long as our own services do.
func (a *API) keySet(c *gin.Context) error {
	set, err := a.SigningKeys.KeySet(c.Request.Context())
	if err != nil {
		return err
	}
	c.Header("Cache-Control", "public, max-age=300")
	c.Data(http.StatusOK, "application/json; charset=utf-8", set)
	return nil
}

// caller is where the request comes from.
func caller(c *gin.Context) credential.Caller {
	return credential.Caller{
		Origin:  refusal.Origin{IP: httpx.ClientIP(c), ViaProxy: httpx.ViaProxy(c)},
		Product: apikey.Of(c).Product,
	}
}
