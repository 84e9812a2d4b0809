package credential

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/token"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Refresh takes a refresh token and gives the next pair of its family. A token that its family does not accept
// (Family.Accepts) revokes the family, since two parties hold it; so does the first one after what proved the user
// became void. Calls with one token within repeatFor, 10 seconds, get one pair (family.go). Every refusal is
// INVALID_TOKEN, except that of an installation which is itself not licensed (APPLIANCE_NOT_LICENSED). once is nil
// where the caller sent no Idempotency-Key.
func (s *Tokens) Refresh(ctx context.Context, from Caller, raw string, once Once) (Pair, error) {
	if raw == "" {
		return Pair{}, apierr.InvalidField("refresh_token", "is required")
	}
	if !secret.WellFormed(RefreshPrefix, raw) {
		return Pair{}, s.noteRefusal(errNoRefreshToken, from, Family{})
	}
	if once == nil {
		once = direct
	}
	return s.refresh(ctx, from, raw, once)
}

func (s *Tokens) refresh(ctx context.Context, from Caller, raw string, once Once) (Pair, error) {
	hash := secret.Hash(raw)
	f, t, err := s.Families.RefreshToken(ctx, hash)
	switch {
	case errors.Is(err, ErrTokenUnknown):
		return Pair{}, s.noteRefusal(token.Refused("unknown"), from, f)
	case err != nil:
		return Pair{}, fmt.Errorf("find refresh token: %w", err)
	case !f.RevokedAt.IsZero():
		return Pair{}, s.noteRefusal(errRevoked, from, f)
	}
	if err := s.AdmitRefresh(ctx, f.ID); err != nil {
		return Pair{}, err
	}
	// Reuse is checked before once repeats an earlier answer: a client that uses the new pair does not need it again,
	// and anybody else must not get it.
	pair, err := Pair{}, error(errReused)
	if f.Accepts(hash) {
		pair, err = s.rotateOnce(ctx, once, from, raw, f, t)
	}
	switch { // not inside once, which takes back what a refused call has written
	case errors.Is(err, errNotAccepted):
		err = s.reused(ctx, from, f)
	case errors.Is(err, errUserVoid):
		err = s.end(ctx, f, errSignedOut)
	}
	if err != nil {
		return Pair{}, s.noteRefusal(err, from, f)
	}
	return pair, nil
}

// rotateOnce is rotate as the caller's Idempotency-Key asks for. An answer that it repeats is void where the same token
// was exchanged again in between, without this key; nobody has used what came of that, so another pair takes its place.
// f is from before the wait for a call with the same key, which may have given the answer.
func (s *Tokens) rotateOnce(
	ctx context.Context, once Once, from Caller, raw string, f Family, t RefreshToken,
) (Pair, error) {
	repeated := true
	pair, err := once(ctx, "family "+f.ID, func(ctx context.Context) (Pair, error) {
		repeated = false
		return s.rotate(ctx, from, raw, f, t)
	})
	if err != nil || !repeated {
		return pair, err
	}
	if f, t, err = s.Families.RefreshToken(ctx, t.Hash); err != nil {
		return Pair{}, fmt.Errorf("find refresh token: %w", err)
	}
	if !f.RevokedAt.IsZero() {
		return Pair{}, errRevoked // meanwhile
	}
	if secret.Hash(pair.Refresh) == f.Current {
		return pair, nil
	}
	return s.rotate(ctx, from, raw, f, t)
}

// rotate gives the next pair for t, which is raw, or the one that another call has just given for it. It fails with
// errReused, which errNotAccepted marks, where the family does not accept t any more.
func (s *Tokens) rotate(ctx context.Context, from Caller, raw string, f Family, t RefreshToken) (Pair, error) {
	now := s.Clock.Now()
	if !now.Before(t.ExpiresAt) {
		return Pair{}, token.Refused("expired")
	}
	standing, err := s.standing(ctx, f, from.IP)
	if err == nil && f.voidFor(standing) {
		err = errSignedOut
	}
	if err != nil {
		return Pair{}, err
	}
	pair, next, err := s.mint(ctx, f)
	if err != nil {
		return Pair{}, err
	}
	if next.Answer, err = sealPair(raw, pair); err != nil {
		return Pair{}, err
	}
	accepted, answer := false, pair
	err = s.Families.Rotate(ctx, t, next, func(f Family) bool {
		accepted = f.RevokedAt.IsZero() && f.Accepts(t.Hash)
		given, repeated := f.Repeat(raw, now)
		if answer = pair; repeated {
			answer = given
		}
		return accepted && !repeated
	})
	if err != nil {
		return Pair{}, fmt.Errorf("rotate refresh token: %w", err)
	}
	if !accepted {
		return Pair{}, errReused
	}
	return answer, nil
}

// reused revokes the family of a token that two parties hold.
func (s *Tokens) reused(ctx context.Context, from Caller, f Family) error {
	reused := &eventsv1.LicenseTokenReused{
		LicenseId:  f.LicenseID,
		HardwareId: f.HardwareID,
		FamilyId:   f.ID,
		Ip:         from.IP,
		ViaProxy:   from.ViaProxy,
	}
	return s.end(ctx, f, errReused, Record{f.LicenseID, reused})
}

// end revokes a family and returns why.
func (s *Tokens) end(ctx context.Context, f Family, why error, records ...Record) error {
	if _, err := s.Families.RevokeFamily(ctx, f.ID, s.Clock.Now(), records...); err != nil {
		return fmt.Errorf("revoke token family: %w", err)
	}
	return why
}
