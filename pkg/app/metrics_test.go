package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// scripted is a bus whose publishes fail while err is set, and that hands what was published to its consumer.
type scripted struct {
	bus.Bus
	err       error
	published []event.Event
}

func (b *scripted) Publish(_ context.Context, events []event.Event) error {
	if b.err == nil {
		b.published = append(b.published, events...)
	}
	return b.err
}

func (b *scripted) Consume(ctx context.Context, _ bus.Queue, h bus.Handler) error {
	return h(ctx, b.published)
}

func (b *scripted) State() bus.State { return bus.State{Connected: b.err == nil} }

func shows(t *testing.T, m *obs.Metrics, series ...string) {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range series {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("not among the metrics: %s", want)
		}
	}
	if t.Failed() {
		t.Log(w.Body.String())
	}
}

func TestWhatTheOutboxAndTheBusDoIsShown(t *testing.T) {
	base := Base{AuthURL: "http://auth", LicenseURL: "http://license", AnalyticsURL: "http://analytics"}
	base.Introduce(rpc.NewIdentity("s"))
	now := clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	b := &scripted{err: errors.New("away")}
	deps := Deps{
		Log:     slog.New(slog.DiscardHandler),
		DB:      testkit.SQLite(t, outbox.Migrations),
		Bus:     b,
		Clock:   now,
		Metrics: obs.NewMetrics("s"),
	}
	c, err := NewCore("s", base, deps, nil)
	if err != nil {
		t.Fatal(err)
	}
	shows(t, c.Metrics, `latchkey_outbox_oldest_unsent_seconds{service="s"} 0`)
	err = c.DB.Tx(t.Context(), func(ctx context.Context, tx *gorm.DB) error {
		_, err := c.Outbox.Add(ctx, tx, "x", now.Now(), &eventsv1.AuditRecorded{Action: "x.y"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	now.Advance(90 * time.Second)
	if err := c.Outbox.Flush(t.Context(), c.Bus); err == nil {
		t.Fatal("published on a bus that is away")
	}
	shows(t, c.Metrics,
		`latchkey_outbox_unsent_events{service="s"} 1`,
		`latchkey_outbox_oldest_unsent_seconds{service="s"} 90`,
		`latchkey_bus_connected{service="s"} 0`,
		`latchkey_bus_failed_publishes_total{service="s"} 1`)

	b.err = &bus.RefusedError{Types: []string{"audit.recorded"}, Err: errors.New("no permission")}
	if err := c.Outbox.Flush(t.Context(), c.Bus); !errors.Is(err, b.err) {
		t.Errorf("got %v", err)
	}
	shows(t, c.Metrics, `latchkey_bus_refused_types_total{service="s",type="audit.recorded"} 1`)
	b.err = nil
	if err := c.Outbox.Flush(t.Context(), c.Bus); err != nil {
		t.Fatal(err)
	}
	q := bus.Queue{Name: "test.queue"}
	for _, result := range []error{errors.New("again later"), bus.Rejected{0: errors.New("unreadable")}} {
		_ = c.Consume(q, func(context.Context, []event.Event) error { return result })(t.Context())
	}
	shows(t, c.Metrics,
		`latchkey_outbox_unsent_events{service="s"} 0`,
		`latchkey_bus_connected{service="s"} 1`,
		`latchkey_bus_published_events_total{service="s",type="audit.recorded"} 1`,
		`latchkey_bus_publish_duration_seconds_count{service="s"} 1`,
		`latchkey_consumer_events_total{queue="test.queue",service="s"} 1`,
		`latchkey_consumer_lag_seconds{queue="test.queue",service="s"} 90`)
}

// A consumer that stands still falls behind; one that has nothing to do, or stands by, does not.
func TestTheLagOfAConsumerThatStandsStillGrows(t *testing.T) {
	now := clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	m := obs.NewMetrics("s")
	events := []event.Event{{Time: now.Now()}, {Time: now.Now().Add(-time.Minute)}}
	b := observeBus(Deps{Bus: &scripted{published: events}, Clock: now, Metrics: m})
	take := func(err error, during time.Duration, want string) {
		t.Helper()
		_ = b.Consume(t.Context(), bus.Queue{Name: "q"}, func(context.Context, []event.Event) error {
			now.Advance(during)
			shows(t, m, `latchkey_consumer_lag_seconds{queue="q",service="s"} `+want)
			return err
		})
	}
	after := func(d time.Duration, want string) {
		t.Helper()
		now.Advance(d)
		shows(t, m, `latchkey_consumer_lag_seconds{queue="q",service="s"} `+want)
	}
	take(errors.New("away"), time.Second, "61")
	after(9*time.Second, "70")
	take(errors.New("away"), 5*time.Minute, "370")
	after(10*time.Second, "380")
	take(nil, 0, "380")
	after(30*time.Second, "380")
	after(31*time.Second, "0")
	take(nil, 0, "441")
	after(-24*time.Hour, "0") // the clock was set back
}

func TestLookUpsOfCachesAreShown(t *testing.T) {
	c := &Core{Deps: Deps{Metrics: obs.NewMetrics("s")}}
	c.ObserveCaches(map[string]func() (hits, misses uint64){"keys": func() (uint64, uint64) { return 7, 3 }})
	shows(t, c.Metrics,
		`latchkey_cache_lookups_total{cache="keys",result="hit",service="s"} 7`,
		`latchkey_cache_lookups_total{cache="keys",result="miss",service="s"} 3`)
}
