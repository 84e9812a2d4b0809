package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
)

// integrationBody is an integration as the public API shows it.
type integrationBody struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// The secrets are in the answers of create and rotate alone.
	APIKey       string `json:"api_key,omitempty"`
	SharedKey    string `json:"shared_key,omitempty"`
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	PublicKeyPEM string `json:"public_key_pem,omitempty"`
	// FormerUntil is in the answer of rotate alone.
	FormerUntil *time.Time `json:"former_key_valid_until,omitempty"`
	// Products are codes, none for all.
	Products   []string          `json:"products"`
	ReadOnly   bool              `json:"read_only"`
	ServerSide bool              `json:"server_side"`
	RateLimit  integrationLimits `json:"rate_limit"`
	CreatedAt  time.Time         `json:"created_at"`
}

type integrationLimits struct {
	PerMinute int             `json:"per_minute"`
	PerHour   int             `json:"per_hour"`
	Per       integration.Per `json:"per"`
}

func newIntegrationBody(i integration.Integration) integrationBody {
	return integrationBody{
		ID:         i.ID,
		Name:       i.Name,
		Products:   append([]string{}, i.Products...),
		ReadOnly:   i.ReadOnly,
		ServerSide: i.ServerSide,
		RateLimit: integrationLimits{
			PerMinute: i.RateLimit.PerMinute, PerHour: i.RateLimit.PerHour, Per: i.Per,
		},
		CreatedAt: i.CreatedAt.UTC(),
	}
}

func newCreatedIntegration(made integration.Created) integrationBody {
	body := newIntegrationBody(made.Integration)
	body.APIKey, body.SharedKey = made.Key.APIKey, made.Key.SharedKey
	body.ClientID, body.ClientSecret = made.Key.ClientID, made.Key.ClientSecret
	body.PublicKeyPEM, body.FormerUntil = made.PublicKeyPEM, httpx.TimeOrNull(made.FormerUntil)
	return body
}

// newIntegration is an integration to make.
type newIntegration struct {
	Name       string   `json:"name" text:"identifier"`
	Products   []string `json:"products" text:"identifier" max:"100"`
	ReadOnly   bool     `json:"read_only"`
	ServerSide bool     `json:"server_side"`
	RateLimit  struct {
		PerMinute *int             `json:"per_minute"`
		PerHour   *int             `json:"per_hour"`
		Per       *integration.Per `json:"per" text:"identifier"`
	} `json:"rate_limit"`
}

// Unsettable implements jsonbody.Unsettable.
func (newIntegration) Unsettable() map[string]string {
	return map[string]string{
		"id": "it is made", "api_key": "it is made", "shared_key": "it is made", "client_id": "it is made",
		"client_secret": "it is made", "public_key_pem": "it is made", "created_at": "",
	}
}

func (n newIntegration) wanted() integration.Wanted {
	return integration.Wanted{
		Name:       n.Name,
		Products:   n.Products,
		ReadOnly:   n.ReadOnly,
		ServerSide: n.ServerSide,
		PerMinute:  n.RateLimit.PerMinute,
		PerHour:    n.RateLimit.PerHour,
		Per:        n.RateLimit.Per,
	}
}

func (m *Manage) createIntegration(c *gin.Context) error {
	var in newIntegration
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (integrationBody, error) {
		made, err := m.Integrations.Create(ctx, by, in.wanted())
		return newCreatedIntegration(made), err
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusCreated, body)
	return nil
}

func (m *Manage) listIntegrations(c *gin.Context) error {
	return answerList(c, inTime, m.Integrations.Store.Integrations,
		func(items []integration.Integration, page pageBody) any {
			return struct {
				Integrations []integrationBody `json:"integrations"`
				pageBody
			}{bodies(items, newIntegrationBody), page}
		})
}

func (m *Manage) rotateIntegration(c *gin.Context) error {
	var in struct {
		OverlapHours *int `json:"overlap_hours"`
	}
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	if in.OverlapHours == nil {
		return apierr.InvalidField("overlap_hours", "is required; 0 ends the previous key at once")
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (integrationBody, error) {
		made, err := m.Integrations.Rotate(ctx, by, pathID(c, "integration_id"), *in.OverlapHours)
		return newCreatedIntegration(made), err
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, body)
	return nil
}

func (m *Manage) deleteIntegration(c *gin.Context) error {
	id := pathID(c, "integration_id")
	if err := m.Integrations.Delete(c.Request.Context(), rpc.ActorOf(c), id); err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, struct {
		ID      string `json:"id"`
		Deleted bool   `json:"deleted"`
	}{id, true})
	return nil
}
