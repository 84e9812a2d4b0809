package license_test

import (
	"crypto/ed25519"
	"fmt"
	"net/http"
	"testing"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// signed is what a device holds that a signing key signed.
type signed struct {
	access  []string
	offline string
}

func (w *world) signed(id, hardwareID string) signed {
	w.t.Helper()
	s := signed{access: w.bearer(id, hardwareID)}
	got := w.call(http.MethodPost, "/api/v1/license/offline-token", "{}", s.access...)
	w.want(got, http.StatusCreated, "")
	s.offline, _ = got.body["token"].(string)
	return s
}

func (w *world) heartbeat(s signed) answer {
	w.t.Helper()
	return w.call(http.MethodPost, "/api/v1/license/heartbeat", "{}", s.access...)
}

func (w *world) validateOffline(s signed) answer {
	w.t.Helper()
	return w.call(http.MethodPost, "/api/v1/license/validate-offline", fmt.Sprintf(`{"token":%q}`, s.offline))
}

// replaceKey has auth publish and use another signing key alone; nobody is told.
func (w *world) replaceKey() {
	w.t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.auth.key, w.auth.kid = key, w.auth.kid+"+"
}

func TestRevokedSigningKey(t *testing.T) {
	eachWorld(t, func(here *world) {
		here.auth.limit = nil
		id, key := here.create(1, 30)
		here.want(here.post("activate", device(key, "pc")), http.StatusCreated, "")
		old := here.signed(id, "pc")
		both := map[string]*world{"here": here, "another replica": here.replica()}
		for _, w := range both {
			w.want(w.heartbeat(old), http.StatusOK, "")
			w.want(w.validateOffline(old), http.StatusOK, "")
		}
		here.replaceKey()
		fresh := here.signed(id, "pc")
		for _, w := range both {
			w.want(w.heartbeat(fresh), http.StatusOK, "") // the key is new to it
			w.want(w.validateOffline(fresh), http.StatusOK, "")
		}
		here.replaceKey()
		for _, w := range both {
			w.want(w.heartbeat(fresh), http.StatusOK, "") // from memory: nobody has told yet
			w.want(w.validateOffline(fresh), http.StatusOK, "")
		}
		here.publish(&eventsv1.SigningKeyRevoked{Kid: "k1+"})
		for name, w := range both {
			w.becomes("heartbeat, "+name, http.StatusUnauthorized, "INVALID_TOKEN", func() answer {
				return w.heartbeat(fresh)
			})
			w.becomes("offline, "+name, http.StatusUnauthorized, "INVALID_TOKEN", func() answer {
				return w.validateOffline(fresh)
			})
			w.want(w.heartbeat(here.signed(id, "pc")), http.StatusOK, "")
		}
	})
}

// Without the bus a replica knows after five seconds, and without auth it then knows nothing.
func TestRevokedSigningKeyWithoutTheBus(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = nil
		deaf := w.replicaOn(deafBus{w.bus.Bus})
		id, key := w.create(1, 30)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		old := w.signed(id, "pc")
		deaf.want(deaf.heartbeat(old), http.StatusOK, "")
		deaf.want(deaf.validateOffline(old), http.StatusOK, "")
		w.replaceKey()
		w.clock.Advance(5*time.Second - time.Microsecond)
		deaf.want(deaf.heartbeat(old), http.StatusOK, "")
		deaf.want(deaf.validateOffline(old), http.StatusOK, "")
		w.clock.Advance(time.Microsecond)
		deaf.want(deaf.heartbeat(old), http.StatusUnauthorized, "INVALID_TOKEN")
		deaf.want(deaf.validateOffline(old), http.StatusUnauthorized, "INVALID_TOKEN")
		fresh := w.signed(id, "pc")
		deaf.want(deaf.validateOffline(fresh), http.StatusOK, "")
		w.auth.mu.Lock()
		w.auth.away = true
		w.auth.mu.Unlock()
		w.clock.Advance(5 * time.Second)
		deaf.want(deaf.validateOffline(fresh), http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE")
		w.want(w.validateOffline(fresh), http.StatusOK, "") // it would have heard
	})
}
