package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
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

var errInvalidAdminSecret = apierr.New(apierr.Unauthenticated, errcode.InvalidAdminSecret, "the admin secret is missing or wrong; send it once, in the header X-Admin-Secret")

// requireAdminSecret admits the administrator.
func (a api) requireAdminSecret(c *gin.Context) {
	if err := a.checkAdminSecret(c); err != nil {
		httpx.WriteError(c, err)
	}
}

func (a api) checkAdminSecret(c *gin.Context) error {
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
		Id: adminID, Name: "administrator at auth", Role: "owner", Ip: httpx.ClientIP(c), RequestId: httpx.RequestID(c.Request.Context()),
	}
}

type createAPIKeyRequest struct {
	ClientName       string            `json:"client_name" text:"identifier"`
	AllowedEndpoints []string          `json:"allowed_endpoints" text:"identifier"`
	RateLimit        *rateLimitRequest `json:"rate_limit"`
	ExpiresAt        *time.Time        `json:"expires_at" time:"end"`
}

type rateLimitRequest struct {
	PerMinute *int    `json:"per_minute"`
	PerHour   *int    `json:"per_hour"`
	Per       *string `json:"per" text:"identifier"`
}

// key is what is asked for; members that are absent take the defaults of the rules.
func (r createAPIKeyRequest) key() credential.NewAPIKey {
	n := credential.NewAPIKey{ClientName: r.ClientName, Allowed: r.AllowedEndpoints, ExpiresAt: r.ExpiresAt}
	if l := r.RateLimit; l != nil {
		n.PerMinute, n.PerHour, n.Per = l.PerMinute, l.PerHour, l.Per
	}
	return n
}

// updateAPIKeyRequest is what PATCH takes: only the members that are present change.
type updateAPIKeyRequest struct {
	ClientName       httpx.Optional[string]           `json:"client_name" text:"identifier"`
	AllowedEndpoints httpx.Optional[[]string]         `json:"allowed_endpoints" text:"identifier"`
	RateLimit        httpx.Optional[rateLimitRequest] `json:"rate_limit"`
	ExpiresAt        httpx.Optional[time.Time]        `json:"expires_at" null:"ok" time:"end"`
}

func (r updateAPIKeyRequest) patch() credential.APIKeyPatch {
	l := r.RateLimit.Value
	return credential.APIKeyPatch{
		ClientName: r.ClientName.Pointer(), Allowed: r.AllowedEndpoints.Pointer(), ExpiresAt: r.ExpiresAt.Pointer(),
		PerMinute: l.PerMinute, PerHour: l.PerHour, Per: l.Per,
	}
}

type rotateAPIKeyRequest struct {
	GraceSeconds int `json:"grace_seconds"`
}

type apiKeyResponse struct {
	ID               string            `json:"id"`
	APIKey           string            `json:"api_key,omitempty"`
	ClientName       string            `json:"client_name"`
	AllowedEndpoints []string          `json:"allowed_endpoints"`
	RateLimit        rateLimitResponse `json:"rate_limit"`
	CreatedAt        time.Time         `json:"created_at"`
	ExpiresAt        *time.Time        `json:"expires_at"`
	// OldExpiresAt is in the answer of rotate alone.
	OldExpiresAt *time.Time `json:"old_api_key_expires_at,omitempty"`
}

type rateLimitResponse struct {
	PerMinute int    `json:"per_minute"`
	PerHour   int    `json:"per_hour"`
	Per       string `json:"per"`
}

func newAPIKeyResponse(k credential.APIKey, revealed string) apiKeyResponse {
	r := apiKeyResponse{
		ID: k.ID, APIKey: revealed, ClientName: k.ClientName, AllowedEndpoints: k.Allowed, CreatedAt: k.CreatedAt,
		RateLimit: rateLimitResponse(k.RateLimit),
	}
	if !k.ExpiresAt.IsZero() {
		r.ExpiresAt = &k.ExpiresAt
	}
	return r
}

type apiKeysResponse struct {
	APIKeys []apiKeyResponse `json:"api_keys"`
}

type revokeResponse struct {
	ID        string    `json:"id"`
	Revoked   bool      `json:"revoked"`
	RevokedAt time.Time `json:"revoked_at"`
}

func (a api) createAPIKey(c *gin.Context) error {
	var req createAPIKeyRequest
	once, err := a.bindOnce(c, &req)
	if err != nil {
		return err
	}
	res, err := idempotency.Do(c.Request.Context(), a.Idempotency, once, func(ctx context.Context) (apiKeyResponse, error) {
		k, revealed, err := a.Keys.CreateAPIKey(ctx, actor(c), req.key())
		return newAPIKeyResponse(k, revealed), err
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusCreated, res)
	return nil
}

func (a api) listAPIKeys(c *gin.Context) error {
	keys, err := a.Keys.APIKeys(c.Request.Context())
	if err != nil {
		return err
	}
	res := apiKeysResponse{APIKeys: make([]apiKeyResponse, len(keys))}
	for i, k := range keys {
		res.APIKeys[i] = newAPIKeyResponse(k, "")
	}
	c.JSON(http.StatusOK, res)
	return nil
}

func (a api) updateAPIKey(c *gin.Context) error {
	var req updateAPIKeyRequest
	if err := httpx.BindOptional(c, &req); err != nil {
		return err
	}
	k, err := a.Keys.UpdateAPIKey(c.Request.Context(), actor(c), c.Param("id"), req.patch())
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newAPIKeyResponse(k, ""))
	return nil
}

func (a api) revokeAPIKey(c *gin.Context) error {
	id := c.Param("id")
	at, err := a.Keys.RevokeAPIKey(c.Request.Context(), actor(c), id)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, revokeResponse{ID: id, Revoked: true, RevokedAt: at})
	return nil
}

func (a api) rotateAPIKey(c *gin.Context) error {
	var req rotateAPIKeyRequest
	once, err := a.bindOnce(c, &req)
	if err != nil {
		return err
	}
	res, err := idempotency.Do(c.Request.Context(), a.Idempotency, once, func(ctx context.Context) (apiKeyResponse, error) {
		k, revealed, oldEnd, err := a.Keys.RotateAPIKey(ctx, actor(c), c.Param("id"), req.GraceSeconds)
		res := newAPIKeyResponse(k, revealed)
		res.OldExpiresAt = &oldEnd
		return res, err
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, res)
	return nil
}

// bindOnce reads the body into dst, and the Idempotency-Key that goes with it.
func (a api) bindOnce(c *gin.Context, dst any) (idempotency.Key, error) {
	if err := httpx.BindOptional(c, dst); err != nil {
		return idempotency.Key{}, err
	}
	body, err := httpx.Body(c)
	if err != nil {
		return idempotency.Key{}, err
	}
	return idempotency.FromRequest(c.Request, adminID, body)
}
