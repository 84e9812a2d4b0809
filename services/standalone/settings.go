package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/admin"
	"github.com/latchkey-dev/latchkey/services/analytics"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
)

// settings are those of the program itself, and those of the services, to which the same flags, environment and file
// apply. Where both have a setting, the default here counts. Whether an address can be had is found out by
// server.Listen: the start ends with the setting to change.
type settings struct {
	DataDir       string        `key:"data_dir" default:"latchkey-data" help:"directory of the data, the secrets and credentials.json"`
	AuthAddr      string        `key:"auth_addr" default:"127.0.0.1:5001" form:"address" help:"host:port of the auth service"`
	LicenseAddr   string        `key:"license_addr" default:"127.0.0.1:5002" form:"address" help:"host:port of the license service"`
	AnalyticsAddr string        `key:"analytics_addr" default:"127.0.0.1:5003" form:"address" help:"host:port of the analytics service"`
	AdminAddr     string        `key:"admin_addr" default:"127.0.0.1:5004" form:"address" help:"host:port of the admin service"`
	Env           string        `key:"env" default:"development" oneof:"production development" help:"production refuses weak secrets, limits by client address and keeps metrics to itself; development does none of that"`
	DatabaseURL   string        `key:"database_url" secret:"url" url:"postgres:// postgresql://" help:"postgres://...: use PostgreSQL instead of SQLite, a schema per service; without amqp_url by one process alone"`
	DatabaseConns int           `key:"database_max_conns" default:"4" min:"1" max:"10000" help:"connections that each service opens to the database at most; PostgreSQL can use more"`
	AMQPURL       string        `key:"amqp_url" secret:"url" url:"amqp:// amqps://" help:"amqp://...: use RabbitMQ instead of the bus in the process"`
	LogLevel      string        `key:"log_level" default:"warn" oneof:"debug info warn error" help:"debug, info (with one line per request), warn or error"`
	LogFormat     string        `key:"log_format" default:"text" oneof:"text json" help:"text or json"`
	DrainDelay    time.Duration `key:"drain_delay" default:"0s" min:"0s" max:"5m" help:"how long to keep answering after SIGTERM, while already unready, so that load balancers notice"`
	CORSOrigins   []string      `key:"cors_origins" help:"origins whose pages may call auth, license and analytics from a browser, by commas; * is any, the default in development; none in production"`
	SharedLimits  bool          `key:"rate_limit_shared" default:"false" help:"count rate limits in the database, as several processes need it, which need amqp_url, too"`

	// command is what to do instead of serving; empty: serve.
	command []string
	// loaded knows where the values come from.
	loaded *config.Settings

	auth      auth.Config
	license   license.Config
	analytics analytics.Config
	admin     admin.Config
}

const (
	program = "latchkey"
	hint    = "Run 'latchkey --help' for the settings."
)

// unusableSettings are the settings of a service that one process has no use for.
func unusableSettings() map[string]string {
	const inside = "the services of one process ask each other inside it; leave it out"
	return map[string]string{
		"LATCHKEY_ADDR": "set LATCHKEY_AUTH_ADDR, LATCHKEY_LICENSE_ADDR, LATCHKEY_ANALYTICS_ADDR and " +
			"LATCHKEY_ADMIN_ADDR instead",
		"LATCHKEY_INTERNAL_ADDR":  inside,
		"LATCHKEY_AUTH_URL":       inside,
		"LATCHKEY_LICENSE_URL":    inside,
		"LATCHKEY_ANALYTICS_URL":  inside,
		"LATCHKEY_ADMIN_URL":      inside,
		"LATCHKEY_INTERNAL_KEY":   inside,
		"LATCHKEY_INTERNAL_PEERS": inside,
	}
}

