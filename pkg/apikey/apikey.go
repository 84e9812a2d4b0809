// Package apikey guards routes by API key: who calls (X-API-Key), whether the key may call this endpoint, and how
// often. Keys are kept in memory for a minute, and for a quarter of an hour while the service that knows them is away.
//
// Remote knows auth's generated client, which is no building block; without it license and analytics would each need
// the same copy of it.
package apikey

import (
	"context"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
)

// Header carries the secret. Its canonical form is how net/http files it, written out to spare a conversion per
// request.
const (
	Header          = "X-API-Key"
	canonicalHeader = "X-Api-Key"
)

// Prefix begins every API key.
const Prefix = "sk_"

// PerAddress is the rate_limit.per of a key whose allowance each client address has for itself; the usual one is "key".
const PerAddress = "address"

// What the guard refuses with.
var (
	ErrInvalid = apierr.New(apierr.Unauthenticated, errcode.InvalidAPIKey,
		"the API key is missing or not valid; send a valid key, exactly once, in the header X-API-Key")
	ErrNotAllowed = apierr.New(apierr.Forbidden, errcode.EndpointNotAllowed,
		"the API key may not call this endpoint; use a key whose allowed_endpoints cover it")
)

// Key is what a guard needs to know of an API key.
type Key struct {
	ID, ClientName string
	// Allowed are paths, each covering what lies below it, or globs in which * stands for any characters.
	Allowed []string
	Limit   ratelimit.Limit
	// Product is the code of the product to whose licenses the key is bound, empty for all.
	Product string
	// PerAddress gives each client address its own allowance.
	PerAddress bool
	// ExpiresAt is when the secret is refused; zero: never.
	ExpiresAt time.Time
	// Ended says that the secret was good once and is refused.
	Ended bool
}

// Source knows the keys.
type Source interface {
	// LookUpAPIKey finds the key of a secret by the secret's SHA-256, which guard.go makes; secrets themselves are
	// compared nowhere (auth's store/apikey.go has the hashes). Unknown is ErrInvalid; revoked, replaced or expired
	// is Ended.
	LookUpAPIKey(ctx context.Context, sha256 [32]byte) (Key, error)
}

// Of is the key that the guard admitted; the zero Key on a route without guard.
func Of(c *gin.Context) Key {
	if k, ok := httpx.Caller(c).(*Key); ok {
		return *k
	}
	return Key{}
}

// Allows reports whether path is covered by any of the patterns: by a path that it equals or lies below, or by a glob.
func Allows(patterns []string, path string) bool {
	for _, p := range patterns {
		if strings.Contains(p, "*") && matches(p, path) || covers(p, path) {
			return true
		}
	}
	return false
}

func covers(pattern, path string) bool {
	pattern = strings.TrimSuffix(pattern, "/")
	rest, ok := strings.CutPrefix(path, pattern)
	return ok && (rest == "" || rest[0] == '/')
}

// matches reports whether * standing for any characters turns glob into path. It walks back to the last * only, so that
// its time is bounded by the product of both lengths.
func matches(glob, path string) bool {
	g, p, star, mark := 0, 0, -1, 0
	for p < len(path) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, mark = g, p
			g++
		case g < len(glob) && glob[g] == path[p]:
			g++
			p++
		case star >= 0:
			mark++
			g, p = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(glob[g:], "*") == ""
}

// remote asks auth.
type remote struct {
	auth authv1connect.AuthServiceClient
}

// Remote is the source for services that have to ask auth; the client is made with the options of package rpc.
func Remote(auth authv1connect.AuthServiceClient) Source { return remote{auth} }

// LookUpAPIKey implements Source.
func (r remote) LookUpAPIKey(ctx context.Context, sha256 [32]byte) (Key, error) {
	res, err := r.auth.LookUpAPIKey(ctx, connect.NewRequest(&authv1.LookUpAPIKeyRequest{Sha256: sha256[:]}))
	if err != nil {
		return Key{}, err
	}
	key := Key{
		ID: res.Msg.ApiKeyId, ClientName: res.Msg.ClientName, Allowed: res.Msg.AllowedEndpoints,
		Limit: ratelimit.Limit{
			PerMinute: int(res.Msg.GetRateLimit().GetPerMinute()),
			PerHour:   int(res.Msg.GetRateLimit().GetPerHour()),
		},
		PerAddress: res.Msg.GetRateLimit().GetPer() == PerAddress,
		Product:    res.Msg.Product,
		Ended:      res.Msg.Ended,
	}
	if end := res.Msg.ExpiresAt; end != nil {
		key.ExpiresAt = end.AsTime()
	}
	return key, nil
}
