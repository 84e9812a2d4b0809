package api_test

import (
	"net/http"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/testkit/openapitest"
	"github.com/latchkey-dev/latchkey/proto/openapi"
)

// TestNoSpellingOfAnIDFails: no route answers a 5xx, whatever it is sent for an id.
func TestNoSpellingOfAnIDFails(t *testing.T) {
	each(t, func(t *testing.T, k *harness) {
		const id = "0199d3c4-7a10-7c3e-9f65-0c1d4e5f6a7b"
		openapitest.Spell(t, openapi.Analytics, id, k.engine, http.Header{apikey.Header: {k.key}})
	})
}
