package integration

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// keptKeys keeps one key, and until when its callers wait.
type keptKeys struct {
	key   []byte
	until time.Time
}

func (k *keptKeys) ResponseKey(context.Context, string) ([]byte, error) { return k.key, nil }

func (k *keptKeys) AddResponseKey(ctx context.Context, _ string, key []byte, _ time.Time) ([]byte, error) {
	k.until, _ = ctx.Deadline()
	k.key = key
	return key, nil
}

// TestTheFirstKeyHasTheTimeOfTheRequest: to make it takes seconds on a busy computer, longer than a load of the cache
// may, which then had the request answered 503, and the next one as well.
func TestTheFirstKeyHasTheTimeOfTheRequest(t *testing.T) {
	kept := &keptKeys{}
	keys := NewResponseKeys(kept, clock.NewFake(time.Now()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	first, err := keys.Key(ctx, "any")
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := ctx.Deadline(); !kept.until.Equal(want) {
		t.Errorf("the key was kept until %v, want %v", kept.until, want)
	}
	if again, err := keys.Key(ctx, "any"); err != nil || !again.Equal(first.PrivateKey) {
		t.Errorf("the next call has another key (%v)", err)
	}
}

// refusing keeps nothing, as in maintenance mode, and remembers what it was to keep.
type refusing struct {
	mu      sync.Mutex
	offered map[string]bool
}

func (r *refusing) ResponseKey(context.Context, string) ([]byte, error) { return nil, nil }

func (r *refusing) AddResponseKey(_ context.Context, _ string, key []byte, _ time.Time) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offered[string(key)] = true
	return nil, apierr.ErrMaintenance
}

// TestOneKeyIsMade, however many ask for it while none can be stored: that costs too much to be had for nothing.
func TestOneKeyIsMade(t *testing.T) {
	store := &refusing{offered: map[string]bool{}}
	keys := NewResponseKeys(store, clock.NewFake(time.Now()))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := keys.Key(t.Context(), "any"); !errors.Is(err, apierr.ErrMaintenance) {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	if len(store.offered) != 1 {
		t.Errorf("%d keys were made", len(store.offered))
	}
}
