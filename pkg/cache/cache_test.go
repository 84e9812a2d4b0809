package cache_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// source counts its loads and answers with their number, or with err.
type source struct {
	loads atomic.Int32
	err   error
}

func (s *source) load(context.Context) (int, error) {
	n := s.loads.Add(1)
	return int(n), s.err
}

type link struct{ alive, late bool }

func (l *link) Alive() bool { return l.alive }

func (l *link) Prompt() bool { return l.alive && !l.late }

func TestAges(t *testing.T) {
	gone := errors.New("gone")
	tests := []struct {
		name   string
		age    time.Duration
		linked bool
		late   bool
		fails  error
		want   int
		cached bool
		err    error
	}{
		{name: "fresh", age: 59 * time.Second, linked: true, want: 1, cached: true},
		{name: "past its time", age: time.Minute, linked: true, want: 2},
		{name: "source away", age: time.Minute, linked: true, fails: apierr.ErrUnavailable, want: 1, cached: true},
		{name: "source out of time", age: time.Minute, linked: true, fails: context.DeadlineExceeded, want: 1,
			cached: true},
		{name: "source away for too long", age: 15 * time.Minute, linked: true, fails: apierr.ErrUnavailable,
			err: apierr.ErrUnavailable},
		{name: "source refuses", age: time.Minute, linked: true, fails: gone, err: gone},
		{name: "clock set forward", age: 24 * time.Hour, linked: true, want: 2},
		{name: "clock set back", age: -3 * time.Hour, linked: true, want: 2},
		{name: "clock set back, source away", age: -3 * time.Hour, linked: true, fails: apierr.ErrUnavailable,
			err: apierr.ErrUnavailable},
		{name: "no link, young", age: 4 * time.Second, want: 1, cached: true},
		{name: "no link, old", age: 5 * time.Second, want: 2},
		{name: "no link, source away", age: 5 * time.Second, fails: apierr.ErrUnavailable, err: apierr.ErrUnavailable},
		{name: "late, young", age: 4 * time.Second, linked: true, late: true, want: 1, cached: true},
		{name: "late, old", age: 5 * time.Second, linked: true, late: true, want: 2},
		{name: "late, as the source is away", age: 14 * time.Minute, linked: true, late: true,
			fails: apierr.ErrUnavailable, want: 1, cached: true},
		{name: "late, source away for too long", age: 15 * time.Minute, linked: true, late: true,
			fails: apierr.ErrUnavailable, err: apierr.ErrUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now, l, s := clock.NewFake(start), &link{alive: true}, &source{}
			c := cache.New[string, int](cache.Options{
				Capacity: 10,
				TTL:      time.Minute,
				Stale:    15 * time.Minute,
				Unlinked: 5 * time.Second,
				Link:     l,
			}, now)
			if _, cached, err := c.Fetch(t.Context(), "k", s.load); cached || err != nil {
				t.Fatalf("first fetch: cached %v, error %v", cached, err)
			}
			now.Advance(tt.age)
			l.alive, l.late, s.err = tt.linked, tt.late, tt.fails
			v, cached, err := c.Fetch(t.Context(), "k", s.load)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil && (v != tt.want || cached != tt.cached) {
				t.Errorf("got %d, cached %v; want %d, %v", v, cached, tt.want, tt.cached)
			}
		})
	}
}

func TestErrorsAreNotKept(t *testing.T) {
	s := &source{err: errors.New("no")}
	c := cache.New[string, int](cache.Options{Capacity: 10, TTL: time.Minute}, clock.NewFake(start))
	for range 2 {
		if _, _, err := c.Fetch(t.Context(), "k", s.load); err == nil {
			t.Fatal("an error was lost")
		}
	}
	if got := s.loads.Load(); got != 2 {
		t.Errorf("%d loads, want 2", got)
	}
}

func TestRefusalForgetsTheOldValue(t *testing.T) {
	now, s := clock.NewFake(start), &source{}
	c := cache.New[string, int](cache.Options{Capacity: 10, TTL: time.Minute, Stale: time.Hour}, now)
	mustFetch(t, c, s)
	now.Advance(time.Minute)
	s.err = errors.New("revoked")
	if _, _, err := c.Fetch(t.Context(), "k", s.load); err == nil {
		t.Fatal("the refusal was lost")
	}
	s.err = apierr.ErrUnavailable
	if v, _, err := c.Fetch(t.Context(), "k", s.load); err == nil {
		t.Errorf("the value %d came back after the source had refused it", v)
	}
}

