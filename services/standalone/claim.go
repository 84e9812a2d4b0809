package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// claimName names the claim of the databases of a suite in one process.
const claimName = "the suite in one process"

// claimDatabase makes this the one process on PostgreSQL, or with a broker one of those that all have one: it comes
// before the first migration. The bus of a process without a broker tells no other of revocations, and relays what
// others wrote to itself alone. SQLite is in the data directory, which is locked.
func (s *suite) claimDatabase(ctx context.Context, d *db.DB) (err error) {
	if s.claim != nil || d.Engine() == db.SQLite {
		return nil
	}
	claim := d.Claim
	if s.settings.AMQPURL != "" {
		claim = d.ClaimShared
	}
	if s.claim, err = claim(ctx, claimName); err != nil {
		return s.explainClaim(err)
	}
	s.closers = append(s.closers, s.claim.Close)
	return nil
}

// explainClaim says what to do about another process on the database.
func (s *suite) explainClaim(err error) error {
	switch {
	case !errors.Is(err, db.ErrClaimed):
		return err
	case s.settings.AMQPURL != "":
		return fmt.Errorf("%w: a latchkey without a broker runs on the PostgreSQL of LATCHKEY_DATABASE_URL. Stop it "+
			"first; it may run beside this one once it has LATCHKEY_AMQP_URL, too", err)
	}
	return fmt.Errorf("%w: another latchkey runs on the PostgreSQL of LATCHKEY_DATABASE_URL. Without a broker there "+
		"can be one alone: stop the other; to run both, then start each with LATCHKEY_AMQP_URL, the URL of RabbitMQ",
		err)
}

// claimed is b while the databases are claimed. A broker tells every process that has one of revocations, however long
// the database, and with it the claim, is away: its bus goes on.
func (s *suite) claimed(b bus.Bus) bus.Bus {
	if s.claim == nil || s.settings.AMQPURL != "" {
		return b
	}
	return claimedBus{Bus: b, held: s.claim.Held, await: s.claim.Await}
}

// claimedBus is a bus that rests while held is false. Another process may write meanwhile: what that has in its outbox
// is not ours to publish, and its revocations do not arrive here, so caches must know that they hear of none.
//
// A claim whose connection is silent counts as held for some seconds, in which another process may be at work, as after
// a failover of the server. Nothing but caches is wrong meanwhile: jobs lock what they change and look at it anew, as
// they do where every replica runs them, relays lock what they send, and consumers know in the database what was taken
// in, analytics by an epoch, too.
type claimedBus struct {
	bus.Bus
	held  func() bool
	await func(ctx context.Context, held bool) bool // see db.Claim.Await
}

var errUnclaimed = errors.New("the claim of the database was lost, and is not yet taken again")

// Publish implements bus.Bus.
func (b claimedBus) Publish(ctx context.Context, events []event.Event) error {
	if !b.held() {
		return errUnclaimed
	}
	return b.Bus.Publish(ctx, events)
}

// Watch implements bus.Bus. Its link is lost with the claim, and what was cached dropped before it lives again.
func (b claimedBus) Watch(ctx context.Context, w bus.Watch) error {
	for b.await(ctx, true) {
		own, stop := context.WithCancel(ctx)
		go func() {
			b.await(own, false)
			stop()
		}()
		err := b.Bus.Watch(own, w)
		stop()
		if err != nil {
			return err
		}
	}
	return nil
}
