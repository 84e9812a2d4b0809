package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/internal/delivery"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

var errBroken = errors.New("broken")

// script answers each call of the handler with the next error in the list of its events' ids joined, nil when there is
// none.
type script struct {
	answers map[string][]error
	calls   []string
	dead    []string
	refuse  int // how many times DeadLetter fails first
}

func (s *script) handle(_ context.Context, events []event.Event) error {
	var ids []string
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	key := strings.Join(ids, "")
	s.calls = append(s.calls, key)
	if left := s.answers[key]; len(left) > 0 {
		s.answers[key] = left[1:]
		return left[0]
	}
	return nil
}

func (s *script) store(_ context.Context, dead []delivery.Dead) error {
	if s.refuse > 0 {
		s.refuse--
		return errBroken
	}
	for _, d := range dead {
		s.dead = append(s.dead, fmt.Sprint(d.Event.ID, " ", d.Reason, " ", d.Attempts))
	}
	return nil
}

func TestDeliver(t *testing.T) {
	away := apierr.ErrUnavailable.WithCause(errBroken)
	late := apierr.ErrUnavailable.WithCause(context.DeadlineExceeded)
	for name, test := range map[string]struct {
		ids         string
		script      script
		calls, dead []string
	}{
		"nothing":     {ids: ""},
		"all at once": {ids: "abc", calls: []string{"abc"}},
		"in halves": {ids: "abc", script: script{answers: map[string][]error{"abc": {errBroken}}},
			calls: []string{"abc", "a", "bc"}},
		"again": {ids: "a", script: script{answers: map[string][]error{"a": {errBroken, errBroken}}},
			calls: []string{"a", "a", "a"}},
		"three times, no more": {ids: "a", script: script{answers: map[string][]error{
			"a": {errBroken, errBroken, errBroken}}}, calls: []string{"a", "a", "a"}, dead: []string{"a broken 3"}},
		"the bad one of four": {ids: "abcd", script: script{answers: map[string][]error{"abcd": {errBroken},
			"cd": {errBroken}, "d": {errBroken, errBroken, errBroken}}},
			calls: []string{"abcd", "ab", "cd", "c", "d", "d", "d"}, dead: []string{"d broken 3"}},
		"rejected in a batch": {ids: "abc",
			script: script{answers: map[string][]error{"abc": {bus.Rejected{0: errBroken, 2: errBroken}}}},
			calls:  []string{"abc"}, dead: []string{"a broken 1", "c broken 1"}},
		"the others go on": {ids: "ab", script: script{answers: map[string][]error{"ab": {errBroken},
			"a": {bus.Rejected{0: errBroken}}}}, calls: []string{"ab", "a", "b"}, dead: []string{"a broken 1"}},
		"away is no attempt": {ids: "a", script: script{answers: map[string][]error{
			"a": {away, away, errBroken, away, errBroken}}}, calls: []string{"a", "a", "a", "a", "a", "a"}},
		"a batch waits as one": {ids: "ab", script: script{answers: map[string][]error{"ab": {away, away}}},
			calls: []string{"ab", "ab", "ab"}},
		"too slow as one, not in halves": {ids: "abc", script: script{answers: map[string][]error{
			"abc": {late, late, late, late}, "a": {late, late, late, late}}},
			calls: []string{"abc", "abc", "abc", "a", "a", "a", "a", "a", "bc"}},
		"away forever is dead": {ids: "a", script: script{answers: map[string][]error{"a": {bus.Rejected{0: away}}}},
			calls: []string{"a"}, dead: []string{"a " + away.Error() + " 1"}},
		"storing is repeated": {ids: "a", script: script{
			answers: map[string][]error{"a": {bus.Rejected{0: errBroken}}},
			refuse:  4,
		}, calls: []string{"a"}, dead: []string{"a broken 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := test.script
				if err := deliver(t, t.Context(), &s, test.ids); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.calls, s.calls); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(test.dead, s.dead); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func deliver(t *testing.T, ctx context.Context, s *script, ids string) error {
	var events []event.Event
	for _, id := range ids {
		events = append(events, event.Event{ID: string(id)})
	}
	d := &delivery.Deliverer{
		Queue:  bus.Queue{Name: "q", MaxAttempts: 3},
		Handle: s.handle,
		Store:  s.store,
		Log:    testkit.Log(t),
	}
	return d.Deliver(ctx, events)
}

func TestDeliverEndsWithItsContext(t *testing.T) {
	endless := make([]error, 1000)
	for i := range endless {
		endless[i] = apierr.ErrUnavailable
	}
	for name, s := range map[string]*script{
		"waiting":  {answers: map[string][]error{"a": endless}},
		"storing":  {answers: map[string][]error{"a": {bus.Rejected{0: errBroken}}}, refuse: 1000},
		"retrying": {answers: map[string][]error{"a": {errBroken, errBroken, errBroken}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
				if name != "retrying" {
					cancel()
					ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
				}
				defer cancel()
				if err := deliver(t, ctx, s, "a"); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				if len(s.dead) > 0 {
					t.Errorf("stored %v at the end of its context", s.dead)
				}
			})
		})
	}
}

func TestPauseGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n, most := range map[int]time.Duration{
			1:    100 * time.Millisecond,
			2:    200 * time.Millisecond,
			7:    5 * time.Second,
			1000: 5 * time.Second,
		} {
			begin := time.Now()
			if err := delivery.Pause(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took < most/2 || took > most {
				t.Errorf("pause %d took %s, want up to %s", n, took, most)
			}
		}
	})
}

func TestShortReason(t *testing.T) {
	if got := delivery.ShortReason("a\x00b\xffc"); got != "a?b?c" {
		t.Errorf("got %q", got)
	}
	if got := delivery.ShortReason(strings.Repeat("é", 1000)); len(got) > 1003 || !strings.HasSuffix(got, "é...") {
		t.Errorf("got %d bytes, %q", len(got), got[len(got)-5:])
	}
}
