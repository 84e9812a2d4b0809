// Package storetest holds a store to what packages ingest and usage expect of it.
package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/ingest"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// Store is everything under test.
type Store interface {
	ingest.Store
	usage.Store
	usage.Log
	CloseAnomalies(ctx context.Context, now time.Time) (int, error)
	RescoreAfter(ctx context.Context, after string, now time.Time) (next string, err error)
	RecentUses(ctx context.Context, since time.Time, limit int) ([]usage.Event, error)
	Prune(ctx context.Context, x usage.Expiry) (int64, error)
}

var now = time.Date(2026, 3, 18, 12, 0, 0, 123456000, time.UTC)

// odd is text that breaks whatever puts statements together by hand.
const odd = "o'Neil \"x\" \\u0041 \\ ? $1 @name ; -- äß 漢字 😀 \t"

func id(n int) string { return fmt.Sprintf("01890000-0000-7000-8000-%012d", n) }

// Run runs the suite; open returns an empty store.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, *consumer){
		"text survives": textSurvives, "license survives": licenseSurvives, "usable licenses": usableLicenses,
		"unlimited seats": unlimitedSeats, "events once": eventsOnce, "received events": receivedEvents,
		"snapshots": snapshots, "recent uses": recentUses, "rollback": rollback,
		"states survive": statesSurvive, "episodes": episodes, "reaching": reaching, "addresses": addresses,
		"risk ages": riskAges, "prune": prune, "forget": forget, "epochs": epochs,
	} {
		t.Run(name, func(t *testing.T) {
			c := &consumer{Store: open(t), t: t}
			c.takeOver()
			test(t, c)
		})
	}
}

// consumer is a store and what its one consumer knows.
type consumer struct {
	Store
	t        *testing.T
	progress usage.Progress
}

func (c *consumer) takeOver() {
	c.t.Helper()
	var err error
	if c.progress, err = c.TakeOver(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// batch is the events, which are in order, with their changes complete.
func (c *consumer) batch(events ...usage.Event) *usage.Batch {
	c.t.Helper()
	b := &usage.Batch{
		Epoch:    c.progress.Epoch,
		Events:   events,
		Position: c.progress.Taken + int64(len(events)),
		Changes:  usage.Fold(events),
	}
	b.ReplayAfter = b.Position
	var err error
	b.Before, err = c.Rollups(c.t.Context(), slices.Collect(maps.Keys(b.Changes.Licenses)),
		slices.Collect(maps.Keys(b.Changes.Devices)))
	if err != nil {
		c.t.Fatal(err)
	}
	b.Changes.Complete(b.Before)
	return b
}

func (c *consumer) commit(events ...usage.Event) {
	c.t.Helper()
	b := c.batch(events...)
	if err := c.Write(c.t.Context(), now, b); err != nil {
		c.t.Fatalf("write: %v", err)
	}
	c.progress.Taken = b.Position
}

func use(n int, at time.Time, o detect.Observation) usage.Event {
	if o.LicenseID == "" {
		o.LicenseID = id(1)
	}
	o.EventID, o.Type, o.At = fmt.Sprintf("02890000-0000-7000-8000-%012d", n), eventsv1.TypeLicenseValidated, at
	return usage.Event{Observation: o, Data: []byte(`{"license_id":"` + o.LicenseID + `"}`)}
}
