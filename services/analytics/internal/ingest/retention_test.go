package ingest_test

import (
	"testing"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// kept is how many received events there are after all of before a moment were pruned.
func (r *harness) kept(before time.Time) int {
	r.t.Helper()
	ctx := r.t.Context()
	if _, err := r.store.Prune(ctx, usage.Expiry{Now: r.clock.Now(), Events: before}); err != nil {
		r.t.Fatal(err)
	}
	left, err := r.store.ReceivedAfter(ctx, usage.Received{}, "", 100)
	if err != nil {
		r.t.Fatal(err)
	}
	return len(left)
}

// TestRetentionIsKeptWhereLittleHappens: raw events go when their time has come, though no many follow them; within the
// hour they are kept, for a restart would need them.
func TestRetentionIsKeptWhereLittleHappens(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		s := &script{}
		use := func() {
			r.handle(s.event(eventsv1.TypeLicenseValidated, r.clock.Now(),
				body{"hardware_id": "pc", "ip": "192.0.2.1"}))
		}
		use()
		r.clock.Advance(30 * time.Minute)
		use()
		if n := r.kept(r.clock.Now()); n != 2 {
			t.Errorf("%d events are kept of 2 that a restart needs", n)
		}
		r.clock.Advance(31 * time.Minute)
		use()
		if n := r.kept(r.clock.Now().Add(-time.Minute)); n != 1 {
			t.Errorf("%d events are kept after a batch an hour later, want its own", n)
		}
		r.clock.Advance(2 * time.Hour)
		use()
		if err := r.consumer.WriteStates(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.clock.Advance(61 * time.Minute)
		if err := r.consumer.WriteStates(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := r.kept(r.clock.Now()); n != 0 {
			t.Errorf("%d events are kept though their states have been written", n)
		}
		use()
		if n := r.kept(r.clock.Now().Add(-time.Minute)); n != 1 {
			t.Errorf("%d events after one more", n)
		}
	})
}

// TestRetentionIsKeptAfterTheEnd: raw events go though the next start takes in none that would have states written.
func TestRetentionIsKeptAfterTheEnd(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		s := &script{}
		r.handle(s.event(eventsv1.TypeLicenseValidated, r.clock.Now(), body{"hardware_id": "pc", "ip": "192.0.2.1"}))
		if err := r.consumer.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := r.kept(r.clock.Now().Add(time.Second)); n != 0 {
			t.Errorf("%d events are kept though their states have been written", n)
		}
	})
}
