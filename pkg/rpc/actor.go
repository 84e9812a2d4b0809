package rpc

import (
	"fmt"
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

// RequireActor admits what one of callers forwards to the service named audience in the name of a person, whom ActorOf
// then tells.
func RequireActor(audience string, peers Peers, callers ...string) gin.HandlerFunc {
	tokens := newVerifier(audience, peers, clock.System{})
	return func(c *gin.Context) {
		actor, err := admit(tokens, c.Request.Header["Authorization"], callers)
		if err != nil {
			httpx.Report(c.Request.Context(), fmt.Errorf("service token: %w", err))
			httpx.WriteError(c, errNotForwarded)
			return
		}
		httpx.SetCaller(c, actor)
	}
}

func admit(tokens *verifier, authorization, callers []string) (*Actor, error) {
	service, actor, err := tokens.verify(authorization)
	switch {
	case err != nil:
		return nil, err
	case !slices.Contains(callers, service):
		return nil, fmt.Errorf("%s may not ask in the name of a person", service)
	case actor.GetId() == "":
		return nil, fmt.Errorf("%s does not say who asks", service)
	}
	return actor, nil
}

// ActorOf is the person in whose name the request of c was forwarded.
func ActorOf(c *gin.Context) *Actor {
	actor, _ := httpx.Caller(c).(*Actor)
	return actor
}
