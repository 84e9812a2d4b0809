package httpx

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestDeadlineContext(t *testing.T) {
	far := time.Now().Add(time.Hour)
	t.Run("cancel ends it and what was made of it", func(t *testing.T) {
		ctx := newDeadlineContext(t.Context(), far)
		child, stop := context.WithCancel(ctx)
		defer stop()
		ctx.cancel()
		<-child.Done()
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("ended by %v", ctx.Err())
		}
	})
	t.Run("who begins to wait after the end waits for nothing", func(t *testing.T) {
		ctx := newDeadlineContext(t.Context(), far)
		ctx.cancel()
		<-ctx.Done()
		if ctx.Err() == nil {
			t.Error("no error after the end")
		}
	})
	t.Run("its deadline ends it", func(t *testing.T) {
		ctx := newDeadlineContext(t.Context(), time.Now().Add(-time.Second))
		if <-ctx.Done(); !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("ended by %v", ctx.Err())
		}
	})
	t.Run("its parent ends it", func(t *testing.T) {
		parent, stop := context.WithCancel(t.Context())
		ctx := newDeadlineContext(parent, far)
		stop()
		if <-ctx.Done(); !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("ended by %v", ctx.Err())
		}
	})
	t.Run("the earlier deadline counts", func(t *testing.T) {
		near := far.Add(-time.Minute)
		parent, stop := context.WithDeadline(t.Context(), near)
		defer stop()
		if d, ok := newDeadlineContext(parent, far).Deadline(); !ok || !d.Equal(near) {
			t.Errorf("%v, %v", d, ok)
		}
		if d, ok := newDeadlineContext(t.Context(), near).Deadline(); !ok || !d.Equal(near) {
			t.Errorf("%v, %v", d, ok)
		}
	})
	t.Run("values are those of the parent, before and after somebody waits", func(t *testing.T) {
		ctx := newDeadlineContext(context.WithValue(t.Context(), requestKey{}, 1), far)
		before := ctx.Value(requestKey{})
		_ = ctx.Done()
		if after := ctx.Value(requestKey{}); before != 1 || after != 1 {
			t.Errorf("%v, %v", before, after)
		}
	})
}
