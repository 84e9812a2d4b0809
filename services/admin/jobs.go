package admin

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/proto/queues"
	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
)

// retryAfter is the time between attempts to reach the database at the start.
const retryAfter = time.Second

// auditQueue gathers the audit entries of all services.
func auditQueue() bus.Queue { return bus.QueueOf(queues.Audit()) }

// erasureQueue tells of customers that are to be forgotten.
func erasureQueue() bus.Queue { return bus.QueueOf(queues.Erasures(Name)) }

// Run puts the configured owner key in force, relays events, fills the audit log and prunes, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	if err := s.configure(ctx); err != nil {
		return err
	}
	return s.RunJobs(ctx, s.Consume(auditQueue(), s.record), s.Consume(erasureQueue(), s.erase))
}

// configure puts the owner key of the configuration in force, and waits for the database while it is away. In
// maintenance mode the keys stay as they are.
func (s *Service) configure(ctx context.Context) error {
	if s.cfg.Maintenance {
		s.warnUnchanged(ctx)
		close(s.configured)
		return nil
	}
	for {
		err := s.putInForce(ctx)
		switch {
		case err == nil:
			close(s.configured)
			return nil
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, adminkey.ErrNoOwner) || errors.Is(err, adminkey.ErrNotOwner):
			return config.Problemf(&s.cfg, &s.cfg.AdminAPIKey, "%v", err)
		case !errors.Is(err, apierr.ErrUnavailable):
			return err
		}
		s.Log.WarnContext(ctx, "the owner key is not set yet: waiting for the database", "error", err)
		if clock.Sleep(ctx, retryAfter) != nil {
			return nil
		}
	}
}

// putInForce makes the configured key the owner key, or the one that is given for it because it was revoked.
func (s *Service) putInForce(ctx context.Context) error {
	live, err := s.keys.Configure(ctx, s.cfg.AdminAPIKey)
	if err != nil {
		return err
	}
	var instead secret.Secret
	if s.cfg.KeepOwner != nil {
		if instead, err = s.cfg.KeepOwner(live); err != nil {
			return err
		}
	}
	if instead != "" {
		s.cfg.AdminAPIKey = instead
		return s.putInForce(ctx)
	}
	if !live {
		s.Log.ErrorContext(ctx, "LATCHKEY_ADMIN_API_KEY names a revoked key, which stays revoked; set a new one")
	}
	return nil
}

// warnUnchanged tells of an owner key of the configuration that maintenance mode does not put in force.
func (s *Service) warnUnchanged(ctx context.Context) {
	if s.cfg.AdminAPIKey == "" {
		return
	}
	_, err := s.keys.Authenticate(ctx, s.cfg.AdminAPIKey.Reveal())
	if errors.Is(err, adminkey.ErrInvalidKey) {
		s.Log.WarnContext(ctx, "LATCHKEY_ADMIN_API_KEY is not in force: maintenance mode changes no keys; use the "+
			"previous key, or start once without LATCHKEY_MAINTENANCE")
	}
}

// record appends audit entries to the log. Only an unreadable one becomes a dead letter.
func (s *Service) record(ctx context.Context, events []event.Event) error {
	entries, rejected := make([]audit.Entry, 0, len(events)), bus.Rejected{}
	for i, e := range events {
		entry, err := auditEntry(e)
		if err != nil {
			rejected[i] = err
			continue
		}
		entries = append(entries, entry)
	}
	if err := s.store.Append(ctx, entries); err != nil {
		return err
	}
	return rejected.OrNil()
}

// erase carries out erasures. An event that stays unread because of a failure comes again.
func (s *Service) erase(ctx context.Context, events []event.Event) error {
	rejected := bus.Rejected{}
	for i, e := range events {
		var m eventsv1.CustomerErased
		if err := e.Into(&m); err != nil {
			rejected[i] = err
			continue
		}
		if err := s.store.Erase(ctx, audit.NewErasure(&m)); err != nil {
			return err
		}
	}
	return rejected.OrNil()
}

func auditEntry(e event.Event) (audit.Entry, error) {
	var m eventsv1.AuditRecorded
	if err := e.Into(&m); err != nil {
		return audit.Entry{}, err
	}
	return audit.NewEntry(e.ID, e.Time, &m)
}
