package app

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/proto/openapi"
)

// The environments.
const (
	Production  = "production"
	Development = "development"
)

// Base is the settings that all services have; each embeds it in its Config.
type Base struct {
	Env          string `key:"env" env:"LATCHKEY_ENV" default:"production" help:"production refuses weak secrets and keeps metrics internal; development does neither"`
	Addr         string `key:"addr" env:"LATCHKEY_ADDR" help:"host:port of the public API"`
	InternalAddr string `key:"internal_addr" env:"LATCHKEY_INTERNAL_ADDR" help:"host:port for the sister services; never expose it"`

	DatabaseURL      string `key:"database_url" env:"LATCHKEY_DATABASE_URL" secret:"url" help:"postgres://user:password@host:5432/name; the service uses the schema of its own name"`
	DatabaseMaxConns int    `key:"database_max_conns" env:"LATCHKEY_DATABASE_MAX_CONNS" default:"16" help:"connections to the database that one process opens at most"`
	AMQPURL          string `key:"amqp_url" env:"LATCHKEY_AMQP_URL" secret:"url" help:"amqp://user:password@host:5672/vhost of RabbitMQ"`

	AuthURL      string `key:"auth_url" env:"LATCHKEY_AUTH_URL" default:"http://127.0.0.1:5101" help:"internal address of the auth service"`
	LicenseURL   string `key:"license_url" env:"LATCHKEY_LICENSE_URL" default:"http://127.0.0.1:5102" help:"internal address of the license service"`
	AnalyticsURL string `key:"analytics_url" env:"LATCHKEY_ANALYTICS_URL" default:"http://127.0.0.1:5103" help:"internal address of the analytics service"`

	InternalSecret         secret.Secret `key:"internal_secret" env:"LATCHKEY_INTERNAL_SECRET" secret:"true" help:"signs the calls between services; the same for all of them, 32 characters or more"`
	InternalSecretPrevious secret.Secret `key:"internal_secret_previous" env:"LATCHKEY_INTERNAL_SECRET_PREVIOUS" secret:"true" help:"still accepted while the secret is being changed"`

	AddressLimits  *bool    `key:"address_limits" env:"LATCHKEY_ADDRESS_LIMITS" help:"limit refused credentials by client address; unset: in production only"`
	TrustedProxies []string `key:"trusted_proxies" env:"LATCHKEY_TRUSTED_PROXIES" help:"addresses and CIDRs of proxies whose X-Forwarded-For is believed, by commas"`
	TLSCertFile    string   `key:"tls_cert_file" env:"LATCHKEY_TLS_CERT_FILE" help:"certificate of the public API as PEM, read again when it changes; plain HTTP without"`
	TLSKeyFile     string   `key:"tls_key_file" env:"LATCHKEY_TLS_KEY_FILE" help:"private key of the certificate as PEM"`

	LogLevel      string         `key:"log_level" env:"LATCHKEY_LOG_LEVEL" default:"info" help:"debug, info, warn or error"`
	LogFormat     string         `key:"log_format" env:"LATCHKEY_LOG_FORMAT" default:"auto" help:"json, text, or auto: text in development on a terminal"`
	MetricsPublic *bool          `key:"metrics_public" env:"LATCHKEY_METRICS_PUBLIC" help:"answer /metrics on the public port too; unset: in development only"`
	EventLogDays  int            `key:"event_log_days" env:"LATCHKEY_EVENT_LOG_DAYS" default:"400" help:"days that sent events stay in the outbox, which is the event log"`
	DrainDelay    *time.Duration `key:"drain_delay" env:"LATCHKEY_DRAIN_DELAY" help:"how long to go on answering after SIGTERM, unready already, so that load balancers notice; unset: 5s in production, none in development"`
	StartTimeout  time.Duration  `key:"start_timeout" env:"LATCHKEY_START_TIMEOUT" default:"60s" help:"how long to wait at the start for the database and the broker"`
}

// Common gives package app the base of any Config that embeds it.
func (b *Base) Common() *Base { return b }

