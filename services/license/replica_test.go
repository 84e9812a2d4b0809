package license_test

import (
	"fmt"
	"net/http"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license"
)

// becomes waits for invalidations to arrive. The world's clock stands still, so what is remembered does not end by
// itself.
func (w *world) becomes(what string, status int, code string, ask func() answer) {
	w.t.Helper()
	testkit.Eventually(w.t, patience, func() error {
		if got := ask(); got.status != status || code != "" && got.body["error_code"] != code {
			return fmt.Errorf("%s: %d %v", what, got.status, got.body)
		}
		return nil
	})
}

// warm asks until memory answers: events on their way still drop what is loaded before they come.
func (w *world) warm(validate func() answer) {
	w.t.Helper()
	testkit.Eventually(w.t, patience, func() error {
		if got := validate(); got.body["valid"] != true || got.body["cached"] != true {
			return fmt.Errorf("not from memory: %v", got.body)
		}
		return nil
	})
}

func TestReplicasHearOfEachOther(t *testing.T) {
	eachWorld(t, func(here *world) {
		here.auth.limit = nil
		there := here.replica()
		id, key := here.create(2, 30)
		here.want(here.post("activate", device(key, "pc")), http.StatusCreated, "")
		validate := func() answer { return there.post("validate", device(key, "pc")) }
		there.warm(validate)
		here.update(id, `{"is_active":false}`)
		there.becomes("a license deactivated elsewhere", http.StatusForbidden, "LICENSE_INACTIVE", validate)
		here.update(id, `{"is_active":true,"max_devices":2}`)
		there.becomes("a license revived elsewhere", http.StatusOK, "", validate)
		here.want(here.post("deactivate", device(key, "pc")), http.StatusOK, "")
		there.becomes("a device deactivated elsewhere", http.StatusOK, "DEVICE_NOT_ACTIVATED", validate)
	})
}

// publish tells of something that happened at auth.
func (w *world) publish(msg proto.Message) {
	w.t.Helper()
	e, err := event.New("latchkey/auth", "subject", w.clock.Now(), msg)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.bus.Publish(w.t.Context(), []event.Event{e}); err != nil {
		w.t.Fatal(err)
	}
}

func TestRevocationsAreHeard(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = nil
		id, key := w.create(1, 30)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		token := w.bearer(id, "pc")
		heartbeat := func() answer { return w.call(http.MethodPost, "/api/v1/license/heartbeat", "{}", token...) }
		w.want(heartbeat(), http.StatusOK, "")
		w.auth.revoke("family-1")
		w.want(heartbeat(), http.StatusOK, "") // from memory: nobody has told yet
		w.publish(&eventsv1.LicenseTokenReused{LicenseId: id, HardwareId: "pc", FamilyId: "family-1"})
		w.becomes("a revoked family", http.StatusUnauthorized, "INVALID_TOKEN", heartbeat)

		validate := func() answer { return w.post("validate", device(key, "pc")) }
		w.auth.keyRevoked.Store(true)
		w.want(validate(), http.StatusOK, "")
		w.publish(&eventsv1.ApiKeyRevoked{ApiKeyId: "key"})
		w.becomes("a revoked API key", http.StatusUnauthorized, "INVALID_API_KEY", validate)
	})
}

func TestReplicasShareALimit(t *testing.T) {
	// a database that is late would be left alone
	testkit.EachEngineInBubble(t, license.Migrations, func(t *testing.T, d *db.DB) {
		first := newWorld(t, d, func(cfg *license.Config) { cfg.RateLimitShared = true })
		both := []*world{first, first.replica()}
		_, key := first.create(1, 0)
		for i := range 60 {
			w := both[i%2]
			w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
		}
		for _, w := range both {
			w.want(w.post("validate", device(key, "pc")), http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
		}
	})
}
