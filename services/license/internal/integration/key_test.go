package integration

import (
	"context"
	"testing"
	"time"

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
