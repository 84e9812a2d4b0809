package idempotency

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

// reservation is a key that this call works on, or the answer that it has already.
type reservation struct {
	Key
	owner  string
	lease  time.Duration
	answer []byte
}

// leaseFor is how long a call with ctx has its key.
func leaseFor(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(max(0, time.Until(deadline))+leaseMargin, longestLease)
	}
	return longestCall + leaseMargin
}

// reserve takes the key in its own short transaction, so that others see it at once.
func (s *Store) reserve(ctx context.Context, k Key) (reservation, error) {
	const insert = `INSERT INTO idempotency_keys (scope, key, request, owner, leased_until, expires_at)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	r := reservation{Key: k, owner: uuid.NewString(), lease: leaseFor(ctx)}
	if ctx.Err() == nil {
		// A caller who leaves must not break the commit off: the server may carry it out after the key was given back.
		// The end of the call's time does: nobody waits for more.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), r.lease-leaseMargin)
		defer cancel()
	}
	err := s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) (err error) {
		now := s.clock.Now()
		res := tx.Exec(insert, k.Scope, k.Key, k.Request[:], r.owner, now.Add(r.lease), now.Add(kept))
		if res.Error == nil && res.RowsAffected == 0 {
			r.answer, err = s.revisit(tx, r, now)
			return err
		}
		return res.Error
	})
	return r, err
}

// known is what the table says about a key.
type known struct {
	Request     []byte
	LeasedUntil time.Time
	ExpiresAt   time.Time
	Answer      []byte
}

// revisit looks at a key that came before: it returns the answer, takes over what is left behind, or refuses.
func (s *Store) revisit(tx *gorm.DB, r reservation, now time.Time) ([]byte, error) {
	var before known
	err := s.db.Lock(tx).Table("idempotency_keys").Select("request", "leased_until", "expires_at", "answer").
		Where("scope = ? AND key = ?", r.Scope, r.Key.Key).Take(&before).Error
	switch {
	case errors.Is(err, db.ErrNotFound):
		return nil, ErrInUse // it was given back just now: free at the next try
	case err != nil:
		return nil, fmt.Errorf("look up an idempotency key: %w", err)
	case !before.ExpiresAt.After(now):
		return nil, s.takeOver(tx, r, now)
	case !bytes.Equal(before.Request, r.Request[:]) && !bytes.Equal(before.Request, r.verbatim[:]):
		return nil, ErrReused
	case before.Answer != nil:
		return before.Answer, nil
	case before.LeasedUntil.After(now) && before.LeasedUntil.Sub(now) <= longestLease:
		return nil, ErrInUse
	}
	return nil, s.takeOver(tx, r, now)
}

func (s *Store) takeOver(tx *gorm.DB, r reservation, now time.Time) error {
	const update = `UPDATE idempotency_keys SET request = ?, owner = ?, leased_until = ?, expires_at = ?, answer = NULL
		WHERE scope = ? AND key = ?`
	return one(tx.Exec(update, r.Request[:], r.owner, now.Add(r.lease), now.Add(kept), r.Scope, r.Key.Key))
}

// keep stores the answer if the key is still this call's. A call that outlived its lease and was taken over fails here,
// and its changes with it.
func (s *Store) keep(tx *gorm.DB, r reservation, answer any) error {
	sealed, err := s.seal(r.Key, answer)
	if err != nil {
		return err
	}
	const update = `UPDATE idempotency_keys SET answer = ? WHERE scope = ? AND key = ? AND owner = ? AND answer IS NULL`
	if err := one(tx.Exec(update, sealed, r.Scope, r.Key.Key, r.owner)); err != nil || !r.Last {
		return err
	}
	return s.forget(tx, r)
}

// forget deletes the other keys of a scope that nobody works on any more.
func (s *Store) forget(tx *gorm.DB, r reservation) error {
	const others = `DELETE FROM idempotency_keys
		WHERE scope = ? AND key <> ? AND (answer IS NOT NULL OR leased_until < ?)`
	return db.Error(tx.Exec(others, r.Scope, r.Key.Key, s.clock.Now()).Error)
}

// release frees the key if no answer was kept: after a commit of unknown outcome, one may have been. What cannot be
// done within the time of the call is done after it.
func (s *Store) release(ctx context.Context, r reservation) {
	if ctx.Err() != nil || s.remove(ctx, r) != nil {
		s.releases.add(r)
	}
}

func (s *Store) remove(ctx context.Context, r reservation) error {
	const remove = `DELETE FROM idempotency_keys WHERE scope = ? AND key = ? AND owner = ? AND answer IS NULL`
	ctx, cancel := context.WithTimeout(ctx, leaseMargin)
	defer cancel()
	return s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec(remove, r.Scope, r.Key.Key, r.owner).Error
	})
}

// one demands that a guarded statement hit its row; otherwise somebody else has the key.
func one(res *gorm.DB) error {
	if res.Error == nil && res.RowsAffected != 1 {
		return ErrInUse
	}
	return db.Error(res.Error)
}
