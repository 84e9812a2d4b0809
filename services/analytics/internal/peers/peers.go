// Package peers is what analytics asks its peer services.
package peers

import (
	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
)

// NewAPIKeys asks the auth service who an API key is.
func NewAPIKeys(c *app.Core) apikey.Source {
	return apikey.Remote(app.NewClient(c, "auth", authv1connect.NewAuthServiceClient))
}
