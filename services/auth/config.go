package auth

import (
	"errors"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// Config is the settings of the auth service.
type Config struct {
	app.Base `mapstructure:",squash"`

	AdminSecret       secret.Secret `key:"admin_secret" env:"LATCHKEY_ADMIN_SECRET" secret:"true" help:"makes and revokes API keys (X-Admin-Secret), 32 characters or more"`
	MasterKey         secret.Secret `key:"master_key" env:"LATCHKEY_MASTER_KEY" secret:"true" help:"base64 of 32 bytes; encrypts the signing keys at rest"`
	MasterKeyPrevious secret.Secret `key:"master_key_previous" env:"LATCHKEY_MASTER_KEY_PREVIOUS" secret:"true" help:"still opens what it sealed, until rotate-master-key has run"`
	RateLimitShared   bool          `key:"rate_limit_shared" env:"LATCHKEY_RATE_LIMIT_SHARED" default:"true" help:"one limit for all replicas, through the database; false counts in each process"`
	AddressLimits     *bool         `key:"address_limits" env:"LATCHKEY_ADDRESS_LIMITS" help:"limit failed credentials and open endpoints by client address; unset: in production only"`
}

// DefaultConfig is what main starts from.
func DefaultConfig() Config {
	return Config{Base: app.Base{Addr: ":5001", InternalAddr: ":5101"}}
}

// Validate joins all problems of the settings, each a *config.Problem that names its setting.
func (c *Config) Validate() error {
	problems := []error{
		c.Base.Validate(),
		c.CheckSecret("admin_secret", "LATCHKEY_ADMIN_SECRET", c.AdminSecret),
		c.CheckMasterKey("master_key", "LATCHKEY_MASTER_KEY", c.MasterKey),
	}
	if c.MasterKeyPrevious != "" {
		problems = append(problems, c.CheckMasterKey("master_key_previous", "LATCHKEY_MASTER_KEY_PREVIOUS", c.MasterKeyPrevious))
	}
	return errors.Join(problems...)
}

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
