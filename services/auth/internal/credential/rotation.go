package credential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

var (
	// ErrRotationUnderWay says that another rotation came first.
	ErrRotationUnderWay = errors.New("the signing keys have just been changed by others; look at the key set before " +
		"you try again")
	// ErrNoSigningKey says that there is no signing key of this name.
	ErrNoSigningKey = errors.New("there is no such signing key")
)

// Rotate adds a key and returns it. It is published at once and signs from SignsFrom on. Clients see it in
// SigningKeys.KeySet, and processes that keep the set in memory drop it at token.KeyEvents.
func (s *SigningKeys) Rotate(ctx context.Context, by *Actor) (SigningKey, error) {
	keys, err := s.read(ctx)
	if err != nil {
		return SigningKey{}, err
	}
	now := s.clock.Now()
	k, err := newSigningKey(nextGeneration(keys), now, now.Add(publishAhead))
	if err != nil {
		return SigningKey{}, err
	}
	before := map[string]any{"kid": signer(inForce(keys), now).ID}
	added, err := s.store.AddSigningKey(ctx, k,
		audited(by, "signing_key.rotate", k.ID, before,
			map[string]any{"kid": k.ID, "signs_from": rfc3339(k.SignsFrom)}),
		Record{k.ID, &eventsv1.SigningKeyRotated{Kid: k.ID, SignsFrom: event.Timestamp(k.SignsFrom)}})
	if err != nil {
		return SigningKey{}, fmt.Errorf("add signing key: %w", err)
	}
	s.memory.Drop()
	if !added {
		return SigningKey{}, ErrRotationUnderWay
	}
	return k, nil
}

// Revocation is what came of SigningKeys.Revoke.
type Revocation struct {
	// Key is the revoked one; Before tells that it was revoked already, and nothing was changed.
	Key    SigningKey
	Before bool
	// Signer signs from now on; New tells that it was made for that.
	Signer SigningKey
	New    bool
}

// revokeAttempts bounds the attempts of a revocation while others change the keys at the same time.
const revokeAttempts = 5

// Revoke withdraws a key whose private half others may have: it leaves the key set, signs nothing more, and
// every token that it signed is refused. If it was the one that signs, a new key signs at once; that one cannot be
// published ahead, so verifiers fetch the set when they meet it. It fails with ErrNoSigningKey.
func (s *SigningKeys) Revoke(ctx context.Context, by *Actor, kid string) (Revocation, error) {
	for range revokeAttempts {
		r, done, err := s.tryRevoke(ctx, by, kid)
		if err != nil || done {
			s.memory.Drop()
			return r, err
		}
	}
	return Revocation{}, ErrRotationUnderWay
}

// tryRevoke reports false when others changed the keys meanwhile.
func (s *SigningKeys) tryRevoke(ctx context.Context, by *Actor, kid string) (r Revocation, done bool, err error) {
	keys, err := s.read(ctx)
	if err != nil {
		return r, false, err
	}
	now := s.clock.Now()
	i := slices.IndexFunc(keys, func(k SigningKey) bool { return k.ID == kid })
	if i < 0 {
		return r, false, fmt.Errorf("%w: %q; these are known:\n%s", ErrNoSigningKey, kid, describe(keys, now))
	}
	r = Revocation{Key: keys[i], Signer: signer(inForce(keys), now)}
	if !r.Key.RevokedAt.IsZero() {
		r.Before = true
		return r, true, nil
	}
	var successor *SigningKey
	if r.Signer.ID == kid {
		if r.Signer, err = newSigningKey(nextGeneration(keys), now, now); err != nil {
			return r, false, err
		}
		r.New, successor = true, &r.Signer
	}
	r.Key.RevokedAt = now
	done, err = s.store.RevokeSigningKey(ctx, kid, now, successor, r.records(by)...)
	if err != nil {
		err = fmt.Errorf("revoke signing key: %w", err)
	}
	return r, done, err
}

func (r Revocation) records(by *Actor) []Record {
	revoked := &eventsv1.SigningKeyRevoked{Kid: r.Key.ID}
	if r.New {
		revoked.SuccessorKid = r.Signer.ID
	}
	after := map[string]any{"kid": r.Key.ID, "revoked_at": rfc3339(r.Key.RevokedAt), "signer_kid": r.Signer.ID}
	return []Record{
		audited(by, "signing_key.revoke", r.Key.ID, map[string]any{"kid": r.Key.ID, "revoked_at": nil}, after),
		{r.Key.ID, revoked},
	}
}

// describe says of each key, in a line, what it is for at this time.
func describe(keys []SigningKey, now time.Time) string {
	standing := inForce(keys)
	public := published(standing, now)
	var lines []string
	for _, k := range keys {
		state := "replaced, and published until the last token that it signed has ended"
		switch {
		case !k.RevokedAt.IsZero():
			state = "revoked at " + k.RevokedAt.UTC().Format(time.RFC3339)
		case k.ID == signer(standing, now).ID:
			state = "signs"
		case k.SignsFrom.After(now):
			state = "published, signs from " + k.SignsFrom.UTC().Format(time.RFC3339)
		case public[k.ID] == nil:
			state = "replaced, and no longer published"
		}
		lines = append(lines, "  "+k.ID+"  "+state)
	}
	return strings.Join(lines, "\n")
}
