package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// eachEngine runs a test in which the database is never late: after half a second a limiter would count alone.
func eachEngine(t *testing.T, test func(t *testing.T, d *db.DB)) {
	testkit.EachEngineInBubble(t, []db.Migrations{ratelimit.Migrations}, test)
}

// eachLimiter runs a test on the limiter in memory and on the shared one on both engines: they keep the same promise.
func eachLimiter(t *testing.T, test func(t *testing.T, l ratelimit.Limiter, now *clock.Fake)) {
	t.Run("local", func(t *testing.T) {
		now := clock.NewFake(start)
		test(t, ratelimit.NewLocal(now), now)
	})
	eachEngine(t, func(t *testing.T, d *db.DB) {
		now := clock.NewFake(start)
		test(t, ratelimit.NewShared(d, now, testkit.Log(t)), now)
	})
}

func TestSixtyFirstCallOfAnyMinuteIsRefused(t *testing.T) {
	eachLimiter(t, func(t *testing.T, l ratelimit.Limiter, now *clock.Fake) {
		limit := ratelimit.Limit{PerMinute: 60, PerHour: 1000}
		for i := range 60 {
			if d := l.Take(t.Context(), "k", limit); !d.Allowed || d.Remaining != 59-i || d.Limit != 60 {
				t.Fatalf("call %d: %+v", i+1, d)
			}
			now.Advance(900 * time.Millisecond) // the 60 calls take 54 s
		}
		if d := l.Take(t.Context(), "k", limit); d.Allowed || d.Remaining != 0 || d.RetryAfter != 6*time.Second ||
			d.Reset != 6*time.Second {
			t.Fatalf("61st call: %+v", d)
		}
		if d := l.Take(t.Context(), "other", limit); !d.Allowed {
			t.Errorf("another key suffers: %+v", d)
		}
		now.Advance(6 * time.Second)
		if d := l.Take(t.Context(), "k", limit); !d.Allowed {
			t.Errorf("the first call has left the window: %+v", d)
		}
		if d := l.Take(t.Context(), "k", limit); d.Allowed {
			t.Errorf("only one call has left the window: %+v", d)
		}
	})
}

func TestHour(t *testing.T) {
	eachLimiter(t, func(t *testing.T, l ratelimit.Limiter, now *clock.Fake) {
		limit := ratelimit.Limit{PerMinute: 10, PerHour: 25}
		for i := range 25 {
			if d := l.Take(t.Context(), "k", limit); !d.Allowed {
				t.Fatalf("call %d: %+v", i+1, d)
			}
			now.Advance(10 * time.Second)
		}
		d := l.Take(t.Context(), "k", limit)
		if want := time.Hour - 250*time.Second; d.Allowed || d.RetryAfter != want || d.Remaining != 0 || d.Limit != 10 {
			t.Errorf("26th call of the hour: %+v, want a wait of %s", d, want)
		}
	})
}

func TestRefusedCallsDoNotCount(t *testing.T) {
	eachLimiter(t, func(t *testing.T, l ratelimit.Limiter, now *clock.Fake) {
		limit := ratelimit.Limit{PerMinute: 2}
		for range 2 {
			l.Take(t.Context(), "k", limit)
		}
		for range 20 {
			now.Advance(2 * time.Second)
			if d := l.Take(t.Context(), "k", limit); d.Allowed {
				t.Fatalf("allowed within the minute: %+v", d)
			}
		}
		now.Advance(20 * time.Second)
		if d := l.Take(t.Context(), "k", limit); !d.Allowed {
			t.Errorf("refused calls were counted: %+v", d)
		}
	})
}

