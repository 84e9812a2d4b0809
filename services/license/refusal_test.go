package license_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func (w *world) beat(access []string) answer {
	w.t.Helper()
	return w.call(http.MethodPost, "/api/v1/license/heartbeat", "", access...)
}

func (w *world) checkOffline(raw string) answer {
	w.t.Helper()
	return w.call(http.MethodPost, "/api/v1/license/validate-offline", fmt.Sprintf(`{"token":%q}`, raw))
}

// refusedTokens are the ways in which a token of ours is refused, all in the moment of the call.
var refusedTokens = map[string]struct {
	call         func(w *world, id string, h held) answer
	code, reason string
}{
	"heartbeat of a revoked family": {func(w *world, id string, _ held) answer {
		w.auth.familyID = "stolen"
		w.auth.revoke("stolen")
		return w.beat(w.bearer(id, "pc"))
	}, "INVALID_TOKEN", "revoked"},
	"heartbeat with an ended token": {func(w *world, _ string, h held) answer {
		w.clock.Advance(2 * time.Hour)
		return w.beat(h.access)
	}, "INVALID_TOKEN", "expired"},
	"heartbeat with an offline token": {func(w *world, _ string, h held) answer {
		return w.beat([]string{"Authorization", "Bearer " + h.offline})
	}, "INVALID_TOKEN", "audience"},
	"heartbeat of a device without a seat": {func(w *world, id string, h held) answer {
		w.deactivate(id, "pc")
		return w.beat(h.access)
	}, "DEVICE_NOT_ACTIVATED", "device_not_activated"},
	"offline-token of a device without a seat": {func(w *world, id string, h held) answer {
		w.deactivate(id, "pc")
		return w.call(http.MethodPost, "/api/v1/license/offline-token", "", h.access...)
	}, "DEVICE_NOT_ACTIVATED", "device_not_activated"},
	"validate-offline of a device without a seat": {func(w *world, id string, h held) answer {
		w.deactivate(id, "pc")
		return w.checkOffline(h.offline)
	}, "INVALID_TOKEN", "device_not_activated"},
	"validate-offline with an access token": {func(w *world, _ string, h held) answer {
		return w.checkOffline(strings.TrimPrefix(h.access[1], "Bearer "))
	}, "INVALID_TOKEN", "audience"},
}

func TestRefusedTokensArePublishedAndCounted(t *testing.T) {
	for name, tt := range refusedTokens {
		t.Run(name, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				id, key := w.create(1, 30)
				w.activate(key, "pc")
				if got := tt.call(w, id, w.hold(id, "pc")); got.body["error_code"] != tt.code {
					w.t.Fatalf("answered %d %v", got.status, got.body)
				}
				e, data := w.tokenRefused(func(*eventsv1.LicenseTokenRefused) bool { return true })
				if e.Subject != id || data.LicenseId != id || data.HardwareId != "pc" || data.ErrorCode != tt.code ||
					data.Ip == "" || data.Count != 1 {
					w.t.Errorf("subject %s: %+v", e.Subject, data)
				}
				w.refusalsCounted(tt.reason, 1)
			})
		})
	}
}

// tokenRefused waits for the event that matches.
func (w *world) tokenRefused(
	matches func(*eventsv1.LicenseTokenRefused) bool,
) (event.Event, *eventsv1.LicenseTokenRefused) {
	w.t.Helper()
	var data *eventsv1.LicenseTokenRefused
	e := w.await(func(e event.Event) bool {
		data = &eventsv1.LicenseTokenRefused{}
		return e.Type == eventsv1.TypeLicenseTokenRefused && json.Unmarshal(e.Data, data) == nil && matches(data)
	})
	return e, data
}

func (w *world) refusalsCounted(reason string, n int) {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.sisters["license"].ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	line := regexp.MustCompile(fmt.Sprintf(`latchkey_license_refused_tokens_total{.*reason="%s".*} %d\n`, reason, n))
	if !line.MatchString(rec.Body.String()) {
		w.t.Errorf("the metrics do not tell of %d %s", n, reason)
	}
}

// TestEventsOfRefusedTokensAreLimited: of one family, and of the offline tokens of one device, ten a minute are
// published, and none of tokens that somebody made up.
func TestEventsOfRefusedTokensAreLimited(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 30)
		w.activate(key, "pc")
		h := w.hold(id, "pc")
		w.deactivate(id, "pc")
		forged := h.offline[:strings.LastIndexByte(h.offline, '.')+1] + strings.Repeat("A", 86)
		for range 30 {
			w.beat(h.access)
			w.checkOffline(h.offline)
			w.checkOffline(forged)
		}
		w.clock.Advance(time.Minute)
		w.beat(h.access)
		w.tokenRefused(func(e *eventsv1.LicenseTokenRefused) bool {
			return e.ErrorCode == "DEVICE_NOT_ACTIVATED" && e.Count == 21
		})
		w.checkOffline(h.offline)
		w.tokenRefused(func(e *eventsv1.LicenseTokenRefused) bool {
			return e.ErrorCode == "INVALID_TOKEN" && e.Count == 21
		})
		w.mu.Lock()
		defer w.mu.Unlock()
		n := 0
		for _, e := range w.published {
			if e.Type == eventsv1.TypeLicenseTokenRefused {
				n++
			}
		}
		if n != 22 {
			w.t.Errorf("%d events, want 22", n)
		}
		w.refusalsCounted("device_not_activated", 62)
		w.refusalsCounted("signature", 30)
	})
}
