package api

import (
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
)

// maxText is the longest name or identifier, in characters.
const maxText = 255

// forward lets the service that owns the data answer, in the name of the caller.
func forward(owner *rpc.Gateway) httpx.Handler {
	return func(c *gin.Context) error { return owner.Forward(c, actor(c)) }
}

// own is for what admin answers itself: it refuses query parameters other than those named.
func own(h httpx.Handler, names ...string) httpx.Handler {
	return func(c *gin.Context) error {
		if err := httpx.KnownQuery(c, names...); err != nil {
			return err
		}
		return h(c)
	}
}

// large lets a handler read larger bodies than the rest, and take longer.
func large(h httpx.Handler) httpx.Handler {
	body, timeout := httpx.MaxBody(maxBulkBody), httpx.Timeout(bulkTime)
	return func(c *gin.Context) error {
		body(c)
		timeout(c)
		return h(c)
	}
}
