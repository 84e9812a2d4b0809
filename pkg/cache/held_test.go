package cache_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

func TestWhatIsHeldEndsWithItsEntry(t *testing.T) {
	for name, end := range map[string]func(c *cache.Cache[string, int], now *clock.Fake, l *link){
		"drop":     func(c *cache.Cache[string, int], _ *clock.Fake, _ *link) { c.Drop("k") },
		"drop all": func(c *cache.Cache[string, int], _ *clock.Fake, _ *link) { c.DropAll() },
		"age":      func(_ *cache.Cache[string, int], now *clock.Fake, _ *link) { now.Advance(time.Minute) },
		"no link": func(_ *cache.Cache[string, int], now *clock.Fake, l *link) {
			now.Advance(5 * time.Second)
			l.alive = false
		},
		"another value": func(c *cache.Cache[string, int], now *clock.Fake, _ *link) {
			now.Advance(time.Minute)
			if _, _, err := c.Fetch(context.Background(), "k", new(source).load); err != nil {
				t.Fatal(err)
			}
			now.Advance(-time.Minute) // or age alone would end it
		},
	} {
		t.Run(name, func(t *testing.T) {
			now, l := clock.NewFake(start), &link{alive: true}
			c := cache.New[string, int](cache.Options{
				Capacity: 10,
				TTL:      time.Minute,
				Unlinked: 5 * time.Second,
				Link:     l,
			}, now)
			if _, held := c.Hold("k"); held {
				t.Fatal("held before it was loaded")
			}
			if _, _, err := c.Fetch(t.Context(), "k", new(source).load); err != nil {
				t.Fatal(err)
			}
			h, _ := c.Hold("k")
			if v, ok := h.Value(); v != 1 || !ok {
				t.Fatalf("holds %d, %v", v, ok)
			}
			end(c, now, l)
			if _, ok := h.Value(); ok {
				t.Error("is still held")
			}
		})
	}
	if _, ok := (cache.Held[string, int]{}).Value(); ok {
		t.Error("nothing is held")
	}
}

// Which entries leave a full cache is its own decision; those that left are not held any longer, and the others are.
func TestEvictionEndsWhatIsHeld(t *testing.T) {
	const many, bound = 1000, 10_000
	opts := cache.Options{Bytes: bound, TTL: time.Minute}
	c := cache.NewSized(opts, clock.NewFake(start), func(int, int) int { return 8 })
	var all []cache.Held[int, int]
	for i := range many {
		if _, _, err := c.Fetch(t.Context(), i, new(source).load); err != nil {
			t.Fatal(err)
		}
		if h, ok := c.Hold(i); ok {
			all = append(all, h)
		}
	}
	if n := c.Bytes(); n > bound {
		t.Fatalf("%d bytes of %d: it evicts too late", n, bound)
	}
	kept, held := 0, 0
	for i := range many {
		if _, ok := c.Peek(i); ok {
			kept++
		}
	}
	for _, h := range all {
		if _, ok := h.Value(); ok {
			held++
		}
	}
	if kept == 0 || kept == many || held != kept {
		t.Errorf("%d entries are kept of %d, and %d are held", kept, many, held)
	}
}

// DropAll takes the entries in portions; none may be left.
func TestDropAllLeavesNothing(t *testing.T) {
	const many = 20_000
	c := cache.New[int, int](cache.Options{Capacity: 2 * many, TTL: time.Minute}, clock.NewFake(start))
	for i := range many {
		if _, _, err := c.Fetch(t.Context(), i, new(source).load); err != nil {
			t.Fatal(err)
		}
	}
	c.DropAll()
	for i := range many {
		if _, ok := c.Peek(i); ok {
			t.Fatalf("%d of %d is still there", i, many)
		}
	}
}

func TestASizedCacheStaysWithinItsBytes(t *testing.T) {
	const bound, each = 1 << 20, 1000
	c := cache.NewSized(cache.Options{Bytes: bound, TTL: time.Minute}, clock.NewFake(start), func(_ int, v []byte) int {
		return len(v)
	})
	fetch := func(k, size int) bool {
		v, cached, err := c.Fetch(t.Context(), k, func(context.Context) ([]byte, error) {
			return make([]byte, size), nil
		})
		if err != nil || len(v) != size {
			t.Fatalf("value %d has %d bytes, %v", k, len(v), err)
		}
		return cached
	}
	for k := range 10 * bound / each {
		fetch(k, each)
	}
	if n := c.Bytes(); n > bound || n < bound*3/4 {
		t.Errorf("the values take %d bytes of %d", n, bound)
	}
	fetch(-1, 2*bound)
	if n := c.Bytes(); n > bound || fetch(-1, 2*bound) {
		t.Errorf("a value that does not fit was kept: %d bytes", n)
	}
}

// TestAHeldValueThatHadToLeaveTakesNoMemory: or the bound would not be one.
func TestAHeldValueThatHadToLeaveTakesNoMemory(t *testing.T) {
	c := cache.New[int, *int](cache.Options{Capacity: 10, TTL: time.Minute}, clock.NewFake(start))
	collected := make(chan struct{})
	load := func(context.Context) (*int, error) {
		v := new(int)
		runtime.AddCleanup(v, func(done chan struct{}) { close(done) }, collected)
		return v, nil
	}
	if _, _, err := c.Fetch(t.Context(), 1, load); err != nil {
		t.Fatal(err)
	}
	held, ok := c.Hold(1)
	if !ok {
		t.Fatal("not held")
	}
	c.DropAll()
	testkit.Eventually(t, 10*time.Second, func() error {
		runtime.GC()
		select {
		case <-collected:
			return nil
		default:
			return errors.New("still in memory")
		}
	})
	if _, ok := held.Value(); ok {
		t.Error("there is a value still")
	}
}
