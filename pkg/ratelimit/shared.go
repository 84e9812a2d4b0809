package ratelimit

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// Migrations make the table of shared limits.
var Migrations = db.Migrations{Name: "ratelimit", FS: files}

const (
	// leaseFor is how long calls that were counted ahead may be used.
	leaseFor = time.Second
	// statementTimeout bounds what a caller waits for the database, and awayFor how long it is then left alone.
	statementTimeout = 500 * time.Millisecond
	awayFor          = time.Second
	leaseKept        = time.Minute // a lease that nobody used for so long is forgotten
	pruneBatch       = 500
)

// shared counts in a row per key, so that all replicas admit what one limit allows. For large limits a replica counts a
// chunk of calls ahead (a lease), at most a sixtieth of the limit, and only as many as it has just been using.
type shared struct {
	db        *db.DB
	clock     clock.Clock
	log       *slog.Logger
	fallback  Limiter
	awayUntil atomic.Int64
	mu        sync.Mutex
	leases    map[string]*lease
}

// lease is what this replica knows of one key.
type lease struct {
	mu       sync.Mutex
	left     int   // calls counted ahead and not yet used
	ends     int64 // until when they may be used
	size     int   // how many were counted ahead
	last     Decision
	refused  int64 // until when calls are refused without asking
	lastUsed int64
}

// NewShared makes a limiter whose limits hold over all replicas that use the same database and have run Migrations on
// it. While the database is away it counts what this process admits.
func NewShared(d *db.DB, c clock.Clock, log *slog.Logger) Limiter {
	return &shared{db: d, clock: c, log: log, fallback: NewLocal(c), leases: map[string]*lease{}}
}

// Take implements Limiter.
func (s *shared) Take(ctx context.Context, key string, limit Limit) Decision {
	if limit.PerMinute <= 0 && limit.PerHour <= 0 {
		return Decision{Allowed: true}
	}
	now := s.clock.Now()
	if s.isAway(now) {
		return s.fallback.Take(ctx, key, limit)
	}
	return s.take(ctx, key, limit, now)
}

// Refund implements Limiter.
func (s *shared) Refund(ctx context.Context, key string) {
	now := s.clock.Now()
	if s.isAway(now) {
		s.fallback.Refund(ctx, key)
		return
	}
	l := s.lease(key, now.UnixMicro())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = 0
	if l.left > 0 && lasts(now.UnixMicro(), l.ends, leaseFor) {
		l.left++
		l.last.Remaining++
		return
	}
	if err := s.inRow(ctx, key, now, func(u *usage) { u.refund(1) }); err != nil {
		s.away(now, err)
	}
}

func (s *shared) take(ctx context.Context, key string, limit Limit, at time.Time) Decision {
	l := s.lease(key, at.UnixMicro())
	l.mu.Lock()
	defer l.mu.Unlock()
	at = s.clock.Now() // it may have waited for another call of the same key
	now := at.UnixMicro()
	switch {
	case l.left > 0 && lasts(now, l.ends, leaseFor):
		l.left--
		l.last.Remaining = max(l.last.Remaining-1, 0)
		return l.last
	case lasts(now, l.refused, leaseFor):
		return l.last
	case s.isAway(at): // the call before has just found out
		return s.fallback.Take(ctx, key, limit)
	}
	err := l.renew(limit, now, func(change func(*usage)) error { return s.inRow(ctx, key, at, change) })
	if err != nil {
		s.away(at, err)
		return s.fallback.Take(ctx, key, limit)
	}
	return l.last
}

// renew counts the call, and the next ones ahead when calls have been coming fast; what is left of the last lease goes
// back.
func (l *lease) renew(limit Limit, now int64, inRow func(func(*usage)) error) error {
	size, unused := l.next(limit, now), l.left
	granted, decision := 0, Decision{}
	err := inRow(func(u *usage) {
		u.advance(now)
		u.refund(unused)
		ahead := int64(0)
		if size > 1 {
			ahead = leaseFor.Microseconds()
		}
		granted, decision = u.take(now, ahead, size, limit)
	})
	if err != nil {
		return err
	}
	l.left, l.size, l.ends, l.refused = max(granted-1, 0), size, now+leaseFor.Microseconds(), 0
	decision.Remaining += l.left
	if !decision.Allowed {
		// Asking again sooner could only find calls that another replica gave back.
		l.refused = now + min(decision.RetryAfter, leaseFor).Microseconds()
	}
	l.last = decision
	return nil
}

