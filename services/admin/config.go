package admin

import (
	"errors"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
)

// Config is the settings of the service.
type Config struct {
	app.Base
	app.MasterKeys

	AdminAPIKey secret.Secret `key:"admin_api_key" secret:"true" help:"the first owner key, in production 32 characters or more; changing it revokes the one before, leaving it out revokes nothing; it may be left out once other owner keys exist"`
	// KeepOwner, where it is set, is told whether AdminAPIKey is in force. It is not where it was revoked before; then
	// the key that KeepOwner answers takes its place, unless that is empty.
	KeepOwner func(live bool) (instead secret.Secret, err error)
}

// DefaultConfig is what main starts from.
func DefaultConfig() Config {
	return Config{Base: app.Base{Addr: ":5004", InternalAddr: "127.0.0.1:5104"}}
}

// Validate joins all problems, each a *config.Problem that names its setting.
func (c *Config) Validate() error {
	problems := []error{c.Base.Validate(), c.MasterKeys.Check(c.Base)}
	if c.AdminAPIKey != "" {
		problems = append(problems, c.checkAdminKey())
	}
	return errors.Join(problems...)
}

// checkAdminKey keeps a key from replacing the one in force that no call could show.
func (c *Config) checkAdminKey() error {
	if err := c.CheckSecret(c, &c.AdminAPIKey); err != nil || adminkey.WellFormed(c.AdminAPIKey.Reveal()) {
		return err
	}
	return config.Problemf(c, &c.AdminAPIKey, "must be up to 512 printable ASCII characters, and a key that begins "+
		"with ak_ as the service makes them must be copied whole and without a mistake")
}
