package analytics

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/ingest"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// How long what was received is kept. Raw events: LATCHKEY_RETENTION_DAYS (config.go), as prune.go of the store deletes
// them.
const (
	// rollupsKept is how long daily figures are kept: two years and some, so that years can be compared.
	rollupsKept = 800 * 24 * time.Hour
	// statesKept is how long the detectors remember a license or an address that fell silent. Longer than a year, for
	// licenses that are used once a year.
	statesKept = 400 * 24 * time.Hour
)

// Watches are the types of the events that change what this service caches.
func Watches() []string { return apikey.Events() }

// Run consumes events, announces anomalies and prunes until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	return s.RunJobs(ctx,
		s.consume,
		s.Watch(Watches(), s.guard),
		s.Every(time.Minute, "describe anomalies that grew", s.consumer.DescribeGrown),
		s.Every(time.Minute, "write detector states", s.consumer.WriteStates),
		s.Every(time.Minute, "close silent anomalies", s.closeAnomalies),
		s.Every(time.Hour, "compute risk scores", s.rescore),
		s.Prune(s.prune),
	)
}

// finishWithin bounds the wait for what is written at the end. What is not written then is judged again.
const finishWithin = 5 * time.Second

func (s *Service) consume(ctx context.Context) error {
	if err := s.Consume(queue(), s.handler())(ctx); err != nil {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	if err := s.consumer.Finish(last); err != nil {
		s.Log.WarnContext(ctx, "detector states were not written; the next start judges their events again",
			"error", err)
	}
	return nil
}

// handler takes in events at a pace that leaves time to the requests of the process.
func (s *Service) handler() bus.Handler {
	if s.Answered == nil {
		return s.consumer.Handle
	}
	return ingest.NewPace(s.consumer.Handle, s.Answered).Handle
}

func (s *Service) closeAnomalies(ctx context.Context) error {
	_, err := s.store.CloseAnomalies(ctx, s.Clock.Now())
	return err
}

// rescore ages the risk of all licenses that have one, and keeps it as that of the day.
func (s *Service) rescore(ctx context.Context) error {
	now := s.Clock.Now()
	for after := ""; ; {
		next, err := s.store.RescoreAfter(ctx, after, now)
		if err != nil || next == "" {
			return err
		}
		after = next
	}
}

func (s *Service) prune(ctx context.Context) error {
	now := s.Clock.Now()
	received := now.Add(-s.cfg.retention())
	settled := s.consumer.Settle(ctx, received)
	_, err := s.store.Prune(ctx, usage.Expiry{
		Now: now, Events: received, States: now.Add(-statesKept), Rollups: now.Add(-rollupsKept),
	})
	return errors.Join(settled, err)
}