// Validate joins all problems, each a *config.Problem that names its setting.
func (b Base) Validate() error {
	return errors.Join(
		b.requireDatabase(),
		b.required("amqp_url", "LATCHKEY_AMQP_URL", b.AMQPURL, "amqp://user:password@host:5672/"),
		b.CheckSecret("internal_secret", "LATCHKEY_INTERNAL_SECRET", b.InternalSecret),
		b.ValidateForm(),
	)
}

// ValidateForm is Validate without what only a service by itself must have: a database, a broker and the internal secret.
func (b Base) ValidateForm() error {
	return errors.Join(
		oneOf("env", "LATCHKEY_ENV", b.Env, Production, Development),
		scheme("database_url", "LATCHKEY_DATABASE_URL", b.DatabaseURL, "postgres", "postgresql", "sqlite"),
		scheme("amqp_url", "LATCHKEY_AMQP_URL", b.AMQPURL, "amqp", "amqps"),
		hostPort("addr", "LATCHKEY_ADDR", b.Addr),
		hostPort("internal_addr", "LATCHKEY_INTERNAL_ADDR", b.InternalAddr),
		webURL("auth_url", "LATCHKEY_AUTH_URL", b.AuthURL),
		webURL("license_url", "LATCHKEY_LICENSE_URL", b.LicenseURL),
		webURL("analytics_url", "LATCHKEY_ANALYTICS_URL", b.AnalyticsURL),
		b.checkPrevious(),
		atLeastOne("database_max_conns", "LATCHKEY_DATABASE_MAX_CONNS", int64(b.DatabaseMaxConns)),
		atLeastOne("event_log_days", "LATCHKEY_EVENT_LOG_DAYS", int64(b.EventLogDays)),
		atLeastOne("start_timeout", "LATCHKEY_START_TIMEOUT", int64(b.StartTimeout)),
		b.checkDrainDelay(),
		wrap("trusted_proxies", "LATCHKEY_TRUSTED_PROXIES", httpx.CheckProxies(b.TrustedProxies)),
		oneOf("log_level", "LATCHKEY_LOG_LEVEL", b.LogLevel, "debug", "info", "warn", "error"),
		oneOf("log_format", "LATCHKEY_LOG_FORMAT", b.LogFormat, "auto", "json", "text"),
		b.checkTLS(),
	)
}

// CheckSecret finds a secret that is missing, or in production too weak. key and env name its setting.
func (b Base) CheckSecret(key, env string, s secret.Secret) error {
	if s == "" {
		return problem(key, env, "is missing; set 32 or more random characters, for example from: openssl rand -base64 48")
	}
	if why := secret.Weak(s.Reveal()); b.Env == Production && why != "" {
		return problem(key, env, "%s; set 32 or more random characters, for example from: openssl rand -base64 48", why)
	}
	return nil
}

// CheckMasterKey finds a master key that is missing or not base64 of 32 bytes, and in production one that is a sample.
func (b Base) CheckMasterKey(key, env string, s secret.Secret) error {
	const want = "make one with: openssl rand -base64 32"
	if s == "" {
		return problem(key, env, "is missing; %s", want)
	}
	raw, err := keyring.ParseKey(s.Reveal())
	if err != nil {
		return problem(key, env, "must be base64 of 32 bytes; %s", want)
	}
	if why := secret.Weak(string(raw)); b.Env == Production && why != "" {
		return problem(key, env, "%s; %s", why, want)
	}
	return nil
}

func (b Base) checkPrevious() error {
	if b.InternalSecretPrevious == "" {
		return nil
	}
	return b.CheckSecret("internal_secret_previous", "LATCHKEY_INTERNAL_SECRET_PREVIOUS", b.InternalSecretPrevious)
}

func (b Base) checkTLS() error {
	switch {
	case b.TLSCertFile == "" && b.TLSKeyFile == "":
		return nil
	case b.TLSCertFile == "":
		return problem("tls_cert_file", "LATCHKEY_TLS_CERT_FILE", "is missing beside LATCHKEY_TLS_KEY_FILE")
	case b.TLSKeyFile == "":
		return problem("tls_key_file", "LATCHKEY_TLS_KEY_FILE", "is missing beside LATCHKEY_TLS_CERT_FILE")
	}
	_, err := tls.LoadX509KeyPair(b.TLSCertFile, b.TLSKeyFile)
	return wrap("tls_cert_file", "LATCHKEY_TLS_CERT_FILE", err)
}

