package store

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

// flushSeen is how far last_seen_at may lag.
const flushSeen = 2 * time.Second

// maxSeen bounds the memory of devices waiting to be written; beyond it a device is noted at its next call.
const maxSeen = 100_000

// Seen implements licensing.Seen: the latest per device, written in batches, so that a validation costs no SQL.
type Seen struct {
	db  *db.DB
	log *slog.Logger

	mu      sync.Mutex
	pending map[string]*sighting
}

type sighting struct {
	at          time.Time
	sessionData []byte
}

// NewSeen returns a writer whose Run must be called for anything to be written.
func NewSeen(d *db.DB, log *slog.Logger) *Seen {
	return &Seen{db: d, log: log, pending: map[string]*sighting{}}
}

// Seen implements licensing.Seen.
func (s *Seen) Seen(deviceID string, at time.Time, sessionData []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.pending[deviceID]
	if last == nil {
		if len(s.pending) < maxSeen {
			s.pending[deviceID] = &sighting{at, sessionData}
		}
		return
	}
	last.at = at
	if sessionData != nil {
		last.sessionData = sessionData
	}
}

// Run writes every two seconds until ctx ends, and once more then.
func (s *Seen) Run(ctx context.Context) error {
	tick := time.NewTicker(flushSeen)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.flush(ctx)
		case <-ctx.Done():
			s.flush(context.WithoutCancel(ctx))
			return nil
		}
	}
}

func (s *Seen) flush(ctx context.Context) {
	s.mu.Lock()
	batch := s.pending
	s.pending = make(map[string]*sighting, len(batch)) // the next two seconds will be like the last
	s.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := s.write(ctx, batch); err != nil {
		s.log.WarnContext(ctx, "last-seen times not written", "devices", len(batch), "error", err)
	}
}

// write groups by second, so that a thousand devices take a handful of statements.
func (s *Seen) write(ctx context.Context, batch map[string]*sighting) error {
	bySecond := map[time.Time][]string{}
	withData := map[string]*sighting{}
	for id, seen := range batch {
		if seen.sessionData != nil {
			withData[id] = seen
			continue
		}
		second := seen.at.Truncate(time.Second)
		bySecond[second] = append(bySecond[second], id)
	}
	for second, ids := range bySecond {
		// One order for all writers: two replicas never wait for each other in a circle.
		slices.Sort(ids)
		for chunk := range slices.Chunk(ids, 500) {
			if err := s.writeTimes(ctx, second, chunk); err != nil {
				return err
			}
		}
	}
	return s.writeSessions(ctx, withData)
}

func (s *Seen) writeTimes(ctx context.Context, at time.Time, ids []string) error {
	return s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		return tx.Table("devices").Where("id IN ? AND (last_seen_at IS NULL OR last_seen_at < ?)", ids, at).
			Updates(map[string]any{"last_seen_at": at}).Error
	})
}

func (s *Seen) writeSessions(ctx context.Context, batch map[string]*sighting) error {
	if len(batch) == 0 {
		return nil
	}
	ids := make([]string, 0, len(batch))
	for id := range batch {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		for _, id := range ids {
			err := tx.Table("devices").Where("id = ?", id).
				Updates(map[string]any{"last_seen_at": batch[id].at, "session_data": string(batch[id].sessionData)}).Error
			if err != nil {
				return err
			}
		}
		return nil
	})
}
