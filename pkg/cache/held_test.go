package cache_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
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
			var p cache.Place[int]
			if c.Hold("k", &p); holds(c, &p) {
				t.Fatal("held before it was loaded")
			}
			if _, _, err := c.Fetch(t.Context(), "k", new(source).load); err != nil {
				t.Fatal(err)
			}
			c.Hold("k", &p)
			if v, ok := c.Held(&p); v != 1 || !ok {
				t.Fatalf("holds %d, %v", v, ok)
			}
			end(c, now, l)
			if holds(c, &p) {
				t.Error("is still held")
			}
		})
	}
}

func holds[K comparable, V any](c *cache.Cache[K, V], p *cache.Place[V]) bool {
	_, ok := c.Held(p)
	return ok
}

// TestAValueIsHeldInOnePlace, the last: the cache empties no other when it lets go of the value.
func TestAValueIsHeldInOnePlace(t *testing.T) {
	c := cache.New[string, int](cache.Options{Capacity: 10, TTL: time.Minute}, clock.NewFake(start))
	if _, _, err := c.Fetch(t.Context(), "k", new(source).load); err != nil {
		t.Fatal(err)
	}
	var first, second cache.Place[int]
	c.Hold("k", &first)
	c.Hold("k", &first)
	if !holds(c, &first) {
		t.Error("the place is empty after it was taken again")
	}
	c.Hold("k", &second)
	if holds(c, &first) || !holds(c, &second) {
		t.Errorf("held in the first place: %t, in the second: %t", holds(c, &first), holds(c, &second))
	}
}

// TestDropsAndHoldsAtOnce: whichever comes first, what was dropped is held nowhere.
func TestDropsAndHoldsAtOnce(t *testing.T) {
	c := cache.New[string, int](cache.Options{Capacity: 10, TTL: time.Minute}, clock.NewFake(start))
	var places [4]cache.Place[int]
	for range 2000 {
		if _, _, err := c.Fetch(t.Context(), "k", new(source).load); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range places {
			all.Go(func() { c.Hold("k", &places[i]) })
		}
		all.Go(func() { c.Drop("k") })
		all.Wait()
		for i := range places {
			if holds(c, &places[i]) {
				t.Fatal("what was dropped is still held")
			}
		}
	}
}

// Which entries leave a full cache is its own decision; those that left are not held any longer, and the others are.
func TestEvictionEndsWhatIsHeld(t *testing.T) {
	const many, bound = 1000, 10_000
	opts := cache.Options{Bytes: bound, TTL: time.Minute}
	c := cache.NewSized(opts, clock.NewFake(start), func(int, int) int { return 8 })
	all := make([]cache.Place[int], many)
	for i := range many {
		if _, _, err := c.Fetch(t.Context(), i, new(source).load); err != nil {
			t.Fatal(err)
		}
		c.Hold(i, &all[i])
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
	for i := range all {
		if holds(c, &all[i]) {
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
	var p cache.Place[*int]
	c.Hold(1, &p)
	if !holds(c, &p) {
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
	if holds(c, &p) {
		t.Error("there is a value still")
	}
}
