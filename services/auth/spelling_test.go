package auth_test

import (
	"net/http"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/testkit/openapitest"
	"github.com/latchkey-dev/latchkey/pkg/testkit/rpctest"
	"github.com/latchkey-dev/latchkey/proto/openapi"
)

// TestNoSpellingOfAnIDFails: no route answers a 5xx, whatever it is sent for an id.
func TestNoSpellingOfAnIDFails(t *testing.T) {
	eachEngine(t, func(w *harness) {
		id := w.createKey(`{"client_name": "app"}`).ID
		credentials := http.Header{"X-Admin-Secret": {adminSecret}, "X-Api-Key": {w.client()["X-API-Key"]}}
		openapitest.Spell(w.T, openapi.Auth, id, w.service.Handler(), credentials)
		ada := &rpc.Actor{Id: "k-1", Name: "Ada", Role: "owner"}
		openapitest.Spell(w.T, openapi.Admin, id, rpctest.Front("auth", w.service.InternalHandler(), ada), nil)
	})
}
