package store

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// flushSeen is how far last_seen_at may lag.
const flushSeen = 2 * time.Second

// maxSeen bounds the memory of devices waiting to be written; beyond it a device is noted at its next call.
const maxSeen = 100_000

// Seen implements licensing.Seen: the latest per device, written in batches, so that a validation costs no SQL.
type Seen struct {
	db    *db.DB
	clock clock.Clock
	log   *slog.Logger
	// forget is called for devices whose profile was written.
	forget func(licenseID, hardwareID string)

	mu      sync.Mutex
	pending map[uuid.UUID]*licensing.Sighting
	// noted is when goOn was last called, and away tells that the database was away the last time; Run alone takes care
	// of them.
	noted time.Time
	away  bool
}

// NewSeen returns a writer whose Run must be called for anything to be written.
func NewSeen(d *db.DB, c clock.Clock, forget func(licenseID, hardwareID string), log *slog.Logger) *Seen {
	return &Seen{db: d, clock: c, log: log, forget: forget, pending: map[uuid.UUID]*licensing.Sighting{}}
}

// Seen implements licensing.Seen.
func (s *Seen) Seen(now licensing.Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.pending[now.DeviceID]
	if last == nil {
		if len(s.pending) < maxSeen {
			first := now // now itself would be on the heap in every call
			s.pending[now.DeviceID] = &first
		}
		return
	}
	follow(last, &now)
}

// follow adds to what was last seen of a device what was seen after it.
func follow(last, now *licensing.Sighting) {
	if now.At.After(last.At) {
		last.At = now.At
	}
	// a version that was said belongs to the system that is stored
	last.Said = last.Stored.With(last.Said).With(now.Said)
	if now.SessionData != nil {
		last.SessionData = now.SessionData
	}
}

// putBack keeps for the next time what an outage has kept from being written.
func (s *Seen) putBack(batch map[uuid.UUID]*licensing.Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, before := range batch {
		now := s.pending[id]
		if now != nil {
			follow(before, now)
		}
		if now != nil || len(s.pending) < maxSeen {
			s.pending[id] = before
		}
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
	s.pending = make(map[uuid.UUID]*licensing.Sighting, len(batch)) // sized for as many as the last two seconds had
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	devices := len(batch)
	err := s.write(ctx, batch)
	if err != nil {
		devices = len(batch) // what was written left it
	}
	if now := s.clock.Now(); err == nil && now.Sub(s.noted).Abs() >= seenAgain {
		if err = s.goOn(ctx, now); err == nil {
			s.noted = now
		}
	}
	if away := s.report(ctx, devices, err); away {
		s.putBack(batch)
	}
}

// report logs that last-seen times were not written, of an outage only that it begins and is over, and reports whether
// there is one.
func (s *Seen) report(ctx context.Context, devices int, err error) (away bool) {
	away = err != nil && apierr.From(err).Kind == apierr.Unavailable
	switch {
	case err != nil && !(away && s.away):
		s.log.WarnContext(ctx, "last-seen times not written", "devices", devices, "written_later", away, "error", err)
	case err == nil && s.away:
		s.log.InfoContext(ctx, "last-seen times are written again", "devices", devices)
	}
	s.away = away
	return away
}

// write groups by second, so that a thousand devices take a handful of statements; those with more to write go one by
// one. What was written leaves the batch.
func (s *Seen) write(ctx context.Context, batch map[uuid.UUID]*licensing.Sighting) error {
	bySecond := map[time.Time][]uuid.UUID{}
	var withMore []*licensing.Sighting
	for id, seen := range batch {
		if seen.SessionData != nil || isNews(seen) {
			withMore = append(withMore, seen)
			continue
		}
		second := seen.At.Truncate(time.Second)
		bySecond[second] = append(bySecond[second], id)
	}
	for second, ids := range bySecond {
		slices.SortFunc(ids, byID)
		for chunk := range slices.Chunk(ids, 500) {
			if err := s.writeTimes(ctx, second, chunk); err != nil {
				return err
			}
			for _, id := range chunk {
				delete(batch, id)
			}
		}
	}
	slices.SortFunc(withMore, func(a, b *licensing.Sighting) int { return byID(a.DeviceID, b.DeviceID) })
	for chunk := range slices.Chunk(withMore, 500) {
		if err := s.writeMore(ctx, chunk); err != nil {
			return err
		}
		for _, seen := range chunk {
			delete(batch, seen.DeviceID)
		}
	}
	return nil
}

// byID is the order in which devices are locked.
func byID(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

func (s *Seen) writeTimes(ctx context.Context, at time.Time, ids []uuid.UUID) error {
	return s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		// An UPDATE locks in any order: two replicas would wait for each other in a circle.
		var locked []string
		err := s.db.Lock(tx).Table("devices").Where("id IN ?", ids).Order("id").Pluck("id", &locked).Error
		if err != nil {
			return err
		}
		return tx.Table("devices").Where("id IN ? AND (last_seen_at IS NULL OR last_seen_at < ?)", ids, at).
			Updates(map[string]any{"last_seen_at": at}).Error
	})
}

func (s *Seen) writeMore(ctx context.Context, batch []*licensing.Sighting) error {
	err := s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		for _, seen := range batch {
			q := tx.Table("devices").Where("id = ? AND (erased_at IS NULL OR erased_at < ?)", seen.DeviceID, seen.At)
			if err := q.Updates(sightingChanges(seen)).Error; err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, seen := range batch {
		if isNews(seen) {
			s.forget(seen.LicenseID, seen.HardwareID)
		}
	}
	return nil
}

// isNews reports whether a device says something of itself that is not stored.
func isNews(seen *licensing.Sighting) bool { return seen.Stored.With(seen.Said) != seen.Stored }

func sightingChanges(seen *licensing.Sighting) map[string]any {
	changes := map[string]any{"last_seen_at": gorm.Expr(
		"CASE WHEN last_seen_at > ? THEN last_seen_at ELSE ? END", seen.At, seen.At)} // another replica may know more
	if seen.SessionData != nil {
		changes["session_data"] = string(seen.SessionData)
	}
	if p := seen.Stored.With(seen.Said); isNews(seen) {
		changes["name"], changes["os_name"], changes["os_version"], changes["app_version"] =
			p.Name, p.OSName, p.OSVersion, p.AppVersion
	}
	return changes
}
