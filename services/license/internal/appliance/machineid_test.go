package appliance

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

func TestSeatsFollowTheMachineID(t *testing.T) {
	f := newFixture(t)
	seatsOf := func(want ...string) {
		t.Helper()
		if !slices.Equal(f.upstream.taken, want) {
			t.Errorf("seats %v, want %v", f.upstream.taken, want)
		}
	}
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	next, err := f.GenerateMachineID(t.Context(), ada) // the only seat moves
	if err != nil {
		t.Fatal(err)
	}
	f.want("with another machine id", Valid)
	seatsOf("k-1/" + next)
	f.upstream.failure = errors.New("no route to host")
	if _, err := f.GenerateMachineID(t.Context(), ada); apierr.From(err).Code != errcode.UpstreamUnavailable {
		t.Errorf("while the upstream is away: %v", err)
	}
	f.upstream.failure = nil
	seatsOf("k-1/" + next)
	f.pass(time.Hour)
	f.want("when the upstream is back", Valid)
	seatsOf("k-1/" + next)
	f.upstream.seats = 2
	if err := f.Connect(t.Context(), ada, account("k-2")); err != nil {
		t.Fatal(err)
	}
	seatsOf("k-2/" + next)
	last, err := f.GenerateMachineID(t.Context(), ada) // with a seat to spare
	if err != nil {
		t.Fatal(err)
	}
	seatsOf("k-2/" + last)
	f.upstream.failure = &RefusedError{Code: errcode.GroupLimitExceeded}
	if _, err := f.GenerateMachineID(t.Context(), ada); apierr.From(err).Code != errcode.UpstreamRefused {
		t.Errorf("in a group that is full: %v", err)
	}
}

// TestANewIDOfAnUnlicensedMachine: the only seat is there for the new machine id once the license is good again.
func TestANewIDOfAnUnlicensedMachine(t *testing.T) {
	for name, failure := range map[string]error{
		"suspended": &RefusedError{Code: errcode.LicenseSuspended},
		"away":      errors.New("no route to host"),
	} {
		for _, strict := range []bool{false, true} {
			for _, times := range []int{1, 2} {
				t.Run(fmt.Sprintf("%s, %v, %d", name, strict, times), func(t *testing.T) {
					f := newFixture(t)
					if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
						t.Fatal(err)
					}
					f.upstream.failure, f.upstream.strict = failure, strict
					f.pass(15 * 24 * time.Hour)
					var id string
					for range times {
						var err error
						if id, err = f.GenerateMachineID(t.Context(), ada); err != nil {
							t.Fatal(err)
						}
					}
					f.upstream.failure = nil
					if times == 1 {
						f.pass(time.Hour)
					} else if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
						t.Fatal(err)
					}
					f.want("good again", Valid)
					if want := []string{"k-1/" + id}; !slices.Equal(f.upstream.taken, want) {
						t.Errorf("seats %v, want %v", f.upstream.taken, want)
					}
				})
			}
		}
	}
}

// TestAMoveThatIsNotWritten: the machine id that is kept has the seat again.
func TestAMoveThatIsNotWritten(t *testing.T) {
	for _, seats := range []int{1, 2} {
		f := newFixture(t)
		f.upstream.seats = seats
		if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
			t.Fatal(err)
		}
		old := f.store.kept.MachineID
		f.upstream.activated = func() { f.store.away = apierr.ErrUnavailable }
		if _, err := f.GenerateMachineID(t.Context(), ada); !errors.Is(err, apierr.ErrUnavailable) {
			t.Errorf("generated: %v", err)
		}
		f.store.away, f.upstream.activated = nil, nil
		f.want("before the next check", Valid)
		f.pass(time.Hour)
		f.want("after it", Valid)
		if want := []string{"k-1/" + old}; f.store.kept.MachineID != old || !slices.Equal(f.upstream.taken, want) {
			t.Errorf("%d seats: %v, want %v of %s", seats, f.upstream.taken, want, f.store.kept.MachineID)
		}
	}
}

// TestASeatThatWasNotGivenBack is given back by the next check, also where the move to the new machine id went well.
func TestASeatThatWasNotGivenBack(t *testing.T) {
	f := newFixture(t)
	f.upstream.seats = 2
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	f.upstream.activated = func() { f.upstream.failure = errors.New("no route to host") }
	id, err := f.GenerateMachineID(t.Context(), ada)
	if err != nil || len(f.upstream.taken) != 2 {
		t.Fatalf("generated: %v, seats %v", err, f.upstream.taken)
	}
	f.upstream.failure = nil
	f.pass(time.Hour)
	f.want("after the next check", Valid)
	if want := []string{"k-1/" + id}; !slices.Equal(f.upstream.taken, want) {
		t.Errorf("seats %v, want %v", f.upstream.taken, want)
	}
}
