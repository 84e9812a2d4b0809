package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/token"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// refreshTimeout bounds a refresh that several callers wait for.
const refreshTimeout = 5 * time.Second

// Refresh takes a refresh token and gives the next pair of its family. A token that Family.Accepts does not revokes the
// family: two parties hold it. Every refusal is INVALID_TOKEN, but that of a whole installation. once is nil where the
// caller sent no Idempotency-Key: then calls with one token that come at the same time share a pair, so that an
// application which refreshes twice goes on with either.
func (s *Tokens) Refresh(ctx context.Context, from Caller, raw string, once Once) (Pair, error) {
	if raw == "" {
		return Pair{}, apierr.InvalidField("refresh_token", "is required")
	}
	if !secret.WellFormed(RefreshPrefix, raw) {
		return Pair{}, s.noteRefusal(token.Refused("malformed"), from, Family{})
	}
	hash := secret.Hash(raw)
	if once != nil {
		return s.refresh(ctx, from, hash, once)
	}
	pair, err, _ := s.refreshes.Do(string(hash[:]), func() (any, error) {
		// The caller who came first may go before the others have their answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
		defer cancel()
		return s.refresh(ctx, from, hash, direct)
	})
	return pair.(Pair), err
}

func (s *Tokens) refresh(ctx context.Context, from Caller, hash [32]byte, once Once) (Pair, error) {
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
		pair, err = once(ctx, "family "+f.ID, func(ctx context.Context) (Pair, error) {
			return s.rotate(ctx, from, f, t)
		})
	}
	if errors.Is(err, errNotAccepted) {
		err = s.reused(ctx, from, f) // not inside once, which takes back what a refused call has written
	}
	if err != nil {
		return Pair{}, s.noteRefusal(err, from, f)
	}
	return pair, nil
}

// rotate gives the next pair for t. It fails with errNotAccepted where the family does not accept t any more.
func (s *Tokens) rotate(ctx context.Context, from Caller, f Family, t RefreshToken) (Pair, error) {
	if !s.Clock.Now().Before(t.ExpiresAt) {
		return Pair{}, token.Refused("expired")
	}
	if err := s.standing(ctx, f, from.IP); err != nil {
		return Pair{}, err
	}
	pair, next, err := s.mint(ctx, f)
	if err != nil {
		return Pair{}, err
	}
	accepted, err := s.Families.Rotate(ctx, t, next)
	if err != nil {
		return Pair{}, fmt.Errorf("rotate refresh token: %w", err)
	}
	if !accepted {
		return Pair{}, errReused
	}
	return pair, nil
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
	if _, err := s.Families.RevokeFamily(ctx, f.ID, s.Clock.Now(), Record{f.LicenseID, reused}); err != nil {
		return fmt.Errorf("revoke token family: %w", err)
	}
	return errReused
}
