package api

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
)

// maxText is the longest name or identifier, in characters.
const maxText = 255

// forward lets the service that owns the data answer, in the name of the caller. What passes, how long it may take and
// what is sent again is up to rpc.Gateway. What a new endpoint touches (the owner's package manage, one line in
// routes.go here, OpenAPI) is in CONTRIBUTING.md: Add an endpoint.
func forward(owner *rpc.Gateway) httpx.Handler {
	return func(c *gin.Context) error { return owner.Forward(c, actor(c)) }
}

// own is for what admin answers itself: it refuses query parameters other than those named, and If-Match, because
// nothing of it has a version.
func own(h httpx.Handler, names ...string) httpx.Handler {
	return func(c *gin.Context) error {
		if err := httpx.NoIfMatch(c); err != nil {
			return err
		}
		if err := httpx.KnownQuery(c, names...); err != nil {
			return err
		}
		return h(c)
	}
}

// large lets a handler read larger bodies than the rest.
func large(h httpx.Handler) httpx.Handler { return after(httpx.MaxBody(maxBulkBody), h) }

// longer gives a handler more time than the rest have.
func longer(t time.Duration, h httpx.Handler) httpx.Handler { return after(httpx.Timeout(t), h) }

func after(first gin.HandlerFunc, h httpx.Handler) httpx.Handler {
	return func(c *gin.Context) error {
		first(c)
		return h(c)
	}
}
