package appliance

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// moved is an installation whose earlier machine id still has a seat, which its upstream does not free.
func moved(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.upstream.seats = 2
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	f.upstream.keeps = func(context.Context) error { return errors.New("in maintenance") }
	if _, err := f.GenerateMachineID(t.Context(), ada); err != nil || len(f.upstream.taken) != 2 {
		t.Fatalf("generated: %v, seats %v", err, f.upstream.taken)
	}
	return f
}

// wantSeat is that of the machine id alone.
func (f *fixture) wantSeat(when string) {
	f.t.Helper()
	if want := []string{"k-1/" + f.store.kept.MachineID}; !slices.Equal(f.upstream.taken, want) {
		f.t.Errorf("%s: seats %v, want %v", when, f.upstream.taken, want)
	}
}

// TestAnUpstreamThatFreesNoSeat goes on to license those who have one.
func TestAnUpstreamThatFreesNoSeat(t *testing.T) {
	f := moved(t)
	f.pass(20 * 24 * time.Hour)
	f.want("while a seat is not freed", Valid)
	f.upstream.keeps = nil
	f.pass(time.Hour)
	f.wantSeat("when seats are freed")
	if left := f.store.kept.Cloud.Left; len(left) > 0 {
		t.Errorf("%v are to be given back still", left)
	}
}

// TestConnectedAgainWithASeatToGiveBack: what the same license is owed is not forgotten.
func TestConnectedAgainWithASeatToGiveBack(t *testing.T) {
	f := moved(t)
	again := account("k-1")
	again.URL += "/" // the same, as its license says
	if err := f.Connect(t.Context(), ada, again); err != nil {
		t.Fatal(err)
	}
	f.upstream.keeps = nil
	f.pass(time.Hour)
	f.want("connected again", Valid)
	f.wantSeat("connected again")
}

// TestEachCallHasItsTime: an upstream that is slow, but not too slow for any call, activates a machine id whose
// predecessors it frees first.
func TestEachCallHasItsTime(t *testing.T) {
	f := moved(t)
	f.store.kept.Cloud.Left = append(f.store.kept.Cloud.Left, "another")
	f.store.kept.Cloud.Unseated = true
	synctest.Test(t, func(t *testing.T) {
		f.upstream.keeps = func(ctx context.Context) error {
			select {
			case <-time.After(700 * time.Millisecond): // of the second that the account allows
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		f.clock.Advance(time.Hour)
		if err := errors.Join(f.Refresh(t.Context()), f.Check(t.Context())); err != nil {
			t.Fatal(err)
		}
	})
	f.want("after slow calls", Valid)
	f.wantSeat("after slow calls")
}

// TestACheckDuringAMove does not bring forward the next one, which would undo the move.
func TestACheckDuringAMove(t *testing.T) {
	f := newFixture(t)
	f.CheckEvery = time.Second
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Minute)
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.upstream.delay = func() {
		before, _, err := f.Current(t.Context())
		if err = errors.Join(err, f.moving(t.Context(), before, "next")); err != nil {
			t.Error(err)
		}
	}
	if err := f.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := f.store.kept.Cloud
	due := f.clock.Now().Add(claimSpare)
	if !c.CheckDue.Equal(due) || !c.Unseated || !slices.Equal(c.Left, []string{"next"}) {
		t.Errorf("check due %v, want %v; %+v", c.CheckDue, due, c)
	}
}

// TestARefusalDuringAMove is of a machine id that gave its seat to the next one: it says nothing of the license.
func TestARefusalDuringAMove(t *testing.T) {
	f := newFixture(t)
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Minute)
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.upstream.delay = func() {
		before, _, err := f.Current(t.Context())
		if err = errors.Join(err, f.moving(t.Context(), before, "next")); err != nil {
			t.Error(err)
		}
		f.upstream.taken = nil
	}
	if err := errors.Join(f.Check(t.Context()), f.Refresh(t.Context())); err != nil {
		t.Fatal(err)
	}
	f.want("while the seat is moved", Valid)
}

// TestANewMachineIDWhoseSeatIsGivenBack by another process, which took it for one that was never to be, is activated
// again.
func TestANewMachineIDWhoseSeatIsGivenBack(t *testing.T) {
	f := newFixture(t)
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	f.pass(time.Hour)
	if _, err := f.GenerateMachineID(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	f.upstream.taken = nil
	for range 2 {
		f.clock.Advance(time.Minute)
		if err := errors.Join(f.Refresh(t.Context()), f.Check(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	f.want("a minute after the change", Valid)
	f.wantSeat("a minute after the change")
}

// TestASeatThatAnotherChangeGaveBack is taken again; one that the vendor takes away is not.
func TestASeatThatAnotherChangeGaveBack(t *testing.T) {
	f := newFixture(t)
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	f.upstream.taken = nil
	f.clock.Advance(time.Minute)
	for range 2 {
		if err := errors.Join(f.Refresh(t.Context()), f.Check(t.Context())); err != nil {
			t.Fatal(err)
		}
		f.clock.Advance(time.Minute)
	}
	f.want("given back by a change at the same time", Valid)
	f.upstream.taken = nil
	f.pass(time.Hour)
	f.want("taken away", Invalid)
}