func (b Base) requireDatabase() error {
	return b.required("database_url", "LATCHKEY_DATABASE_URL", b.DatabaseURL, "postgres://user:password@host:5432/name")
}

func (b Base) required(key, env, value, example string) error {
	if value == "" {
		return problem(key, env, "is missing; set it to something like %s", example)
	}
	return nil
}

// InternalSecrets are the secrets that calls of sisters may be signed with.
func (b Base) InternalSecrets() []secret.Secret {
	return []secret.Secret{b.InternalSecret, b.InternalSecretPrevious}
}

// maxDrainDelay keeps a typing error from holding up every restart.
const maxDrainDelay = 5 * time.Minute

func (b Base) checkDrainDelay() error {
	if b.DrainDelay == nil || *b.DrainDelay >= 0 && *b.DrainDelay <= maxDrainDelay {
		return nil
	}
	return problem("drain_delay", "LATCHKEY_DRAIN_DELAY", "must be between 0s and %v", maxDrainDelay)
}

// DrainFor is how long the service goes on answering after it was told to end.
func (b Base) DrainFor() time.Duration {
	switch {
	case b.DrainDelay != nil:
		return *b.DrainDelay
	case b.Env == Production:
		return 5 * time.Second
	}
	return 0
}

// PublicMetrics tells whether the public port answers /metrics.
func (b Base) PublicMetrics() bool {
	if b.MetricsPublic != nil {
		return *b.MetricsPublic
	}
	return b.Env == Development
}

// EventLog is how long sent events are kept; without a setting the default, so that a Config made by hand forgets nothing.
func (b Base) EventLog() time.Duration {
	return time.Duration(cmp.Or(b.EventLogDays, 400)) * 24 * time.Hour
}

// LimitAddresses tells whether calls are limited by client address.
func (b Base) LimitAddresses() bool {
	if b.AddressLimits != nil {
		return *b.AddressLimits
	}
	return b.Env == Production
}

// Attempts bounds the refused credentials that one client address may send, perMinute of one kind; nil where calls are not
// limited by client address.
func (b Base) Attempts(c clock.Clock, perMinute int) *guard.Attempts {
	if !b.LimitAddresses() {
		return nil
	}
	return guard.New(c, perMinute)
}

// Logger writes to w as the settings want it.
func (b Base) Logger(w io.Writer) *slog.Logger {
	format := b.LogFormat
	if format == "auto" && b.Env == Development && isTerminal(os.Stderr) {
		format = "text"
	}
	return obs.NewLogger(w, b.LogLevel, format)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// HTTP is the options of the engines of the named service.
func (b Base) HTTP(service string, d Deps) httpx.Options {
	return httpx.Options{Service: service, Log: d.Log, Metrics: d.Metrics, Clock: d.Clock, TrustedProxies: b.TrustedProxies, Elsewhere: openapi.ServiceOf}
}

func problem(key, env, format string, args ...any) error {
	return &config.Problem{Key: key, Env: env, Text: fmt.Sprintf(format, args...)}
}

func wrap(key, env string, err error) error {
	if err == nil {
		return nil
	}
	return problem(key, env, "%v", err)
}

func oneOf(key, env, value string, allowed ...string) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return problem(key, env, "must be one of %v", allowed)
}

func hostPort(key, env, value string) error {
	if _, _, err := net.SplitHostPort(value); err != nil {
		return problem(key, env, "must be host:port, for example 0.0.0.0:5001 or :5001")
	}
	return nil
}

// scheme checks how a URL begins, if there is one. What is wrong with the rest shows when it is used; it may hold a password.
func scheme(key, env, value string, allowed ...string) error {
	begin, _, _ := strings.Cut(value, ":")
	if value == "" || slices.Contains(allowed, begin) {
		return nil
	}
	return problem(key, env, "must begin with %s:", strings.Join(allowed, ": or "))
}

func webURL(key, env, value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return problem(key, env, "must be a URL such as http://auth:5101")
	}
	return nil
}

func atLeastOne(key, env string, n int64) error {
	if n < 1 {
		return problem(key, env, "must be more than nothing")
	}
	return nil
}
