package ratelimit

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

func TestUsageSurvivesTheDatabase(t *testing.T) {
	u := newUsage()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC).UnixMicro()
	for range 1000 {
		at += 70_001
		u.take(at, 0, 1, Limit{PerMinute: 500, PerHour: 5000})
	}
	got, err := decodeUsage(u.encode())
	if err != nil {
		t.Fatal(err)
	}
	u.minute.runs, u.minute.head = u.minute.runs[u.minute.head:], 0
	if diff := cmp.Diff(u, got, cmp.AllowUnexported(usage{}, window{}, run{})); diff != "" {
		t.Error(diff)
	}
	if size := len(u.encode()); size > 10_000 {
		t.Errorf("%d calls take %d bytes", u.minute.total+u.hour.total, size)
	}
}

func TestIdleKeysAreForgotten(t *testing.T) {
	now := clock.NewFake(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	l := NewLocal(now).(*local)
	for i := range 10_000 {
		l.Take(t.Context(), fmt.Sprint(i), Limit{PerMinute: 5, PerHour: 10})
	}
	now.Advance(time.Hour)
	for i := range 1000 {
		l.Take(t.Context(), fmt.Sprint("later", i), Limit{PerMinute: 5})
	}
	if err := l.Prune(t.Context()); err != nil || l.kept() != 1000 {
		t.Errorf("%d keys are kept, want the 1000 in use, %v", l.kept(), err)
	}
}

func (l *local) kept() (n int) {
	for i := range l.shards {
		n += len(l.shards[i].keys)
	}
	return n
}

func TestMemoryFollowsTheCallsInTheWindow(t *testing.T) {
	u := newUsage()
	at := int64(1_000_000_000)
	for range 100_000 {
		at += 600_000 // 100 a minute
		u.advance(at)
		u.take(at, 0, 1, Limit{PerMinute: 200})
	}
	if c := cap(u.minute.runs); c > 1000 {
		t.Errorf("100 calls a minute keep room for %d", c)
	}
}

func TestClockSetBack(t *testing.T) {
	now := clock.NewFake(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	l := NewLocal(now)
	for range 5 {
		l.Take(t.Context(), "k", Limit{PerMinute: 5})
	}
	now.Advance(-30 * time.Second)
	if d := l.Take(t.Context(), "k", Limit{PerMinute: 5}); d.Allowed {
		t.Error("a small step back empties the window")
	}
	now.Advance(-24 * time.Hour)
	if d := l.Take(t.Context(), "k", Limit{PerMinute: 5}); !d.Allowed {
		t.Errorf("a day's step back blocks the key: %+v", d)
	}
}

func FuzzDecodeUsage(f *testing.F) {
	u := newUsage()
	u.take(1_000_000, 0, 3, Limit{PerMinute: 5, PerHour: 6})
	f.Add(u.encode())
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := decodeUsage(b)
		if err == nil {
			u.take(2_000_000, 0, 1, Limit{PerMinute: 5, PerHour: 6})
		}
	})
}

// TestLocalIsBounded: keys of which strangers can make any number do not fill the memory.
func TestLocalIsBounded(t *testing.T) {
	now := clock.NewFake(time.Unix(1e9, 0))
	l := NewLocal(now).(*local)
	for i := range 2 * shards * keysKept {
		l.Take(t.Context(), strconv.Itoa(i), Limit{PerMinute: 1})
	}
	if n := l.kept(); n > shards*keysKept {
		t.Errorf("%d keys are kept", n)
	}
}
