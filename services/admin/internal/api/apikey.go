package api

import (
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
)

// apiKeyBody is an API key as the public API shows it.
type apiKeyBody struct {
	ID               string        `json:"id"`
	APIKey           string        `json:"api_key,omitempty"` // shown when it is made, never again
	ClientName       string        `json:"client_name"`
	AllowedEndpoints []string      `json:"allowed_endpoints"`
	RateLimit        rateLimitBody `json:"rate_limit"`
	CreatedAt        *time.Time    `json:"created_at"`
	ExpiresAt        *time.Time    `json:"expires_at"`
	// OldExpiresAt is in the answer of rotate alone.
	OldExpiresAt *time.Time `json:"old_api_key_expires_at,omitempty"`
}

type rateLimitBody struct {
	PerMinute int32  `json:"per_minute"`
	PerHour   int32  `json:"per_hour"`
	Per       string `json:"per"`
}

func newAPIKeyBody(k *authv1.APIKey, revealed string) apiKeyBody {
	limit := k.GetRateLimit()
	return apiKeyBody{
		ID:               k.GetApiKeyId(),
		APIKey:           revealed,
		ClientName:       k.GetClientName(),
		AllowedEndpoints: k.GetAllowedEndpoints(),
		RateLimit:        rateLimitBody{PerMinute: limit.GetPerMinute(), PerHour: limit.GetPerHour(), Per: limit.GetPer()},
		CreatedAt:        instant(k.GetCreatedAt()),
		ExpiresAt:        instant(k.GetExpiresAt()),
	}
}

type rateLimitChange struct {
	PerMinute *int32  `json:"per_minute"`
	PerHour   *int32  `json:"per_hour"`
	Per       *string `json:"per" text:"identifier"`
}

// newAPIKey is an API key to create, as the public API takes it.
type newAPIKey struct {
	ClientName       string          `json:"client_name" text:"identifier"`
	AllowedEndpoints []string        `json:"allowed_endpoints" text:"identifier"`
	RateLimit        rateLimitChange `json:"rate_limit"`
	ExpiresAt        *time.Time      `json:"expires_at" time:"end"`
}

func (n newAPIKey) message() *authv1.APIKeyChange {
	m := n.RateLimit.message()
	m.ClientName, m.AllowedEndpoints = &n.ClientName, &authv1.Endpoints{Values: n.AllowedEndpoints}
	if n.ExpiresAt != nil {
		m.ExpiresAt = timestamppb.New(*n.ExpiresAt)
	}
	return m
}

func (l rateLimitChange) message() *authv1.APIKeyChange {
	return &authv1.APIKeyChange{PerMinute: l.PerMinute, PerHour: l.PerHour, Per: l.Per}
}

// apiKeyChange is what PATCH takes: only the members that are present change.
type apiKeyChange struct {
	ClientName       httpx.Optional[string]          `json:"client_name" text:"identifier"`
	AllowedEndpoints httpx.Optional[[]string]        `json:"allowed_endpoints" text:"identifier"`
	RateLimit        httpx.Optional[rateLimitChange] `json:"rate_limit"`
	ExpiresAt        httpx.Optional[time.Time]       `json:"expires_at" null:"ok" time:"end"`
}

func (ch apiKeyChange) message() *authv1.APIKeyChange {
	m := ch.RateLimit.Value.message()
	m.ClientName, m.Endless = ch.ClientName.Pointer(), ch.ExpiresAt.Null
	if ch.AllowedEndpoints.Present {
		m.AllowedEndpoints = &authv1.Endpoints{Values: ch.AllowedEndpoints.Value}
	}
	if ch.ExpiresAt.Present && !ch.ExpiresAt.Null {
		m.ExpiresAt = timestamppb.New(ch.ExpiresAt.Value)
	}
	return m
}

func (a *API) createAPIKey(c *gin.Context) error {
	var in newAPIKey
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	idem, err := idempotencyKey(c)
	if err != nil {
		return err
	}
	res, err := a.Auth.CreateAPIKey(c.Request.Context(), connect.NewRequest(&authv1.CreateAPIKeyRequest{
		Actor:          actor(c).Message(),
		ApiKey:         in.message(),
		IdempotencyKey: forwarded(idem),
	}))
	if err != nil {
		return err
	}
	c.JSON(http.StatusCreated, newAPIKeyBody(res.Msg.GetApiKey(), res.Msg.GetSecret()))
	return nil
}

func (a *API) listAPIKeys(c *gin.Context) error {
	res, err := a.Auth.ListAPIKeys(c.Request.Context(), connect.NewRequest(&authv1.ListAPIKeysRequest{}))
	if err != nil {
		return err
	}
	body := struct {
		APIKeys []apiKeyBody `json:"api_keys"`
	}{[]apiKeyBody{}}
	for _, k := range res.Msg.GetApiKeys() {
		body.APIKeys = append(body.APIKeys, newAPIKeyBody(k, ""))
	}
	c.JSON(http.StatusOK, body)
	return nil
}

func (a *API) updateAPIKey(c *gin.Context) error {
	var in apiKeyChange
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	res, err := a.Auth.UpdateAPIKey(c.Request.Context(), connect.NewRequest(&authv1.UpdateAPIKeyRequest{
		Actor:    actor(c).Message(),
		ApiKeyId: apiKeyID(c),
		Change:   in.message(),
	}))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newAPIKeyBody(res.Msg.GetApiKey(), ""))
	return nil
}

func (a *API) rotateAPIKey(c *gin.Context) error {
	var in struct {
		GraceSeconds int32 `json:"grace_seconds"`
	}
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	idem, err := idempotencyKey(c)
	if err != nil {
		return err
	}
	res, err := a.Auth.RotateAPIKey(c.Request.Context(), connect.NewRequest(&authv1.RotateAPIKeyRequest{
		Actor:          actor(c).Message(),
		ApiKeyId:       apiKeyID(c),
		GraceSeconds:   in.GraceSeconds,
		IdempotencyKey: forwarded(idem),
	}))
	if err != nil {
		return err
	}
	body := newAPIKeyBody(res.Msg.GetApiKey(), res.Msg.GetSecret())
	body.OldExpiresAt = instant(res.Msg.GetOldExpiresAt())
	c.JSON(http.StatusOK, body)
	return nil
}

func (a *API) revokeAPIKey(c *gin.Context) error {
	if err := noBody(c); err != nil {
		return err
	}
	id := apiKeyID(c)
	res, err := a.Auth.RevokeAPIKey(c.Request.Context(), connect.NewRequest(&authv1.RevokeAPIKeyRequest{Actor: actor(c).Message(), ApiKeyId: id}))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, struct {
		ID        string     `json:"id"`
		Revoked   bool       `json:"revoked"`
		RevokedAt *time.Time `json:"revoked_at"`
	}{id, true, instant(res.Msg.GetRevokedAt())})
	return nil
}