func TestStaleIsRetriedOnceASecond(t *testing.T) {
	now, s := clock.NewFake(start), &source{}
	c := cache.New[string, int](cache.Options{Capacity: 10, TTL: time.Minute, Stale: time.Hour}, now)
	mustFetch(t, c, s)
	now.Advance(time.Minute)
	s.err = apierr.ErrUnavailable
	for range 10 {
		mustFetch(t, c, s)
	}
	if got := s.loads.Load(); got != 2 {
		t.Errorf("%d loads, want 2: a source that is away must not be asked by every call", got)
	}
	now.Advance(time.Second)
	s.err = nil
	if v := mustFetch(t, c, s); v != 3 {
		t.Errorf("got %d after the source came back, want 3", v)
	}
}

// TestASourceIsAskedAgainAfterTheClockWasSetBack, not only once the clock comes to where the source was away.
func TestASourceIsAskedAgainAfterTheClockWasSetBack(t *testing.T) {
	now, s := clock.NewFake(start), &source{}
	c := cache.New[string, int](cache.Options{Capacity: 10, TTL: time.Minute, Stale: time.Hour}, now)
	mustFetch(t, c, s)
	now.Advance(time.Minute)
	s.err = apierr.ErrUnavailable
	mustFetch(t, c, s)
	s.err = nil
	now.Advance(-24 * time.Hour)
	mustFetch(t, c, s)
	now.Advance(time.Minute)
	if v := mustFetch(t, c, s); v != 4 {
		t.Errorf("got %d a minute later, want 4: the value is past its time, and the source there", v)
	}
}

func mustFetch(t *testing.T, c *cache.Cache[string, int], s *source) int {
	t.Helper()
	v, _, err := c.Fetch(t.Context(), "k", s.load)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDropDuringLoadWins(t *testing.T) {
	for name, drop := range map[string]func(*cache.Cache[string, int]){
		"one": func(c *cache.Cache[string, int]) { c.Drop("k") },
		"all": func(c *cache.Cache[string, int]) { c.DropAll() },
	} {
		t.Run(name, func(t *testing.T) {
			c := cache.New[string, int](cache.Options{Capacity: 10, TTL: time.Minute}, clock.NewFake(start))
			v, _, err := c.Fetch(t.Context(), "k", func(context.Context) (int, error) {
				drop(c)
				return 7, nil
			})
			if v != 7 || err != nil {
				t.Fatalf("the caller got %d, %v", v, err)
			}
			if _, ok := c.Peek("k"); ok {
				t.Error("a value loaded before the drop was kept")
			}
		})
	}
}

// A caller that comes after the drop must not be given the load from before it.
func TestDropStartsAnotherLoad(t *testing.T) {
	c := cache.New[string, int](cache.Options{Capacity: 10, TTL: time.Minute}, clock.NewFake(start))
	began, finish := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _, _ = c.Fetch(context.Background(), "k", func(context.Context) (int, error) {
			close(began)
			<-finish
			return 1, nil
		})
	})
	<-began
	c.Drop("k")
	v, _, err := c.Fetch(t.Context(), "k", func(context.Context) (int, error) { return 2, nil })
	close(finish)
	wg.Wait()
	if v != 2 || err != nil {
		t.Errorf("got %d, %v; want the second load", v, err)
	}
	if kept, ok := c.Peek("k"); !ok || kept != 2 {
		t.Errorf("kept %d, %v; want the second load", kept, ok)
	}
}

func TestCallersShareOneLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release := &source{}, make(chan struct{})
		c := cache.New[string, int](cache.Options{Capacity: 10, TTL: time.Minute}, clock.NewFake(start))
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				v, _, err := c.Fetch(t.Context(), "k", func(ctx context.Context) (int, error) {
					<-release
					return s.load(ctx)
				})
				if v != 1 || err != nil {
					t.Errorf("got %d, %v", v, err)
				}
			})
		}
		synctest.Wait() // until all of them wait
		close(release)
		callers.Wait()
	})
}

// meanwhile is a link that is asked while a caller decides whether what it has found will do.
type meanwhile struct{ happens func() }

func (m *meanwhile) Alive() bool { return true }

func (m *meanwhile) Prompt() bool {
	if happens := m.happens; happens != nil {
		m.happens = nil
		happens()
	}
	return true
}

// A caller that has looked in vain before a load ended must not load again.
func TestALoadThatLandedMeanwhileIsTaken(t *testing.T) {
	now, s, m := clock.NewFake(start), &source{}, &meanwhile{}
	c := cache.New[string, int](cache.Options{Capacity: 10, TTL: time.Minute, Unlinked: time.Second, Link: m}, now)
	mustFetch(t, c, s)
	now.Advance(time.Minute)
	m.happens = func() { mustFetch(t, c, s) } // by another caller
	if v := mustFetch(t, c, s); v != 2 || s.loads.Load() != 2 {
		t.Errorf("got %d after %d loads, want 2", v, s.loads.Load())
	}
}

