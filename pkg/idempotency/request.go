package idempotency

import (
	"crypto/sha256"
	"net/http"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

const (
	header = "Idempotency-Key"
	maxKey = 255
)

// FromRequest reads the key of a request with the given body. Without the header, Key.Key is empty; one that is not 1 to 255
// printable ASCII characters is a VALIDATION_ERROR.
func FromRequest(r *http.Request, scope string, body []byte) (Key, error) {
	values := r.Header.Values(header)
	if len(values) == 0 {
		return Key{}, nil
	}
	if len(values) > 1 || !printable(values[0]) {
		return Key{}, apierr.InvalidField(header, "must be one header of 1 to 255 printable ASCII characters")
	}
	k := Key{Scope: scope, Key: values[0]}
	h := sha256.New()
	h.Write([]byte(r.Method + "\x00" + r.URL.RequestURI() + "\x00"))
	h.Write(body)
	h.Sum(k.Request[:0])
	return k, nil
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
