package apikey

import (
	"net/netip"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
)

// AddressLimit bounds what one client address may do where there is no credential to count by. A nil one bounds nothing, and
// none does for requests whose client address a proxy hides.
type AddressLimit struct {
	name    string
	limiter ratelimit.Limiter
	limit   ratelimit.Limit
}

// NewAddressLimit makes a limit by client address; IPv6 clients count by their /64 network. The name tells limits apart that
// share a limiter.
func NewAddressLimit(name string, limiter ratelimit.Limiter, limit ratelimit.Limit) *AddressLimit {
	return &AddressLimit{name: name, limiter: limiter, limit: limit}
}

// Require refuses requests beyond the limit with 429 RATE_LIMIT_EXCEEDED.
func (a *AddressLimit) Require() gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := a.Failed(c, nil); err != nil {
			httpx.WriteError(c, err)
		}
	}
}

// Failed counts the request. Beyond the limit it returns ErrLimited, within it otherwise, which may be nil: the error that a
// refused credential is answered with, for instance.
func (a *AddressLimit) Failed(c *gin.Context, otherwise error) error {
	if a == nil || !httpx.AddressKnown(c) {
		return otherwise
	}
	if d := a.limiter.Take(c.Request.Context(), a.bucket(c), a.limit); !d.Allowed {
		return ErrLimited.After(d.RetryAfter)
	}
	return otherwise
}

func (a *AddressLimit) refund(c *gin.Context) {
	if a != nil && httpx.AddressKnown(c) {
		a.limiter.Refund(c.Request.Context(), a.bucket(c))
	}
}

func (a *AddressLimit) bucket(c *gin.Context) string { return a.name + "|" + address(c) }

// address is what a client counts as: one IPv6 customer commands a whole /64.
func address(c *gin.Context) string {
	ip := httpx.ClientIP(c)
	addr, err := netip.ParseAddr(ip)
	if err != nil || addr.Unmap().Is4() {
		return ip
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return ip
	}
	return network.String()
}
