package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/refusal"
	"github.com/latchkey-dev/latchkey/pkg/telemetry"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Clients is the settings of the services that applications call with an API key, some of them from a browser; the
// Config of such a service embeds it.
type Clients struct {
	CORSOrigins     []string `key:"cors_origins" help:"origins whose pages may call the API from a browser, by commas, such as https://app.example.com; * is any, none by default"`
	RateLimitShared bool     `key:"rate_limit_shared" default:"true" help:"one limit for all replicas, through the database; false counts in each process"`
}

// CheckClients finds what is no origin.
func (s Clients) CheckClients() error {
	return problemOf(&s, &s.CORSOrigins, httpx.CheckOrigins(s.CORSOrigins))
}

// How many refused credentials one client address may send a minute, where that is limited: of clients, and of
// administrators.
const (
	clientFailures = 60
	adminFailures  = 10
)

// NewClientAttempts bounds the refused credentials of one kind that a client address may send; nil where calls are not
// limited by client address.
func NewClientAttempts(c *Core) *guard.Attempts { return c.base.Attempts(c.Clock, clientFailures) }

// NewAdminAttempts is NewClientAttempts for the credentials of administrators.
func NewAdminAttempts(c *Core) *guard.Attempts { return c.base.Attempts(c.Clock, adminFailures) }

// NewAdminKeyAttempts is NewAdminAttempts for admin keys, which several services of a process may be shown: an address
// has its failures once.
func NewAdminKeyAttempts(c *Core) *guard.Attempts {
	if c.AdminKeyAttempts != nil {
		return c.AdminKeyAttempts
	}
	return NewAdminAttempts(c)
}

// NewGuard makes the guard of the routes that want an API key; keys knows the keys. The service watches apikey.Events
// for it.
func NewGuard(c *Core, s Clients, keys apikey.Source) *apikey.Guard {
	guard := apikey.NewGuard(keys, apikey.Options{
		Clock: c.Clock, Limiter: NewClientLimiter(c, s), Link: c.Link.From("auth"), Attempts: NewClientAttempts(c),
	})
	c.ObserveCaches(map[string]func() (hits, misses uint64){"api_keys": guard.Counts})
	return guard
}

// NewClientLimiter makes the limiter of what applications may call.
func NewClientLimiter(c *Core, s Clients) ratelimit.Limiter {
	if s.RateLimitShared {
		return NewSharedLimiter(c)
	}
	limiter := ratelimit.NewLocal(c.Clock)
	c.limiters = append(c.limiters, limiter)
	return limiter
}

// NewSharedLimiter makes a limiter whose limits hold over all replicas, for calls that are rare and must not be
// guessed. In maintenance mode each replica counts alone.
func NewSharedLimiter(c *Core) ratelimit.Limiter {
	limiter := ratelimit.NewLocal(c.Clock)
	if !c.base.Maintenance {
		limiter = ratelimit.NewShared(c.DB, c.Clock, c.Log)
	}
	c.limiters = append(c.limiters, limiter)
	return limiter
}

// tokenRateLimit is the calls a minute of a device, or of a token family, in production.
const tokenRateLimit = 120

// TokenLimit is the setting of a service that admits devices by their tokens; its Config embeds it.
type TokenLimit struct {
	TokenRateLimit *int `key:"token_rate_limit" min:"0" max:"1000000" help:"calls a minute of heartbeat, offline-token and refresh that the tokens of one device may make, in each process; 0: no limit; unset: 120 in production, 0 in development"`
}

// NewTokenQuota makes the limit of what the tokens of one device, or of one family, may do. It is counted in each
// process: a device calls so often that a limit shared over the database would cost more than what it guards.
func NewTokenQuota(c *Core, s TokenLimit) ratelimit.Quota {
	q := ratelimit.Quota{Limiter: ratelimit.NewLocal(c.Clock)}
	switch {
	case s.TokenRateLimit != nil:
		q.Limit.PerMinute = *s.TokenRateLimit
	case c.base.Env == Production:
		q.Limit.PerMinute = tokenRateLimit
	}
	c.limiters = append(c.limiters, q.Limiter)
	return q
}

// NewTelemetry makes the recorder of the events that only count use; the service runs it. Operators see what it drops.
func NewTelemetry(c *Core) *telemetry.Recorder {
	t := telemetry.New(telemetry.Config{DB: c.DB, Pub: c.Bus, Backlog: c.Outbox.PendingUpTo, Log: c.Log})
	c.Metrics.Registerer().MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "latchkey_telemetry_dropped_events_total",
		Help: "Telemetry events that were dropped: by the table while the broker was away or slow, or in " +
			"maintenance mode; or in memory, because more was recorded than the process can encode. The log says " +
			"which.",
	}, func() float64 { return float64(t.Dropped()) }))
	return t
}

// NewRefusals makes the recorder of refused tokens, which publishes through t; calls names the calls that take tokens,
// for the help of the metric.
func NewRefusals(c *Core, t *telemetry.Recorder, calls string) *refusal.Recorder {
	return refusal.New(refusal.Options{
		Clock: c.Clock,
		Count: refusal.Counter(c.Metrics.Registerer(), c.Name, calls),
		Publish: func(r refusal.Refusal) {
			t.Record(Source(c.Name), r.LicenseID, r.At, &eventsv1.LicenseTokenRefused{
				ErrorCode: r.ErrorCode, LicenseId: r.LicenseID, HardwareId: r.HardwareID, Ip: r.IP,
				Count: int32(r.Count), ViaProxy: r.ViaProxy,
			})
		},
	})
}
