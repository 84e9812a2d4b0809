package analytics

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/store"
)

const (
	// rollupsKept is how long daily figures are kept: two years and some, so that years can be compared.
	rollupsKept = 800 * 24 * time.Hour
	// statesKept is how long the detectors remember a license or an address that fell silent. Longer than a year, for
	// licenses that are used once a year.
	statesKept = 400 * 24 * time.Hour
)

func (s *Service) closeAnomalies(ctx context.Context) error {
	_, err := s.store.CloseAnomalies(ctx, s.deps.Clock.Now())
	return err
}

// rescore ages the risk of all licenses that have one, and keeps it as that of the day.
func (s *Service) rescore(ctx context.Context) error {
	now := s.deps.Clock.Now()
	for after := ""; ; {
		next, err := s.store.RescoreAfter(ctx, after, now)
		if err != nil || next == "" {
			return err
		}
		after = next
	}
}

func (s *Service) prune(ctx context.Context) error {
	now := s.deps.Clock.Now()
	_, err := s.store.Prune(ctx, store.Expiry{
		Now: now, Events: now.Add(-s.cfg.retention()), States: now.Add(-statesKept), Rollups: now.Add(-rollupsKept),
	})
	if err != nil {
		return err
	}
	_, err = s.outbox.Prune(ctx, now.Add(-s.cfg.EventLog()))
	return err
}
