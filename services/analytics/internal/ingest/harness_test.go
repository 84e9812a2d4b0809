package ingest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/ingest"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/store"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

var migrations = []db.Migrations{store.Migrations, outbox.Migrations}

// now is where the tests' clock stands: a Wednesday noon.
var now = time.Date(2026, 3, 18, 12, 0, 0, 0, time.UTC)

const license = "01890000-0000-7000-8000-000000000001"

// harness is a consumer on a real store.
type harness struct {
	t        testing.TB
	engine   db.Engine
	clock    *clock.Fake
	store    *store.Store
	outbox   *outbox.Outbox
	consumer *ingest.Consumer
	reports  *usage.Reports
}

func newHarness(t testing.TB, d *db.DB) *harness {
	r := &harness{t: t, engine: d.Engine(), clock: clock.NewFake(now), outbox: outbox.New(d, "latchkey/analytics")}
	r.store = store.New(d, r.outbox)
	r.consumer = r.another()
	r.reports = &usage.Reports{Store: r.store, Log: r.store, Clock: r.clock}
	return r
}

// another is a second process on the same store.
func (r *harness) another() *ingest.Consumer {
	return ingest.New(r.store, detect.New(), r.clock, testkit.Log(r.t))
}

func (r *harness) handle(events ...event.Event) {
	r.t.Helper()
	if err := r.consumer.Handle(context.Background(), events); err != nil {
		r.t.Fatalf("handle: %v", err)
	}
}

func each(t *testing.T, test func(t *testing.T, r *harness)) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) { test(t, newHarness(t, d)) })
}

// body is the members of an event.
type body = map[string]any

// script numbers the events that it makes.
type script struct{ n int }

func (s *script) event(eventType string, at time.Time, b body) event.Event {
	s.n++
	data := body{"license_id": license}
	maps.Copy(data, b)
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return event.Event{
		ID:     fmt.Sprintf("02890000-0000-7000-8000-%012d", s.n),
		Type:   eventType,
		Source: "latchkey/license",
		Time:   at,
		Data:   raw,
	}
}

// created makes the license known.
func (s *script) created(at time.Time, seats int) event.Event {
	return s.event(eventsv1.TypeLicenseCreated, at,
		body{"customer_id": "acme", "product": "demo", "license_type": "standard",
			"max_devices": seats, "is_active": true, "version": 1, "expires_at": nil, "license": body{}})
}

// emptied is a separate harness on an empty database of the same engine.
func (r *harness) emptied() *harness {
	r.t.Helper()
	if r.engine == db.SQLite {
		return newHarness(r.t, testkit.SQLite(r.t, migrations...))
	}
	return newHarness(r.t, testkit.Open(r.t, db.Config{URL: testkit.Postgres(r.t), Schema: "test"}, migrations...))
}
