package auth

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/token"
)

// endedKept is how long tokens and secrets stay in the database after their end, for those who look into a misuse.
const endedKept = 7 * 24 * time.Hour

// Watches are the types of the events that change what this service caches.
func Watches() []string { return append(apikey.Events(), token.KeyEvents()...) }

// Run relays events, hears of changed API keys and signing keys and prunes until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	return s.RunJobs(ctx, s.telemetry.Run, s.Watch(Watches(), s.guard, s.signing), s.Prune(s.prune))
}

func (s *Service) prune(ctx context.Context) error {
	_, err := s.store.Prune(ctx, s.Clock.Now().Add(-endedKept))
	return err
}
