package license

import (
	"errors"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// Config is the settings of the license service.
type Config struct {
	app.Base `mapstructure:",squash"`

	MasterKey         secret.Secret `key:"master_key" env:"LATCHKEY_MASTER_KEY" secret:"true" help:"base64 of 32 bytes; hashes and encrypts license keys at rest"`
	MasterKeyPrevious secret.Secret `key:"master_key_previous" env:"LATCHKEY_MASTER_KEY_PREVIOUS" secret:"true" help:"still opens what it sealed, until rotate-master-key has run"`
	RateLimitShared   bool          `key:"rate_limit_shared" env:"LATCHKEY_RATE_LIMIT_SHARED" default:"true" help:"one limit for all replicas, through the database; false counts in each process"`
	AddressLimits     *bool         `key:"address_limits" env:"LATCHKEY_ADDRESS_LIMITS" help:"limit failed credentials and open endpoints by client address; unset: in production only"`
}

// DefaultConfig is what main starts from.
func DefaultConfig() Config {
	return Config{Base: app.Base{Addr: ":5002", InternalAddr: ":5102"}}
}

// Validate joins all problems of the settings.
func (c *Config) Validate() error {
	return errors.Join(c.Base.Validate(), c.CheckMasterKey("master_key", "LATCHKEY_MASTER_KEY", c.MasterKey))
}

func (c *Config) keyring() (*keyring.Ring, error) {
	current, err := keyring.ParseKey(c.MasterKey.Reveal())
	if err != nil {
		return nil, err
	}
	var previous [][]byte
	if c.MasterKeyPrevious != "" {
		key, err := keyring.ParseKey(c.MasterKeyPrevious.Reveal())
		if err != nil {
			return nil, err
		}
		previous = append(previous, key)
	}
	return keyring.New("license", current, previous...)
}

func (c *Config) limitAddresses() bool {
	if c.AddressLimits != nil {
		return *c.AddressLimits
	}
	return c.Env == app.Production
}
