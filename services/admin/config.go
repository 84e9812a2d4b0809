package admin

import (
	"errors"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// Config is the settings of the service.
type Config struct {
	app.Base `mapstructure:",squash"`

	AdminAPIKey       secret.Secret `key:"admin_api_key" env:"LATCHKEY_ADMIN_API_KEY" secret:"true" help:"the first owner key, 32 characters or more; changing it revokes the one before; may be left out once other owner keys exist"`
	MasterKey         secret.Secret `key:"master_key" env:"LATCHKEY_MASTER_KEY" secret:"true" help:"base64 of 32 bytes; encrypts the answers kept for Idempotency-Key"`
	MasterKeyPrevious secret.Secret `key:"master_key_previous" env:"LATCHKEY_MASTER_KEY_PREVIOUS" secret:"true" help:"still opens what it sealed, for the 24 hours that answers are kept"`
	AddressLimits     *bool         `key:"address_limits" env:"LATCHKEY_ADDRESS_LIMITS" help:"limit failed credentials and open endpoints by client address; unset: in production only"`
}

// DefaultConfig is what main starts from.
func DefaultConfig() Config {
	return Config{Base: app.Base{Addr: ":5004", InternalAddr: ":5104"}}
}

// Validate joins all problems, each a *config.Problem that names its setting.
func (c *Config) Validate() error {
	problems := []error{c.Base.Validate(), c.CheckMasterKey("master_key", "LATCHKEY_MASTER_KEY", c.MasterKey)}
	if c.AdminAPIKey != "" {
		problems = append(problems, c.CheckSecret("admin_api_key", "LATCHKEY_ADMIN_API_KEY", c.AdminAPIKey))
	}
	if c.MasterKeyPrevious != "" {
		problems = append(problems, c.CheckMasterKey("master_key_previous", "LATCHKEY_MASTER_KEY_PREVIOUS", c.MasterKeyPrevious))
	}
	return errors.Join(problems...)
}

// keyring is the keys that encrypt at rest.
func (c *Config) keyring() (*keyring.Ring, error) {
	current, err := keyring.ParseKey(c.MasterKey.Reveal())
	if err != nil {
		return nil, err
	}
	if c.MasterKeyPrevious == "" {
		return keyring.New(Name, current)
	}
	previous, err := keyring.ParseKey(c.MasterKeyPrevious.Reveal())
	if err != nil {
		return nil, err
	}
	return keyring.New(Name, current, previous)
}

func (c *Config) limitAddresses() bool {
	if c.AddressLimits != nil {
		return *c.AddressLimits
	}
	return c.Env == app.Production
}
