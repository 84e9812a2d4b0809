package delegated

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// withKey finds a key, counts the call against its limit, and goes on with it. A call that ends in a failure of ours is
// given back. The key is the whole credential and names its organisation: what a master or a slave may do with it is
// decided in delegation/activate.go and in query.go here.
func (d *Dialect) withKey(
	c *gin.Context, text string, client licensing.Client, serve func(delegation.Key) error,
) error {
	k, err := d.find(c, text, client)
	if err != nil {
		return err
	}
	quota := ratelimit.Quota{Limiter: d.Limiter, Limit: limit}
	bucket := "delegated-key " + k.ID()
	if err := quota.Admit(c.Request.Context(), bucket); err != nil {
		return err
	}
	err = serve(k)
	if err != nil && httpx.Typed(err).Kind.Status() >= http.StatusInternalServerError &&
		!httpx.ClientLeft(c.Request.Context()) {
		quota.Refund(c.Request.Context(), bucket)
	}
	return err
}

// find looks for a key, unless the address had too many refused. What is too short or long for one is not looked up.
// An event is published of what nobody has, but not beyond the limit of the address: anyone who comes here has shown no
// credential.
func (d *Dialect) find(c *gin.Context, text string, client licensing.Client) (k delegation.Key, err error) {
	if !delegation.PlausibleLength(text) {
		return k, d.Attempts.Refuse(c, delegation.ErrKey)
	}
	err = d.Attempts.Try(c, credential(c, text), func() error {
		k, err = d.Keys.Find(c.Request.Context(), text)
		return err
	})
	if errors.Is(err, delegation.ErrUnknownKey) {
		client.IP, client.ViaProxy = httpx.ClientIP(c), httpx.ViaProxy(c)
		d.Keys.Unknown(text, client)
	}
	return k, err
}

// credential is what the guard knows of a key. Only our own are beyond guessing.
func credential(c *gin.Context, text string) guard.Credential {
	if delegation.WellFormed(text) {
		return guard.Made(delegation.SumOf(text))
	}
	return guard.Chosen(c, text)
}
