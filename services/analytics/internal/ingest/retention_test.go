package ingest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/ingest"
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

// TestDevicesThatNeverWorkedAreForgotten: one device that goes by a new id each time leaves no row for each of them.
func TestDevicesThatNeverWorkedAreForgotten(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		s := &script{}
		events, devices := []event.Event{s.created(now, 1)}, []usage.DeviceKey{{LicenseID: license, HardwareID: "pc-0"}}
		for i := 1; i <= 1100; i++ {
			to := usage.DeviceKey{LicenseID: license, HardwareID: fmt.Sprint("pc-", i)}
			events = append(events, s.event(eventsv1.TypeDeviceRebound, now, body{
				"from_hardware_id": devices[i-1].HardwareID, "hardware_id": to.HardwareID, "version": i + 1,
				"license": body{"license_id": license, "version": i + 1, "is_active": true, "current_devices": 1},
			}))
			devices = append(devices, to)
		}
		r.handle(events...)
		if _, err := r.store.Prune(t.Context(), usage.Expiry{Now: now}); err != nil {
			t.Fatal(err)
		}
		stored, err := r.store.Rollups(t.Context(), []string{license}, devices)
		if n := len(stored.Devices); err != nil || n != 1001 || !stored.Devices[devices[1100]].Seat.Value {
			t.Errorf("%d devices are remembered, want the 1000 of the last changes and that with the seat (%v)", n, err)
		}
	})
}

// TestStatesAreWrittenAfterTheClockWasSetBack, and not only once it comes to where it was: nor is there no end to the
// end of the consumer.
func TestStatesAreWrittenAfterTheClockWasSetBack(t *testing.T) {
	for name, write := range map[string]func(*ingest.Consumer, context.Context) error{
		"in time": (*ingest.Consumer).WriteStates, "at the end": (*ingest.Consumer).Finish,
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, r *harness) {
				s := &script{}
				r.handle(s.event(eventsv1.TypeLicenseValidated, r.clock.Now(),
					body{"hardware_id": "pc", "ip": "192.0.2.1"}))
				r.clock.Advance(-14 * 24 * time.Hour)
				if err := write(r.consumer, t.Context()); err != nil {
					t.Fatal(err)
				}
				if n := r.kept(r.clock.Now().Add(15 * 24 * time.Hour)); n != 0 {
					t.Errorf("%d events are kept though their states have been written", n)
				}
			})
		})
	}
}

// TestRetentionIsKeptAfterACrash: what a killed consumer left unwritten is written though no event comes any more, by
// another one, and so that the detectors have seen it. Where something happens still, that is left to whoever consumes.
func TestRetentionIsKeptAfterACrash(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		s := &script{}
		seen := r.clock.Now()
		r.handle(s.event(eventsv1.TypeLicenseValidated, seen, body{"hardware_id": "pc", "ip": "192.0.2.1"}))
		r.clock.Advance(2 * time.Hour)
		next := r.another()
		if err := next.Settle(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
		if n := r.kept(r.clock.Now()); n != 1 {
			t.Errorf("%d events are kept that another consumer may have in memory, want 1", n)
		}
		for range 2 { // the second time there is nothing to be done
			if err := next.Settle(t.Context(), seen.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.kept(r.clock.Now()); n != 0 {
			t.Errorf("%d events are kept though nobody will write their states", n)
		}
		states, err := r.store.States(t.Context(), []string{"license:" + license})
		if err != nil || len(states) != 1 {
			t.Errorf("states: %v, %v", states, err)
		}
	})
}

// TestRetentionIsKeptAfterATakeover: also by a consumer of before, which has states of then in memory.
func TestRetentionIsKeptAfterATakeover(t *testing.T) {
	each(t, func(t *testing.T, r *harness) {
		s := &script{}
		seen := r.clock.Now()
		validated := func(hardwareID string) event.Event {
			return s.event(eventsv1.TypeLicenseValidated, seen, body{"hardware_id": hardwareID, "ip": "192.0.2.1"})
		}
		r.handle(validated("pc"))
		if err := r.consumer.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.another().Handle(t.Context(), []event.Event{validated("laptop")}); err != nil {
			t.Fatal(err)
		}
		r.clock.Advance(2 * time.Hour)
		if err := r.consumer.Settle(t.Context(), seen.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if n := r.kept(r.clock.Now()); n != 0 {
			t.Errorf("%d events are kept though nobody will write their states", n)
		}
	})
}
