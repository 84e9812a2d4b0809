package app

import (
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
)

// tokenRateLimit is the calls a minute of a device, or of a token family, in production.
const tokenRateLimit = 120

// TokenLimit is the setting of a service that admits devices by their tokens; its Config embeds it.
type TokenLimit struct {
	TokenRateLimit *int `key:"token_rate_limit" env:"LATCHKEY_TOKEN_RATE_LIMIT" min:"0" max:"1000000" help:"calls a minute of heartbeat, offline-token and refresh that the tokens of one device may make, in each process; 0: no limit; unset: 120 in production, 0 in development"`
}

// TokenQuota is what the tokens of one device, or of one family, may do in an environment. It is counted in each process: a device calls so
// often that a limit shared over the database would cost more than what it guards.
func (t TokenLimit) TokenQuota(env string, c clock.Clock) ratelimit.Quota {
	q := ratelimit.Quota{Limiter: ratelimit.NewLocal(c)}
	switch {
	case t.TokenRateLimit != nil:
		q.Limit.PerMinute = *t.TokenRateLimit
	case env == Production:
		q.Limit.PerMinute = tokenRateLimit
	}
	return q
}