// loadSettings reads the settings; what --help says goes to out. What is wrong is an *app.SettingsError.
func loadSettings(args []string, out io.Writer) (*settings, error) {
	set := &settings{}
	flags := pflag.NewFlagSet(program, pflag.ContinueOnError)
	o := config.Options{Flags: flags, Refused: unusableSettings()}
	flags.Usage = func() {
		if text, known := help(flags.Args()); known {
			fmt.Fprint(out, text)
			return
		}
		fmt.Fprintf(out, "Latchkey in one process: latchkey [flags]\n\nInstead of serving, once the process is "+
			"stopped: latchkey [flags] command\n%s\nEach setting is a flag, an environment variable or a key of the "+
			"file that --config names:\n%s\nSettings without a flag, as others would see it; each can stand in a "+
			"file that the variable with _FILE at its end names:\n%s",
			commandUsages(), flags.FlagUsages(), config.Secrets(o, set.all()...))
	}
	o.Args, set.command = splitArgs(args)
	var err error
	set.loaded, err = config.Load(program, o, set.all()...)
	if errors.Is(err, pflag.ErrHelp) {
		return nil, err
	}
	set.command = append(flags.Args(), set.command...)
	if err == nil {
		err = checkCommand(set.command)
	}
	if err == nil {
		err = set.prepareDataDir()
	}
	return set, app.NewSettingsError(program, hint, err)
}

func (s *settings) all() []any { return []any{s, &s.auth, &s.license, &s.analytics, &s.admin} }

// sqliteURL is the database of a service in the data directory.
func (s *settings) sqliteURL(service string) string {
	return "sqlite:" + filepath.Join(s.DataDir, service+".db")
}

// requireEmbedded refuses a command that is about SQLite, and says what to do instead.
func (s *settings) requireEmbedded(instead string) error {
	if s.DatabaseURL == "" {
		return nil
	}
	return config.Problemf(s, &s.DatabaseURL, "the data is in PostgreSQL: %s", instead)
}

// complete gives the services what they need to run in one process: of the secrets made those that the settings do not
// name, and the way to each other. What is wrong is an *app.SettingsError. made then holds the secrets in use, except
// the admin key, which is in use once admin has put it in force.
func (s *settings) complete(made *secrets) error {
	for _, keys := range []*app.MasterKeys{&s.auth.MasterKeys, &s.license.MasterKeys, &s.admin.MasterKeys} {
		takeOrKeep(&keys.MasterKey, &made.MasterKey)
	}
	takeOrKeep(&s.auth.AdminSecret, &made.AdminSecret)
	if s.admin.AdminAPIKey == "" {
		s.admin.AdminAPIKey = secret.Secret(made.AdminAPIKey)
	}
	if s.Env == app.Development && len(s.CORSOrigins) == 0 {
		for _, clients := range []*app.Clients{&s.auth.Clients, &s.license.Clients, &s.analytics.Clients} {
			clients.CORSOrigins = []string{"*"}
		}
	}
	services := map[string]*app.Base{"auth": &s.auth.Base, "license": &s.license.Base, "analytics": &s.analytics.Base,
		"admin": &s.admin.Base}
	introduce(services)
	for _, base := range services {
		base.AuthURL, base.LicenseURL, base.AnalyticsURL = "http://auth", "http://license", "http://analytics"
		base.AdminURL = "http://admin"
	}
	s.license.Embedded = true
	err := errors.Join(s.checkAddresses(), s.auth.Validate(), s.license.Validate(), s.analytics.Validate(),
		s.admin.Validate())
	return app.NewSettingsError(program, hint, err)
}

// checkAddresses finds two services that cannot both listen.
func (s *settings) checkAddresses() error {
	addresses := []*string{&s.AuthAddr, &s.LicenseAddr, &s.AnalyticsAddr, &s.AdminAddr}
	var problems []error
	for i, addr := range addresses {
		for _, before := range addresses[:i] {
			if server.Collide(*before, *addr) {
				problems = append(problems, config.Problemf(s, addr,
					"must have another port than the services before it: two cannot listen at %s and %s",
					*before, *addr))
			}
		}
	}
	return errors.Join(problems...)
}

// introduce gives the services identities, good for this run, and tells each the public keys of all.
func introduce(services map[string]*app.Base) {
	var all []rpc.Identity
	for name := range services {
		all = append(all, rpc.NewIdentity(name))
	}
	for _, id := range all {
		services[id.Service].Introduce(id, all...)
	}
}

// takeOrKeep makes both secrets the one that the settings name, or else the one that was made.
func takeOrKeep(set *secret.Secret, made *string) {
	if *set == "" {
		*set = secret.Secret(*made)
	}
	*made = set.Reveal()
}
