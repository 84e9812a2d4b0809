// Package idempotency answers a repeated call with its first answer. What a call with an Idempotency-Key changes and
// the answer to it are committed together, so a client that lost the answer may ask again: the change happens once.
package idempotency

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

const (
	// A call has its key until its own deadline, or for longestCall without one, and for leaseMargin more: from then on
	// another with the same key is let in. That matters only when the key could not be given back.
	longestCall = 10 * time.Second
	leaseMargin = time.Second
	// longestLease is more than any call may run: what seems to be leased for longer was so before the clock was set
	// back.
	longestLease = 2 * time.Minute
	// kept is how long an answer is repeated.
	kept = 24 * time.Hour
)

// The ways in which a key is refused.
var (
	ErrReused = apierr.New(apierr.Unprocessable, errcode.IdempotencyKeyReused,
		"this Idempotency-Key was already used for a different request; use a new key for a new request")
	ErrInUse = apierr.New(apierr.Conflict, errcode.IdempotencyKeyInUse,
		"a request with this Idempotency-Key is still running; ask again in a moment").WithRetryAfter(time.Second)
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// Migrations make the table idempotency_keys.
var Migrations = db.Migrations{Name: "idempotency", FS: files}

// Store keeps keys and answers in a service's database. It is safe for concurrent use.
type Store struct {
	db    *db.DB
	ring  *keyring.Ring
	clock clock.Clock
	// releases are keys that are still to be given back.
	releases *releases
}

// New returns the store in d. Answers may hold secrets: they are encrypted with ring.
func New(d *db.DB, ring *keyring.Ring, c clock.Clock) *Store {
	s := &Store{db: d, ring: ring, clock: c}
	s.releases = &releases{remove: s.remove}
	return s
}

// Key names one call of one caller.
type Key struct {
	// Scope is who calls: the id of an API key or of an admin.
	Scope string
	// Key is what the caller chose; empty means that the call may be repeated with effect.
	Key string
	// Request is the SHA-256 of method, path and body, the body in the form of jsonbody.Canonical.
	Request [32]byte
	// Last has the scope keep no answer but its last one: for callers who may send one key after another without end.
	Last bool
	// verbatim is that of the body as it was sent, which earlier versions kept.
	verbatim [32]byte
}

// Part is the key of a part of the call, for one that is carried out in several transactions: a repeated call finds the
// parts that are done.
func (k Key) Part(n int) Key {
	name := sha256.Sum256([]byte(k.Key))
	k.Key = fmt.Sprintf("part %d of %x", n, name)
	return k
}

// Do runs fn, or answers as it did before for the same key and request, marked as httpx.MarkReplayed does. fn runs
// inside db.InUnit, and its result is kept in the same transaction as its changes. Errors and panics leave nothing
// behind, refusals among them, as their cause may be gone by the next call: the key is given back at once, or as soon
// as the database is there. Another request under the key is ErrReused; one that is still running is ErrInUse.
// Reservations and kept answers are looked up in reservation.go.
//
// ctx must carry no transaction. T is kept as JSON and must survive it: a secret.Secret in it would come back as stars.
func Do[T any](ctx context.Context, s *Store, k Key, fn func(ctx context.Context) (T, error)) (T, error) {
	if k.Key == "" {
		return fn(ctx)
	}
	var result T
	r, err := s.reserve(ctx, k)
	if err != nil {
		if errors.Is(err, apierr.ErrUnavailable) { // it may be ours all the same
			s.release(ctx, r)
		}
		return result, err
	}
	if r.answer != nil {
		httpx.MarkReplayed(ctx)
		return recall[T](s, r)
	}
	answered := false
	defer func() {
		if !answered { // a panic, too, gives the key back
			s.release(ctx, r)
		}
	}()
	err = s.db.InUnit(ctx,
		func(ctx context.Context) (err error) { result, err = fn(ctx); return err },
		func(_ context.Context, tx *gorm.DB) error { return s.keep(tx, r, result) })
	answered = err == nil
	return result, err
}

// Prune deletes the keys whose time is over.
func (s *Store) Prune(ctx context.Context) error {
	const (
		batch = 500
		prune = `DELETE FROM idempotency_keys WHERE (scope, key) IN
			(SELECT scope, key FROM idempotency_keys WHERE expires_at <= ? LIMIT ?)`
	)
	for {
		var n int64
		err := s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
			res := tx.Exec(prune, s.clock.Now(), batch)
			n = res.RowsAffected
			return res.Error
		})
		if err != nil || n < batch {
			return err
		}
	}
}
