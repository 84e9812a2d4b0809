package amqp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
)

const (
	// refusedFor is how long a refusal is shown: longer than a relay waits before it tries again.
	refusedFor = 15 * time.Second
	// remakeEvery bounds how often what is missing is declared again.
	remakeEvery = time.Second
)

// refusals is what the broker said when it refused a message. Others may go on beside it, so a success says nothing.
type refusals struct {
	mu     sync.Mutex
	reason string
	at     time.Time
	remade time.Time
}

// current is the refusal of late, empty when there was none.
func (r *refusals) current() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.at) > refusedFor {
		return ""
	}
	return r.reason
}

// note keeps a refusal. It reports whether what is missing is to be declared again.
func (r *refusals) note(e *amqp091.Error) (remake bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// What follows names the virtual host and the user, which is nothing for a public page.
	r.reason, _, _ = strings.Cut(e.Reason, " in vhost")
	r.at = time.Now()
	if e.Code != amqp091.NotFound || time.Since(r.remade) < remakeEvery {
		return false
	}
	r.remade = time.Now()
	return true
}

// handleRefusal returns err, the failure of a publication. Where the broker closed the channel because an exchange or a
// permission is missing, that is remembered, and an exchange declared again.
func (p *publisher) handleRefusal(ctx context.Context, conn *amqp091.Connection, err error) error {
	var e *amqp091.Error
	if !errors.As(err, &e) || !e.Server || e.Code != amqp091.NotFound && e.Code != amqp091.AccessRefused {
		return err
	}
	if !p.refusals.note(e) {
		return err
	}
	if failed := ask(ctx, conn, func() error { return p.bus.ensure(conn, p.bus.topology) }); failed != nil {
		return fmt.Errorf("%w; %w", err, failed)
	}
	p.bus.log.WarnContext(ctx, "an exchange was missing; all exchanges, queues and bindings are there again",
		"error", e)
	return err
}

// refusedTypes adds to err, the failure of a publication, which types of event the broker refuses, where it lacks a
// permission for some. It says the first alone and takes nothing more on that channel, so each type is tried by itself.
func (p *publisher) refusedTypes(ctx context.Context, msgs []message, err error) error {
	conn := p.bus.publishing.current()
	if !hasCode(err, amqp091.AccessRefused) || conn == nil {
		return err
	}
	type place struct{ exchange, key string }
	tried, refused := map[place]bool{}, map[string]bool{}
	for _, m := range msgs {
		at := place{m.exchange, m.key}
		if tried[at] || refused[m.key] {
			continue
		}
		tried[at] = true
		failed := ask(ctx, conn, func() error { return tryKeys(conn, at.exchange, at.key) })
		switch {
		case hasCode(failed, amqp091.AccessRefused):
			refused[at.key] = true
		case failed != nil:
			return err
		}
	}
	if len(refused) == 0 {
		return err
	}
	return &bus.RefusedError{Types: slices.Sorted(maps.Keys(refused)), Err: err}
}