func TestRefund(t *testing.T) {
	eachLimiter(t, func(t *testing.T, l ratelimit.Limiter, _ *clock.Fake) {
		limit := ratelimit.Limit{PerMinute: 2, PerHour: 3}
		for range 10 {
			if d := l.Take(t.Context(), "k", limit); !d.Allowed {
				t.Fatalf("a call that was given back counts: %+v", d)
			}
			l.Refund(t.Context(), "k")
		}
		l.Refund(t.Context(), "never seen")
		for i, want := range []bool{true, true, false} {
			if d := l.Take(t.Context(), "k", limit); d.Allowed != want {
				t.Fatalf("call %d: %+v", i+1, d)
			}
		}
		l.Refund(t.Context(), "k")
		if d := l.Take(t.Context(), "k", limit); !d.Allowed {
			t.Errorf("the place that was given back stays taken: %+v", d)
		}
	})
}

// TestDelaysGrow: each call comes as soon as it may, and the time before is refused.
func TestDelaysGrow(t *testing.T) {
	eachLimiter(t, func(t *testing.T, l ratelimit.Limiter, now *clock.Fake) {
		limit := ratelimit.Limit{
			PerHour: 100, Delay: ratelimit.Delay{After: 3, Shortest: 10 * time.Second, Longest: time.Minute},
		}
		for i, want := range []time.Duration{0, 0, 0, 10, 20, 40, 60, 60} {
			want *= time.Second
			if want > 0 {
				if d := l.Take(t.Context(), "k", limit); d.Allowed || d.RetryAfter != want {
					t.Fatalf("call %d at once: %+v, want a wait of %s", i+1, d, want)
				}
				now.Advance(want - time.Second)
				if d := l.Take(t.Context(), "k", limit); d.Allowed || d.RetryAfter != time.Second {
					t.Fatalf("call %d a second early: %+v", i+1, d)
				}
				now.Advance(time.Second)
			}
			if d := l.Take(t.Context(), "k", limit); !d.Allowed {
				t.Fatalf("call %d: %+v", i+1, d)
			}
		}
		now.Advance(time.Minute)
		for range 10 { // those that are given back delay nobody
			if d := l.Take(t.Context(), "k", limit); !d.Allowed {
				t.Fatalf("after a call that was given back: %+v", d)
			}
			l.Refund(t.Context(), "k")
		}
		now.Advance(time.Hour)
		for i := range 3 {
			if d := l.Take(t.Context(), "k", limit); !d.Allowed {
				t.Errorf("call %d an hour later: %+v", i+1, d)
			}
		}
	})
}

func TestNoLimit(t *testing.T) {
	eachLimiter(t, func(t *testing.T, l ratelimit.Limiter, _ *clock.Fake) {
		if d := l.Take(t.Context(), "k", ratelimit.Limit{}); !d.Allowed || d.Limited() {
			t.Errorf("unlimited key: %+v", d)
		}
		if d := l.Take(t.Context(), "k", ratelimit.Limit{PerHour: 5}); !d.Allowed || d.Limit != 5 || d.Remaining != 4 {
			t.Errorf("hour alone: %+v", d)
		}
	})
}

func TestLoweredLimit(t *testing.T) {
	eachLimiter(t, func(t *testing.T, l ratelimit.Limiter, now *clock.Fake) {
		for range 5 {
			l.Take(t.Context(), "k", ratelimit.Limit{PerMinute: 10})
			now.Advance(time.Second)
		}
		d := l.Take(t.Context(), "k", ratelimit.Limit{PerMinute: 2})
		if d.Allowed || d.Remaining != 0 || d.RetryAfter != 58*time.Second {
			t.Errorf("got %+v, want a wait until only one call is left in the window", d)
		}
	})
}

