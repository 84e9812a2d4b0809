package app

import (
	"cmp"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/proto/openapi"
)

// The environments.
const (
	Production  = "production"
	Development = "development"
)

// Base is the settings that all services have; each embeds it in its Config. What else a new one touches, in
// CONTRIBUTING.md: Add a setting.
type Base struct {
	Env          string `key:"env" default:"production" oneof:"production development" help:"production refuses weak secrets and keeps metrics internal; development does neither"`
	Addr         string `key:"addr" form:"address" help:"host:port of the public API; unset: every address of this computer, with the port of the service"`
	InternalAddr string `key:"internal_addr" form:"address" help:"host:port for the peer services; never expose it; unset: 127.0.0.1 with the port of the service"`

	DatabaseURL      string `key:"database_url" secret:"url" url:"postgres:// postgresql:// sqlite:" help:"postgres://user:password@host:5432/name; the service uses the schema of its own name"`
	DatabaseMaxConns int    `key:"database_max_conns" default:"16" min:"1" max:"10000" help:"connections to the database that one process opens at most"`
	AMQPURL          string `key:"amqp_url" secret:"url" url:"amqp:// amqps://" help:"amqp://user:password@host:5672/vhost of RabbitMQ"`

	AuthURL      string `key:"auth_url" default:"http://127.0.0.1:5101" url:"http:// https://" help:"internal address of the auth service"`
	LicenseURL   string `key:"license_url" default:"http://127.0.0.1:5102" url:"http:// https://" help:"internal address of the license service"`
	AnalyticsURL string `key:"analytics_url" default:"http://127.0.0.1:5103" url:"http:// https://" help:"internal address of the analytics service"`
	AdminURL     string `key:"admin_url" default:"http://127.0.0.1:5104" url:"http:// https://" help:"internal address of the admin service"`

	InternalKey   secret.Secret `key:"internal_key" secret:"true" help:"private key of this service, base64 of 32 random bytes: signs its calls to its peers; no other service has it"`
	InternalPeers []string      `key:"internal_peers" help:"public keys of all services, as service:base64, separated by commas; a service may have several; the command internal-key generates pairs"`

	AddressLimits  *bool    `key:"address_limits" help:"limit refused credentials by client address; unset: in production only"`
	TrustedProxies []string `key:"trusted_proxies" help:"addresses and CIDRs of proxies whose X-Forwarded-For is trusted, separated by commas"`
	TLSCertFile    string   `key:"tls_cert_file" help:"certificate of the public API as PEM, read again when it changes; plain HTTP without one"`
	TLSKeyFile     string   `key:"tls_key_file" help:"private key of the certificate as PEM"`

	LogLevel      string         `key:"log_level" default:"info" oneof:"debug info warn error" help:"debug, info, warn or error"`
	LogFormat     string         `key:"log_format" default:"auto" oneof:"auto json text" help:"json, text, or auto: text in development on a terminal"`
	MetricsPublic *bool          `key:"metrics_public" help:"answer /metrics on the public port too; unset: in development only"`
	DocsDisabled  bool           `key:"docs_disabled" default:"false" help:"do not answer /docs, the page that shows the API; /openapi.json stays"`
	EventLogDays  int            `key:"event_log_days" default:"400" min:"1" max:"36500" help:"days that sent events stay in the outbox, which is the event log"`
	DrainDelay    *time.Duration `key:"drain_delay" min:"0s" max:"5m" help:"how long to keep answering after SIGTERM, while already unready, so that load balancers notice; unset: 5s in production, none in development"`
	Maintenance   bool           `key:"maintenance" default:"false" help:"answer 503 MAINTENANCE to every change and write nothing, while validations and all that only reads go on; for work on the database"`
	StartTimeout  time.Duration  `key:"start_timeout" default:"60s" min:"1ms" max:"24h" help:"how long to wait at startup for an unreachable database or broker; one that refuses the user or the password ends startup at once"`
}

// Common gives package app the base of any Config that embeds it.
func (b *Base) Common() *Base { return b }

// DrainFor is how long the service keeps answering after it was told to stop.
func (b Base) DrainFor() time.Duration {
	switch {
	case b.DrainDelay != nil:
		return *b.DrainDelay
	case b.Env == Production:
		return 5 * time.Second
	}
	return 0
}

// PublicMetrics reports whether the public port answers /metrics.
func (b Base) PublicMetrics() bool {
	if b.MetricsPublic != nil {
		return *b.MetricsPublic
	}
	return b.Env == Development
}

// eventLogDays is the default of EventLogDays.
const eventLogDays = 400

// EventLog is how long sent events are kept; without a setting the default, so that a Config made by hand forgets
// nothing.
func (b Base) EventLog() time.Duration {
	return time.Duration(cmp.Or(b.EventLogDays, eventLogDays)) * 24 * time.Hour
}

// LimitAddresses reports whether calls are limited by client address.
func (b Base) LimitAddresses() bool {
	if b.AddressLimits != nil {
		return *b.AddressLimits
	}
	return b.Env == Production
}

// Attempts bounds the refused credentials that one client address may send, perMinute of one kind; nil where calls are
// not limited by client address.
func (b Base) Attempts(c clock.Clock, perMinute int) *guard.Attempts {
	if !b.LimitAddresses() {
		return nil
	}
	return guard.New(c, perMinute)
}

// AdminKeyAttempts is what the services of one process share as Deps.AdminKeyAttempts.
func (b Base) AdminKeyAttempts(c clock.Clock) *guard.Attempts { return b.Attempts(c, adminFailures) }

// Logger writes to w as the settings want it.
func (b Base) Logger(w io.Writer) *slog.Logger {
	format := b.LogFormat
	if format == "auto" && b.Env == Development && IsTerminal(os.Stderr) {
		format = "text"
	}
	return obs.NewLogger(w, b.LogLevel, format)
}

// IsTerminal reports whether people read w as it is written.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// HTTP is the options of the engines of the named service.
func (b Base) HTTP(service string, d Deps) httpx.Options {
	return httpx.Options{
		Service: service, Log: d.Log, Metrics: d.Metrics, Clock: d.Clock, Answered: d.Answered,
		TrustedProxies: b.TrustedProxies, Elsewhere: openapi.ServiceOf, Traces: d.Traces,
	}
}