// next is the size of the next lease: twice the last one if that was used up in its time, what was used of it
// otherwise.
func (l *lease) next(limit Limit, now int64) int {
	largest := limit.PerMinute / slots
	if limit.PerMinute <= 0 {
		largest = limit.PerHour / int(time.Hour/leaseFor)
	}
	if l.left == 0 && now < l.ends {
		return max(min(2*l.size, largest), 1)
	}
	return max(min(l.size-l.left, largest), 1)
}

type usageRow struct {
	Key       string    `gorm:"column:key"`
	Usage     []byte    `gorm:"column:usage"`
	ExpiresAt time.Time `gorm:"column:expires_at"`
}

// TableName implements gorm's Tabler.
func (usageRow) TableName() string { return "rate_limits" }

// inRow changes the usage of key under its row's lock.
func (s *shared) inRow(ctx context.Context, key string, now time.Time, change func(*usage)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statementTimeout)
	defer cancel()
	return s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		row, err := s.lockRow(tx, key, now)
		if err != nil {
			return err
		}
		u, err := decodeUsage(row.Usage)
		if err != nil {
			s.log.WarnContext(ctx, "a rate limit's stored window was damaged; it starts again")
		}
		change(&u)
		const update = "UPDATE rate_limits SET usage = ?, expires_at = ? WHERE key = ?"
		return tx.Exec(update, u.encode(), time.UnixMicro(max(u.ends(), now.UnixMicro())).UTC(), key).Error
	})
}

// lockRow reads the row of key and keeps other replicas from it; there is one afterwards.
func (s *shared) lockRow(tx *gorm.DB, key string, now time.Time) (row usageRow, err error) {
	err = s.db.Lock(tx).Where("key = ?", key).Take(&row).Error
	if !errors.Is(err, db.ErrNotFound) {
		return row, err
	}
	const insert = "INSERT INTO rate_limits (key, usage, expires_at) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING"
	if err := tx.Exec(insert, key, []byte{}, now).Error; err != nil {
		return row, fmt.Errorf("insert rate limit: %w", err)
	}
	err = s.db.Lock(tx).Where("key = ?", key).Take(&row).Error
	return row, err
}

func (s *shared) lease(key string, now int64) *lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.leases[key]
	if l == nil {
		l = &lease{}
		s.leases[key] = l
	}
	l.lastUsed = now
	return l
}

// Prune implements Limiter.
func (s *shared) Prune(ctx context.Context) error {
	now := s.clock.Now()
	s.forgetLeases(now)
	for {
		n, err := s.pruneBatch(ctx, now)
		if err != nil || n < pruneBatch {
			return errors.Join(err, s.fallback.Prune(ctx))
		}
	}
}

func (s *shared) forgetLeases(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, l := range s.leases {
		if l.lastUsed < now.Add(-leaseKept).UnixMicro() {
			delete(s.leases, key)
		}
	}
}

// pruneBatch deletes some rows whose calls have all left their windows. The condition stands twice because a row may
// have been used between its being found and its being locked.
func (s *shared) pruneBatch(ctx context.Context, now time.Time) (deleted int, err error) {
	const statement = `DELETE FROM rate_limits WHERE expires_at < ? AND key IN
		(SELECT key FROM rate_limits WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`
	err = s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		res := tx.Exec(statement, now, now, pruneBatch)
		deleted = int(res.RowsAffected)
		return res.Error
	})
	return deleted, err
}

// lasts reports whether a time that was set for d has not come yet. One further away than d does not count: the clock
// was set back.
func lasts(now, until int64, d time.Duration) bool {
	return now < until && until-now <= d.Microseconds()
}

func (s *shared) isAway(now time.Time) bool {
	return lasts(now.UnixMicro(), s.awayUntil.Load(), awayFor)
}

// away leaves the database alone for a moment, and says so once per moment.
func (s *shared) away(now time.Time, cause error) {
	until := s.awayUntil.Load()
	if !s.isAway(now) && s.awayUntil.CompareAndSwap(until, now.Add(awayFor).UnixMicro()) {
		s.log.Warn("the database of the rate limits is unavailable: each replica counts alone for now", "error", cause)
	}
}
