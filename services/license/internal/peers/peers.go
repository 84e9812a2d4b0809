// Package peers is what license asks its peer services.
package peers

import (
	"context"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/token"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
)

// Auth is the auth service, with what is kept of its answers. While it is away, API keys that were seen before are good
// for cache.PeerAwayFor, and calls with others are answered 503: pkg/apikey/guard.go.
type Auth struct {
	APIKeys     apikey.Source
	Signer      Signer
	Families    *Families
	SigningKeys *token.RemoteKeys
}

// NewAuth makes the client of the auth service.
func NewAuth(c *app.Core) Auth {
	auth := app.NewClient(c, "auth", authv1connect.NewAuthServiceClient)
	return Auth{
		APIKeys:     apikey.Remote(auth),
		Signer:      Signer{auth},
		Families:    newFamilies(auth, c.Clock, c.Link.From("auth")),
		SigningKeys: token.NewRemoteKeys(keySet(auth), c.Clock, c.Link.From("auth")),
	}
}

// keySet asks for the key set (RFC 7517) that auth publishes.
func keySet(auth authv1connect.AuthServiceClient) func(ctx context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		resp, err := auth.ListPublicKeys(ctx, connect.NewRequest(&authv1.ListPublicKeysRequest{}))
		if err != nil {
			return nil, err
		}
		return resp.Msg.GetJwksJson(), nil
	}
}