// A random stream of calls against the definition: no minute and no hour may hold more admitted calls than the limit,
// and up to 4,096 no call may be refused while both have room.
func TestAgainstTheDefinition(t *testing.T) {
	for _, limit := range []ratelimit.Limit{{PerMinute: 7}, {PerMinute: 7, PerHour: 40}, {PerHour: 20},
		{PerMinute: 4096}, {PerMinute: 6000, PerHour: 50000}} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			now := clock.NewFake(start)
			l := ratelimit.NewLocal(now)
			random := rand.New(rand.NewPCG(1, 2))
			mean := time.Hour / time.Duration(max(60*limit.PerMinute, limit.PerHour))
			var admitted []time.Time
			minutes, hours := span{d: time.Minute}, span{d: time.Hour}
			for range 20_000 {
				now.Advance(time.Duration(random.Int64N(int64(mean) * 3 / 2)))
				minute, hour := minutes.count(admitted, now.Now()), hours.count(admitted, now.Now())
				room := (limit.PerMinute == 0 || minute < limit.PerMinute) &&
					(limit.PerHour == 0 || hour < limit.PerHour)
				d := l.Take(t.Context(), "k", limit)
				if d.Allowed && !room {
					t.Fatalf("admitted beyond the limit: %d in the minute, %d in the hour", minute, hour)
				}
				if !d.Allowed && room && limit.PerMinute <= 4096 {
					t.Fatalf("refused with room: %d in the minute, %d in the hour", minute, hour)
				}
				if d.Allowed {
					admitted = append(admitted, now.Now())
				}
			}
		})
	}
}

// span counts the calls of the last d; first is the oldest of them.
type span struct {
	d     time.Duration
	first int
}

func (s *span) count(calls []time.Time, now time.Time) int {
	for s.first < len(calls) && now.Sub(calls[s.first]) >= s.d {
		s.first++
	}
	return len(calls) - s.first
}

// Large limits err towards refusing, by a sixtieth at most.
func TestLargeLimit(t *testing.T) {
	now := clock.NewFake(start.Add(300 * time.Millisecond))
	l, limit := ratelimit.NewLocal(now), ratelimit.Limit{PerMinute: 100_000}
	for i := range 100_000 {
		if d := l.Take(t.Context(), "k", limit); !d.Allowed {
			t.Fatalf("call %d: %+v", i+1, d)
		}
	}
	if d := l.Take(t.Context(), "k", limit); d.Allowed || d.RetryAfter > 61*time.Second {
		t.Fatalf("beyond the limit: %+v", d)
	}
	now.Advance(time.Minute + time.Second)
	if d := l.Take(t.Context(), "k", limit); !d.Allowed || d.Remaining != 99_999 {
		t.Errorf("a minute and a sixtieth later: %+v", d)
	}
}

func TestTwoReplicasActAsOne(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		now := clock.NewFake(start)
		replicas := []ratelimit.Limiter{ratelimit.NewShared(d, now, testkit.Log(t)),
			ratelimit.NewShared(d, now, testkit.Log(t))}
		var admitted [2]atomic.Int32
		var wg sync.WaitGroup
		for worker := range 20 {
			wg.Go(func() {
				for range 10 {
					if replicas[worker%2].Take(context.Background(), "k",
						ratelimit.Limit{PerMinute: 60, PerHour: 1000}).Allowed {
						admitted[worker%2].Add(1)
					}
				}
			})
		}
		wg.Wait()
		if a, b := admitted[0].Load(), admitted[1].Load(); a+b != 60 {
			t.Errorf("two replicas admitted %d + %d calls, want 60", a, b)
		}
	})
}

func TestTwoReplicasWithChunksNeverExceedTheLimit(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		now := clock.NewFake(start)
		replicas := []ratelimit.Limiter{ratelimit.NewShared(d, now, testkit.Log(t)),
			ratelimit.NewShared(d, now, testkit.Log(t))}
		limit, admitted := ratelimit.Limit{PerMinute: 600}, 0
		for i := range 1300 {
			if replicas[i%2].Take(t.Context(), "k", limit).Allowed {
				admitted++
			}
			now.Advance(10 * time.Millisecond)
		}
		// What a replica still holds when the other finds nothing is at most a chunk.
		if admitted > 600 || admitted < 600-10 {
			t.Errorf("%d calls were admitted within 13 s, want 600 or a chunk less", admitted)
		}
	})
}

