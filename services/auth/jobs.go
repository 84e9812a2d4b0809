package auth

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/erasure"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/proto/queues"
)

// endedKept is how long tokens and secrets stay in the database after their end, for those who look into a misuse.
const endedKept = 7 * 24 * time.Hour

// Watches are the types of the events that change what this service caches.
func Watches() []string { return append(apikey.Events(), token.KeyEvents()...) }

// erasureQueue tells of customers that are to be forgotten.
func erasureQueue() bus.Queue { return bus.QueueOf(queues.Erasures(Name)) }

// Run relays events, learns of changed API keys and signing keys and prunes until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	return s.RunJobs(ctx, s.telemetry.Run, s.Watch(Watches(), s.guard, s.signing), s.Consume(erasureQueue(), s.erase),
		s.Prune(s.prune))
}

// erase takes the addresses of erased customers out of the event log, and out of telemetry that was stored for later.
// An event that stays unread because of a failure comes again.
func (s *Service) erase(ctx context.Context, events []event.Event) error {
	rejected := bus.Rejected{}
	for i, e := range events {
		var m eventsv1.CustomerErased
		if err := e.Into(&m); err != nil {
			rejected[i] = err
			continue
		}
		if m.GetLicenseId() == "" || m.GetHad() {
			continue // nothing here names a customer
		}
		if err := s.forget(ctx, m.GetLicenseId(), erasure.RuleOf(&m)); err != nil {
			return err
		}
	}
	return rejected.OrNil()
}

// forget applies a rule to the events about a license. Telemetry that is in memory is on its way: where it arrives, it
// is cleaned.
func (s *Service) forget(ctx context.Context, licenseID string, rule erasure.Rule) error {
	if err := s.Outbox.Rewrite(ctx, licenseID, rule.Apply); err != nil {
		return err
	}
	return s.telemetry.Rewrite(ctx, func(e event.Event) ([]byte, bool) {
		if e.Subject != licenseID {
			return nil, false
		}
		return rule.Apply(e.Data, e.Time)
	})
}

func (s *Service) prune(ctx context.Context) error {
	_, err := s.store.Prune(ctx, s.Clock.Now().Add(-endedKept))
	return err
}
