package license

import (
	"errors"

	"github.com/latchkey-dev/latchkey/pkg/app"
)

// Config is the settings of the license service.
type Config struct {
	app.Base
	app.MasterKeys
	app.TokenLimit
	app.CORS

	RateLimitShared bool `key:"rate_limit_shared" env:"LATCHKEY_RATE_LIMIT_SHARED" default:"true" help:"one limit for all replicas, through the database; false counts in each process"`
}

// DefaultConfig is what main starts from.
func DefaultConfig() Config {
	return Config{Base: app.Base{Addr: ":5002", InternalAddr: ":5102"}}
}

// Validate joins all problems of the settings.
func (c *Config) Validate() error {
	return errors.Join(c.Base.Validate(), c.MasterKeys.Check(c.Base), c.CheckCORS())
}
