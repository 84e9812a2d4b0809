package auth

import (
	"errors"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// Config is the settings of the auth service. How long access and refresh tokens live is no setting:
// internal/credential/family.go.
type Config struct {
	app.Base
	app.MasterKeys
	app.TokenLimit
	app.Clients

	AdminSecret         secret.Secret `key:"admin_secret" secret:"true" help:"credential for creating and revoking API keys (X-Admin-Secret), in production 32 characters or more"`
	AdminSecretPrevious secret.Secret `key:"admin_secret_previous" secret:"true" help:"the previous admin secret: still accepted until it is removed"`
}

// DefaultConfig is what main starts from.
func DefaultConfig() Config {
	return Config{Base: app.Base{Addr: ":5001", InternalAddr: "127.0.0.1:5101"}}
}

// Validate joins all problems of the settings, each a *config.Problem that names its setting.
func (c *Config) Validate() error {
	problems := []error{
		c.Base.Validate(),
		c.CheckSecret(c, &c.AdminSecret),
		c.checkPreviousSecret(),
		c.MasterKeys.Check(c.Base),
		c.CheckClients(),
	}
	return errors.Join(problems...)
}

func (c *Config) checkPreviousSecret() error {
	switch c.AdminSecretPrevious {
	case "":
		return nil
	case c.AdminSecret:
		return config.Problemf(c, &c.AdminSecretPrevious, "is the same as LATCHKEY_ADMIN_SECRET; leave it out")
	}
	return c.CheckSecret(c, &c.AdminSecretPrevious)
}