func TestCallerThatLeavesDoesNotSpoilTheLoad(t *testing.T) {
	c := cache.New[string, int](cache.Options{Capacity: 10, TTL: time.Minute}, clock.NewFake(start))
	ctx, cancel := context.WithCancel(t.Context())
	v, _, err := c.Fetch(ctx, "k", func(ctx context.Context) (int, error) {
		cancel()
		return 1, ctx.Err()
	})
	if v != 1 || err != nil {
		t.Errorf("got %d, %v", v, err)
	}
}

func TestPanicWakesThoseWhoWait(t *testing.T) {
	c := cache.New[string, int](cache.Options{Capacity: 10, TTL: time.Minute}, clock.NewFake(start))
	func() {
		defer func() { _ = recover() }()
		_, _, _ = c.Fetch(t.Context(), "k", func(context.Context) (int, error) { panic("broken") })
	}()
	if v, _, err := c.Fetch(t.Context(), "k", func(context.Context) (int, error) { return 2, nil }); v != 2 ||
		err != nil {
		t.Errorf("got %d, %v after a panic", v, err)
	}
}

// Loads and drops race; after the last change and its drop, nobody may be served the value from before.
func TestDropRace(t *testing.T) {
	c := cache.New[string, int](cache.Options{Capacity: 10, TTL: time.Hour}, clock.System{})
	var truth atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, _, _ = c.Fetch(context.Background(), "k", func(context.Context) (int, error) {
					return int(truth.Load()), nil
				})
			}
		})
	}
	for i := range 2000 {
		truth.Store(int64(i))
		c.Drop("k")
		v, _, _ := c.Fetch(t.Context(), "k", func(context.Context) (int, error) { return int(truth.Load()), nil })
		if v != i {
			t.Errorf("got %d after %d was announced", v, i)
			break
		}
	}
	close(stop)
	wg.Wait()
}

func TestHitAllocatesNothing(t *testing.T) {
	c := cache.New[[32]byte, *int](cache.Options{
		Capacity: 10,
		TTL:      time.Hour,
		Unlinked: time.Second,
		Link:     &link{alive: true},
	}, clock.System{})
	load := func(context.Context) (*int, error) { return new(int), nil }
	k, ctx := [32]byte{1}, t.Context()
	if _, _, err := c.Fetch(ctx, k, load); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _, _ = c.Fetch(ctx, k, load) }); n >= 1 {
		t.Errorf("%v allocations per hit", n)
	}
}

func BenchmarkHit(b *testing.B) {
	c := cache.New[[32]byte, *int](cache.Options{
		Capacity: 10,
		TTL:      time.Hour,
		Unlinked: time.Second,
		Link:     &link{alive: true},
	}, clock.System{})
	load := func(context.Context) (*int, error) { return new(int), nil }
	k, ctx := [32]byte{1}, b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.Fetch(ctx, k, load); err != nil {
			b.Fatal(err)
		}
	}
}

func TestCounts(t *testing.T) {
	c := cache.New[string, int](cache.Options{Capacity: 10, TTL: time.Minute}, clock.System{})
	for range 3 {
		if _, _, err := c.Fetch(t.Context(), "k", (&source{}).load); err != nil {
			t.Fatal(err)
		}
	}
	if hits, misses := c.Counts(); hits != 2 || misses != 1 {
		t.Errorf("%d hits, %d misses; want 2 and 1", hits, misses)
	}
}

// TestWhatIsLoadedApartIsNotKept, nor shared with who waits for the same value.
func TestWhatIsLoadedApartIsNotKept(t *testing.T) {
	type apart struct{}
	c := cache.New[string, int](cache.Options{
		Capacity: 10, TTL: time.Hour, Apart: func(ctx context.Context) bool { return ctx.Value(apart{}) != nil },
	}, clock.NewFake(time.Now()))
	within := context.WithValue(t.Context(), apart{}, true)
	fetch := func(ctx context.Context, loaded, want int) {
		t.Helper()
		v, cached, err := c.Fetch(ctx, "k", func(context.Context) (int, error) { return loaded, nil })
		if err != nil || v != want || cached != (loaded != want) {
			t.Errorf("got %d, cached %v (%v), want %d", v, cached, err, want)
		}
	}
	fetch(within, 1, 1)
	fetch(within, 2, 2)
	fetch(t.Context(), 3, 3)
	fetch(within, 4, 3)
	c.Drop("k")
	fetch(within, 5, 5)
}
