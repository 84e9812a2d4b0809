package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/openapitest"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/api"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/ingest"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/store"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

var migrations = []db.Migrations{store.Migrations, outbox.Migrations}

// now is where the tests' clock stands.
var now = time.Date(2026, 3, 18, 12, 0, 0, 0, time.UTC)

// keys is auth, as far as these tests go.
type keys map[[32]byte]apikey.Key

// LookUpAPIKey implements apikey.Source.
func (k keys) LookUpAPIKey(_ context.Context, sum [32]byte) (apikey.Key, error) {
	if key, ok := k[sum]; ok {
		return key, nil
	}
	return apikey.Key{}, apikey.ErrInvalid
}

// harness is the real router over the real store, whose answers are held against the document.
type harness struct {
	t        testing.TB
	clock    *clock.Fake
	outbox   *outbox.Outbox
	consumer *ingest.Consumer
	engine   *gin.Engine
	handler  http.Handler
	key      string
	keys     keys
	events   int
	waiting  []event.Event
}

func newHarness(t testing.TB, d *db.DB) *harness {
	k := &harness{t: t, clock: clock.NewFake(now), outbox: outbox.New(d, "latchkey/analytics"), keys: keys{}}
	k.key = k.newKey(apikey.Key{ID: "all", ClientName: "tests", Allowed: []string{"*"}})
	st, engine := store.New(d, k.outbox), detect.New()
	k.consumer = ingest.New(st, engine, k.clock, testkit.Log(t))
	guard := apikey.NewGuard(k.keys, apikey.Options{Clock: k.clock, Limiter: ratelimit.NewLocal(k.clock)})
	k.engine = httpx.NewEngine(httpx.Options{Service: "analytics", Log: testkit.Log(t), Clock: k.clock})
	api.New(api.Deps{
		Reports:       &usage.Reports{Store: st, Log: st, Clock: k.clock},
		Anomalies:     &usage.Anomalies{Store: st, Log: st, Engine: engine, Clock: k.clock},
		RequireAPIKey: guard.Require(),
	}).Routes(k.engine)
	k.handler = openapitest.Wrap(t, openapi.Analytics, k.engine)
	return k
}

func each(t *testing.T, test func(t *testing.T, k *harness)) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) { test(t, newHarness(t, d)) })
}

func (k *harness) newKey(key apikey.Key) string {
	s := secret.New(apikey.Prefix)
	k.keys[secret.Hash(s)] = key
	return s
}

// answer is what a call got.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (k *harness) call(method, path, body string) answer { return k.callAs(k.key, method, path, body) }

func (k *harness) callAs(key, method, path, body string) answer {
	k.t.Helper()
	k.consume()
	req := httptest.NewRequest(method, "/api/v1/analytics"+path, strings.NewReader(body))
	if key != "" {
		req.Header.Set(apikey.Header, key)
	}
	rec := httptest.NewRecorder()
	k.handler.ServeHTTP(rec, req)
	a := answer{status: rec.Code, header: rec.Header(), text: rec.Body.String()}
	_ = json.Unmarshal(rec.Body.Bytes(), &a.body) // CSV stays text
	return a
}

func (k *harness) get(path string) map[string]any {
	k.t.Helper()
	a := k.call("GET", path, "")
	if a.status != http.StatusOK {
		k.t.Fatalf("GET %s: %d %s", path, a.status, a.text)
	}
	return a.body
}

type body = map[string]any

// add puts an event on the way; all of them are consumed, as one batch, before the next call.
func (k *harness) add(eventType string, at time.Time, b body) {
	k.t.Helper()
	k.waiting = append(k.waiting, k.event(eventType, at, b))
}

func (k *harness) consume() {
	k.t.Helper()
	if err := k.consumer.Handle(context.Background(), k.waiting); err != nil {
		k.t.Fatalf("consume: %v", err)
	}
	k.waiting = nil
}

func (k *harness) event(eventType string, at time.Time, b body) event.Event {
	k.events++
	raw, err := json.Marshal(b)
	if err != nil {
		k.t.Fatal(err)
	}
	return event.Event{
		ID:     fmt.Sprintf("02890000-0000-7000-8000-%012d", k.events),
		Type:   eventType,
		Source: "latchkey/license",
		Time:   at,
		Data:   raw,
	}
}

// published is the events of a type that the service has published about a subject.
func (k *harness) published(eventType, subject string) []event.Event {
	k.t.Helper()
	events, _, err := k.outbox.List(k.t.Context(), subject, now.AddDate(-1, 0, 0), nil, 100, math.MaxInt)
	if err != nil {
		k.t.Fatal(err)
	}
	return slices.DeleteFunc(events, func(e event.Event) bool { return e.Type != eventType })
}

func licenseID(n int) string { return fmt.Sprintf("01890000-0000-7000-8000-%012d", n) }

// create makes license n known.
func (k *harness) create(n, seats int, more body) string {
	k.t.Helper()
	id := licenseID(n)
	b := body{"license_id": id, "customer_id": "acme", "license_type": "standard", "max_devices": seats,
		"is_active": true, "version": 1, "license": body{}}
	maps.Copy(b, more)
	k.add(eventsv1.TypeLicenseCreated, now.AddDate(0, 0, -60), b)
	return id
}

// at goes down into an answer: names of members, and "0" for the first entry of a list.
func at(v any, path ...string) any {
	for _, name := range path {
		switch inner := v.(type) {
		case map[string]any:
			v = inner[name]
		case []any:
			if len(inner) == 0 {
				return nil
			}
			v = inner[0]
		}
	}
	return v
}
