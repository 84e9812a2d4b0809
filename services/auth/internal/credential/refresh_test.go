package credential

import (
	"context"
	"errors"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// moved is a store whose family got another pair since it was read first.
type moved struct {
	FamilyStore
	now Family
}

func (m moved) RefreshToken(context.Context, [32]byte) (Family, RefreshToken, error) {
	return m.now, RefreshToken{}, nil
}

// TestTwoCallsWithOneKey at once get one pair, also where the client of the first uses it before the second has it: the
// device was not copied.
func TestTwoCallsWithOneKey(t *testing.T) {
	before := secret.Hash("rt_before")
	given := Pair{Refresh: "rt_given"}
	s := &Tokens{TokenDeps: TokenDeps{
		Clock:    clock.NewFake(clock.System{}.Now()),
		Families: moved{now: Family{Current: secret.Hash(given.Refresh), Previous: before, InUse: true}},
	}}
	replays := func(context.Context, string, func(context.Context) (Pair, error)) (Pair, error) { return given, nil }
	read := Family{Current: before} // before the first call gave its answer
	got, err := s.rotateOnce(t.Context(), replays, Caller{}, "rt_before", read, RefreshToken{Hash: before})
	if err != nil || got != given {
		t.Errorf("got %v, %v, want %v", got, err, given)
	}
}

// TestNoAnswerOfARevokedFamily is repeated: its pair works nowhere.
func TestNoAnswerOfARevokedFamily(t *testing.T) {
	given, now := Pair{Refresh: "rt_given"}, clock.System{}.Now()
	s := &Tokens{TokenDeps: TokenDeps{
		Families: moved{now: Family{Current: secret.Hash(given.Refresh), RevokedAt: now}},
	}}
	replays := func(context.Context, string, func(context.Context) (Pair, error)) (Pair, error) { return given, nil }
	_, err := s.rotateOnce(t.Context(), replays, Caller{}, "rt_before", Family{}, RefreshToken{})
	if !errors.Is(err, errRevoked) {
		t.Errorf("got %v, want %v", err, errRevoked)
	}
}