// A slow user of a large limit must not lose the rest of each chunk.
func TestUnusedChunksGoBack(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		now := clock.NewFake(start)
		l := ratelimit.NewShared(d, now, testkit.Log(t))
		limit := ratelimit.Limit{PerMinute: 600}
		for range 100 { // a burst, so that chunks grow
			l.Take(t.Context(), "k", limit)
		}
		for range 120 {
			now.Advance(time.Second)
			if d := l.Take(t.Context(), "k", limit); !d.Allowed {
				t.Fatalf("one call a second was refused: %+v", d)
			}
		}
		if d := l.Take(t.Context(), "k", limit); d.Remaining < 600-70 {
			t.Errorf("60 calls in the last minute left %d of 600", d.Remaining)
		}
	})
}

// TestSharedLimitOfAClockSetBack: a key that was refused is not so until its old time comes again, and the limit holds.
func TestSharedLimitOfAClockSetBack(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		now := clock.NewFake(start)
		l := ratelimit.NewShared(d, now, testkit.Log(t))
		limit := ratelimit.Limit{PerMinute: 3}
		for _, step := range []time.Duration{0, -24 * time.Hour, -24 * time.Hour, 72 * time.Hour} {
			now.Advance(step)
			for i, want := range []bool{true, true, true, false} {
				if got := l.Take(t.Context(), "k", limit); got.Allowed != want {
					t.Errorf("the clock set by %v, call %d: %+v", step, i+1, got)
				}
			}
		}
	})
}

func TestDatabaseAway(t *testing.T) {
	d := testkit.SQLite(t) // without the table
	now := clock.NewFake(start)
	l := ratelimit.NewShared(d, now, testkit.Log(t))
	for i, want := range []bool{true, true, false} {
		if got := l.Take(t.Context(), "k", ratelimit.Limit{PerMinute: 2}); got.Allowed != want {
			t.Errorf("call %d: %+v", i+1, got)
		}
	}
}

func BenchmarkLocal(b *testing.B) {
	l := ratelimit.NewLocal(clock.System{})
	b.ReportAllocs()
	for b.Loop() {
		l.Take(b.Context(), "k", ratelimit.Limit{PerMinute: 1_000_000_000, PerHour: 1_000_000_000})
	}
}

// TestRateLimitsDoNotPileUp: more keys than one statement deletes come and go every minute.
func TestRateLimitsDoNotPileUp(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		now := clock.NewFake(start)
		l := ratelimit.NewShared(d, now, testkit.Log(t))
		const perMinute = 1100
		l.Take(t.Context(), "hourly", ratelimit.Limit{PerMinute: 1, PerHour: 1})
		for minute := range 3 {
			for i := range perMinute {
				l.Take(t.Context(), fmt.Sprint(minute, "-", i), ratelimit.Limit{PerMinute: 60})
			}
			now.Advance(time.Minute + time.Microsecond)
			if err := l.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := rows(t, d); n != 1 {
				t.Errorf("%d rows a minute after the last call, want that of the hourly limit", n)
			}
		}
		if got := l.Take(t.Context(), "hourly", ratelimit.Limit{PerMinute: 1, PerHour: 1}); got.Allowed {
			t.Error("a limit that still counts was pruned")
		}
		now.Advance(time.Hour)
		if err := l.Prune(t.Context()); err != nil || rows(t, d) != 0 {
			t.Errorf("%d rows after an hour without calls, %v", rows(t, d), err)
		}
	})
}

func rows(t *testing.T, d *db.DB) (n int64) {
	t.Helper()
	if err := d.Read(t.Context()).Table("rate_limits").Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func TestQuota(t *testing.T) {
	now := clock.NewFake(start)
	q := ratelimit.Quota{Limiter: ratelimit.NewLocal(now), Limit: ratelimit.Limit{PerMinute: 2}}
	for _, want := range []bool{true, true, false} {
		if err := q.Admit(t.Context(), "k"); (err == nil) != want {
			t.Errorf("admitted: %v", err)
		}
	}
	var e *apierr.Error
	if err := q.Admit(t.Context(), "k"); !errors.As(err, &e) || e.Kind != apierr.RateLimited ||
		e.RetryAfter != time.Minute {
		t.Errorf("refused with %#v", e)
	}
	if err := q.Admit(t.Context(), "other"); err != nil {
		t.Error(err)
	}
}
