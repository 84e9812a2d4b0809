package main

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// settings are what the program takes beside the services' own settings, which it passes on to them.
type settings struct {
	DataDir       string        `key:"data_dir" env:"LATCHKEY_DATA_DIR" default:"latchkey-data" help:"directory of the data, the secrets and credentials.json"`
	AuthAddr      string        `key:"auth_addr" env:"LATCHKEY_AUTH_ADDR" default:"127.0.0.1:5001" help:"host:port of the auth service"`
	LicenseAddr   string        `key:"license_addr" env:"LATCHKEY_LICENSE_ADDR" default:"127.0.0.1:5002" help:"host:port of the license service"`
	AnalyticsAddr string        `key:"analytics_addr" env:"LATCHKEY_ANALYTICS_ADDR" default:"127.0.0.1:5003" help:"host:port of the analytics service"`
	AdminAddr     string        `key:"admin_addr" env:"LATCHKEY_ADMIN_ADDR" default:"127.0.0.1:5004" help:"host:port of the admin service"`
	DatabaseURL   string        `key:"database_url" env:"LATCHKEY_DATABASE_URL" secret:"url" help:"postgres://...: use PostgreSQL instead of SQLite, a schema per service"`
	AMQPURL       string        `key:"amqp_url" env:"LATCHKEY_AMQP_URL" secret:"url" help:"amqp://...: use RabbitMQ instead of the bus in the process"`
	LogLevel      string        `key:"log_level" env:"LATCHKEY_LOG_LEVEL" default:"warn" help:"debug, info (with one line per request), warn or error"`
	LogFormat     string        `key:"log_format" env:"LATCHKEY_LOG_FORMAT" default:"text" help:"text or json"`
	DrainDelay    time.Duration `key:"drain_delay" env:"LATCHKEY_DRAIN_DELAY" default:"0s" help:"how long to go on answering after SIGTERM, unready already, so that load balancers notice"`
	SharedLimits  bool          `key:"rate_limit_shared" env:"LATCHKEY_RATE_LIMIT_SHARED" default:"false" help:"count rate limits in the database, as several processes need it"`
}

func loadSettings(args []string) (*settings, error) {
	var set settings
	flags := pflag.NewFlagSet("latchkey", pflag.ContinueOnError)
	_, err := config.Load("latchkey", &set, flags, args, app.Names()...)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("there is no command %q: latchkey alone starts everything, and latchkey --help shows the settings", flags.Arg(0))
	}
	return &set, err
}

// fill gives a service its settings: those of the environment, else the defaults of the suite in one process. cfg is its Config,
// base the part that all services have.
func (s *settings) fill(service string, cfg any, base *app.Base, internal string) error {
	base.Env = app.Development
	base.InternalSecret = secret.Secret(internal)
	if _, err := config.Load(service, cfg, nil, nil, app.Names()...); err != nil {
		return err
	}
	base.DatabaseURL, base.AMQPURL = s.DatabaseURL, s.AMQPURL
	base.AuthURL, base.LicenseURL, base.AnalyticsURL = "http://auth", "http://license", "http://analytics"
	return nil
}
