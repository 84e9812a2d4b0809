package rpc

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// errNotForwarded refuses what does not come through a Gateway, whatever it lacks; the log knows more.
var errNotForwarded = apierr.New(apierr.Unauthenticated, errcode.InvalidToken,
	"this port answers peer services alone; send the request to the public address of admin")

// RequireActor admits requests that one of callers forwards to the service named audience for a person, whom ActorOf
// then gives.
func RequireActor(audience string, peers Peers, callers ...string) gin.HandlerFunc {
	tokens := newVerifier(audience, peers, clock.System{})
	return func(c *gin.Context) {
		actor, err := admit(tokens, c.Request, callers)
		switch {
		case isTyped(err):
			httpx.WriteError(c, err)
		case err != nil:
			httpx.Report(c.Request.Context(), fmt.Errorf("service token: %w", err))
			httpx.WriteError(c, errNotForwarded)
		default:
			httpx.SetCaller(c, actor)
		}
	}
}

func admit(tokens *verifier, r *http.Request, callers []string) (*Actor, error) {
	claims, err := tokens.verify(r.Header["Authorization"])
	if err != nil {
		return nil, err
	}
	request := r.Method + " " + r.URL.EscapedPath()
	switch {
	case !slices.Contains(callers, claims.Issuer):
		return nil, fmt.Errorf("%s may not ask in the name of a person", claims.Issuer)
	case claims.Actor.GetId() == "":
		return nil, fmt.Errorf("%s does not name the caller", claims.Issuer)
	case claims.Request != request:
		return nil, fmt.Errorf("%s made the token for %q, and it came with %q", claims.Issuer, claims.Request, request)
	}
	return claims.Actor, nil
}

// ActorOf is the person in whose name the request of c was forwarded.
func ActorOf(c *gin.Context) *Actor {
	actor, _ := httpx.Caller(c).(*Actor)
	return actor
}
