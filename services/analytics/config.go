package analytics

import (
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/app"
)

// Config is the settings of the service.
type Config struct {
	app.Base
	app.Clients

	RetentionDays int `key:"retention_days" default:"90" min:"1" max:"3660" help:"days that raw events are kept; daily figures stay 800 days, what detectors remember of a license 400 days after its last use"`
}

// DefaultConfig is what main starts from.
func DefaultConfig() Config {
	return Config{Base: app.Base{Addr: ":5003", InternalAddr: "127.0.0.1:5103"}, RetentionDays: 90}
}

// Validate joins all problems of the settings.
func (c *Config) Validate() error { return errors.Join(c.Base.Validate(), c.CheckClients()) }

func (c *Config) retention() time.Duration { return time.Duration(c.RetentionDays) * 24 * time.Hour }
