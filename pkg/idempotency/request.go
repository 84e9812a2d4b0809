package idempotency

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
)

const (
	header = "Idempotency-Key"
	maxKey = 255
)

// Answer is Do for the request of c and the Idempotency-Key that it carries. scope says whose key that is.
func Answer[T any](
	c *gin.Context, s *Store, scope string, fn func(ctx context.Context) (T, error),
) (answer T, err error) {
	key, err := KeyOf(c, scope)
	if err != nil {
		return answer, err
	}
	return Do(c.Request.Context(), s, key, fn)
}

// AnswerLast is Answer for callers who prove themselves by a token alone: as many keys as they send, the scope keeps
// its last answer only (Key.Last).
func AnswerLast[T any](
	c *gin.Context, s *Store, scope string, fn func(ctx context.Context) (T, error),
) (answer T, err error) {
	key, err := KeyOf(c, scope)
	if err != nil {
		return answer, err
	}
	key.Last = true
	return Do(c.Request.Context(), s, key, fn)
}

// KeyOf is FromRequest for the request of c.
func KeyOf(c *gin.Context, scope string) (Key, error) {
	body, err := httpx.Body(c)
	if err != nil {
		return Key{}, err
	}
	return FromRequest(c.Request, scope, body)
}

// FromRequest reads the key of a request with the given body. Without the header, Key.Key is empty; one that is not 1
// to 255 printable ASCII characters is a VALIDATION_ERROR. Bodies are alike when they are the same JSON, however it is
// written: some encoders order members anew each time.
func FromRequest(r *http.Request, scope string, body []byte) (Key, error) {
	values := r.Header.Values(header)
	if len(values) == 0 {
		return Key{}, nil
	}
	if len(values) > 1 || !printable(values[0]) {
		return Key{}, apierr.InvalidField(header, "must be one header of 1 to 255 printable ASCII characters")
	}
	return Operation(r, scope, values[0], body), nil
}

// Operation is the key of a request that names its operation in its body: operation must not be empty.
func Operation(r *http.Request, scope, operation string, body []byte) Key {
	called := url.URL{Path: r.URL.Path, RawQuery: r.URL.RawQuery} // a path may be escaped in several ways
	sum := func(body []byte) (hash [32]byte) {
		h := sha256.New()
		h.Write([]byte(r.Method + "\x00" + called.RequestURI() + "\x00"))
		h.Write(body)
		h.Sum(hash[:0])
		return hash
	}
	return Key{Scope: scope, Key: operation, Request: sum(jsonbody.Canonical(body)), verbatim: sum(body)}
}

func printable(key string) bool {
	if key == "" || len(key) > maxKey {
		return false
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}
