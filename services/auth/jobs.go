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

// Run relays events, hears of changed API keys and signing keys and prunes until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	return s.RunJobs(ctx, s.telemetry.Run, s.Watch(Watches(), s.guard, s.signing), s.Consume(erasureQueue(), s.erase),
		s.Prune(s.prune))
}

// erase takes the addresses of erased customers out of the event log. An event that stays unread because of a failure
// comes again.
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
		rule := erasure.RuleOf(&m)
		if err := s.Outbox.Rewrite(ctx, m.GetLicenseId(), rule.Apply); err != nil {
			return err
		}
	}
	return rejected.OrNil()
}

func (s *Service) prune(ctx context.Context) error {
	_, err := s.store.Prune(ctx, s.Clock.Now().Add(-endedKept))
	return err
}
