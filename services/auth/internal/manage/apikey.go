package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

type createAPIKeyRequest struct {
	ClientName       string            `json:"client_name" text:"identifier"`
	AllowedEndpoints []string          `json:"allowed_endpoints" text:"identifier"`
	Product          *string           `json:"product" text:"identifier"`
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
	n := credential.NewAPIKey{
		ClientName: r.ClientName, Allowed: r.AllowedEndpoints, Product: r.Product, ExpiresAt: r.ExpiresAt,
	}
	if l := r.RateLimit; l != nil {
		n.PerMinute, n.PerHour, n.Per = l.PerMinute, l.PerHour, l.Per
	}
	return n
}

// rateLimitPatch is what PATCH takes of the rate limit, which it does not replace: members that are absent stay.
type rateLimitPatch struct {
	PerMinute jsonbody.Optional[int]    `json:"per_minute"`
	PerHour   jsonbody.Optional[int]    `json:"per_hour"`
	Per       jsonbody.Optional[string] `json:"per" text:"identifier"`
}

// updateAPIKeyRequest is what PATCH takes: only the members that are present change.
type updateAPIKeyRequest struct {
	ClientName       jsonbody.Optional[string]         `json:"client_name" text:"identifier"`
	AllowedEndpoints jsonbody.Optional[[]string]       `json:"allowed_endpoints" text:"identifier"`
	RateLimit        jsonbody.Optional[rateLimitPatch] `json:"rate_limit"`
	ExpiresAt        jsonbody.Optional[time.Time]      `json:"expires_at" null:"ok" time:"end"`
}

// Unsettable implements jsonbody.Unsettable.
func (updateAPIKeyRequest) Unsettable() map[string]string {
	return map[string]string{"product": "it cannot change; make another key"}
}

func (r updateAPIKeyRequest) patch() credential.APIKeyPatch {
	l := r.RateLimit.Value
	return credential.APIKeyPatch{
		ClientName: r.ClientName.Pointer(), Allowed: r.AllowedEndpoints.Pointer(), ExpiresAt: r.ExpiresAt.Pointer(),
		PerMinute: l.PerMinute.Pointer(), PerHour: l.PerHour.Pointer(), Per: l.Per.Pointer(),
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
	Product          *string           `json:"product"`
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
		Product: httpx.TextOrNull(k.Product), RateLimit: rateLimitResponse(k.RateLimit),
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

// CreateAPIKey makes an API key; its secret is in this answer only.
func (m *Manage) CreateAPIKey(c *gin.Context) error {
	var req createAPIKeyRequest
	if err := httpx.BindOptional(c, &req); err != nil {
		return err
	}
	by := rpc.ActorOf(c)
	res, err := idempotency.Answer(c, m.Idempotency, by.GetId(), func(ctx context.Context) (apiKeyResponse, error) {
		k, revealed, err := m.Keys.Create(ctx, by, req.key())
		return newAPIKeyResponse(k, revealed), err
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusCreated, res)
	return nil
}

// ListAPIKeys answers the keys in force, newest first.
func (m *Manage) ListAPIKeys(c *gin.Context) error {
	keys, err := m.Keys.Store.Keys(c.Request.Context())
	if err != nil {
		return err
	}
	res := apiKeysResponse{APIKeys: make([]apiKeyResponse, len(keys))}
	for i, k := range keys {
		res.APIKeys[i] = newAPIKeyResponse(k, "")
	}
	c.PureJSON(http.StatusOK, res)
	return nil
}

// UpdateAPIKey changes the members that are present.
func (m *Manage) UpdateAPIKey(c *gin.Context) error {
	var req updateAPIKeyRequest
	if err := httpx.BindOptional(c, &req); err != nil {
		return err
	}
	k, err := m.Keys.Update(c.Request.Context(), rpc.ActorOf(c), c.Param("id"), req.patch())
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, newAPIKeyResponse(k, ""))
	return nil
}

// RevokeAPIKey ends a key at once.
func (m *Manage) RevokeAPIKey(c *gin.Context) error {
	id, _ := uid.Parse(c.Param("id")) // no key has the empty id
	at, err := m.Keys.Revoke(c.Request.Context(), rpc.ActorOf(c), id)
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, revokeResponse{ID: id, Revoked: true, RevokedAt: at})
	return nil
}

// RotateAPIKey gives a key a new secret; the one before holds for a while if the request says so.
func (m *Manage) RotateAPIKey(c *gin.Context) error {
	var req rotateAPIKeyRequest
	if err := httpx.BindOptional(c, &req); err != nil {
		return err
	}
	by := rpc.ActorOf(c)
	res, err := idempotency.Answer(c, m.Idempotency, by.GetId(), func(ctx context.Context) (apiKeyResponse, error) {
		k, revealed, oldEnd, err := m.Keys.Rotate(ctx, by, c.Param("id"), req.GraceSeconds)
		res := newAPIKeyResponse(k, revealed)
		res.OldExpiresAt = &oldEnd
		return res, err
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, res)
	return nil
}
