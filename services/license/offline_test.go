package license_test

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

// TestOfflineTokenOfADeviceThatLeaves takes the seat away while auth signs: the token must not get out, nor hold up the
// seat.
func TestOfflineTokenOfADeviceThatLeaves(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 2)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		w.auth.whileSigning = func() {
			if got := w.post("deactivate", device(key, "pc")); got.status != http.StatusOK {
				w.t.Errorf("deactivate: %v", got)
			}
		}
		got := w.call(http.MethodPost, "/api/v1/license/offline-token", `{"duration_hours":24}`, w.bearer(id, "pc")...)
		w.want(got, http.StatusForbidden, "DEVICE_NOT_ACTIVATED")
		if got.body["token"] != nil {
			w.t.Error("the token got out")
		}
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		w.want(w.post("deactivate", device(key, "pc")), http.StatusOK, "")
		if slices.Contains(w.logged(id), "license.offline_token.issued") {
			w.t.Error("an event tells of a token that nobody has")
		}
	})
}

// TestOfflineTokenRace lets one device ask for tokens and leave at the same time: anyone who comes second is refused,
// so that no token is out for a seat that was freed.
func TestOfflineTokenRace(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 30)
		for round := range 8 {
			w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
			bearer := w.bearer(id, "pc")
			issued, left := make(chan answer, 1), make(chan answer, 1)
			go func() {
				issued <- w.call(http.MethodPost, "/api/v1/license/offline-token", `{"duration_hours":1}`, bearer...)
			}()
			go func() { left <- w.post("deactivate", device(key, "pc")) }()
			token, leave := <-issued, <-left
			if (token.status == http.StatusCreated) == (leave.status == http.StatusOK) {
				w.t.Fatalf("round %d: token %d %v, deactivation %d %v",
					round, token.status, token.body, leave.status, leave.body)
			}
			if leave.status == http.StatusOK {
				continue
			}
			w.want(leave, http.StatusConflict, "OFFLINE_TOKEN_ACTIVE")
			w.clock.Advance(time.Hour + time.Second)
			w.want(w.post("deactivate", device(key, "pc")), http.StatusOK, "")
		}
	})
}
