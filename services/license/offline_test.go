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

// TestTheLastSecondOfALicense: what is given out ends at a whole second, and so would have ended already.
func TestTheLastSecondOfALicense(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.clock.Set(w.clock.Now().Truncate(time.Second).Add(1300 * time.Millisecond))
		end := w.clock.Now().Add(time.Hour + 400*time.Millisecond).Format(time.RFC3339Nano)
		id, key := w.with(`"max_devices":1,"expires_at":"` + end + `"`)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		w.clock.Advance(time.Hour)
		if got := w.post("validate", device(key, "pc")); got.body["valid"] != true {
			w.t.Errorf("validate: %s", got.raw)
		}
		for name, got := range map[string]answer{
			"token": w.call(http.MethodPost, "/api/v1/license/offline-token", `{}`, w.bearer(id, "pc")...),
			"file":  w.post("license-file", device(key, "pc")),
		} {
			if got.status != http.StatusForbidden || got.body["error_code"] != "LICENSE_EXPIRED" {
				w.t.Errorf("%s: %d %s", name, got.status, got.raw)
			}
		}
	})
}
