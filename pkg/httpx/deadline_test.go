package httpx

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestDeadlineContext(t *testing.T) {
	now := time.Now()
	const long, short = time.Hour, DefaultTimeout
	t.Run("cancel ends it and what was made of it", func(t *testing.T) {
		ctx := newDeadlineContext(t.Context(), now, long)
		child, stop := context.WithCancel(ctx)
		defer stop()
		ctx.cancel()
		<-child.Done()
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("ended by %v", ctx.Err())
		}
	})
	t.Run("who begins to wait after the end waits for nothing", func(t *testing.T) {
		ctx := newDeadlineContext(t.Context(), now, long)
		ctx.cancel()
		<-ctx.Done()
		if ctx.Err() == nil {
			t.Error("no error after the end")
		}
	})
	t.Run("its deadline ends it", func(t *testing.T) {
		ctx := newDeadlineContext(t.Context(), now.Add(-time.Minute), short)
		if <-ctx.Done(); !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("ended by %v", ctx.Err())
		}
	})
	t.Run("a caller who leaves ends a long one", func(t *testing.T) {
		parent, stop := context.WithCancel(t.Context())
		ctx := newDeadlineContext(parent, now, long)
		stop()
		if <-ctx.Done(); !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("ended by %v", ctx.Err())
		}
	})
	t.Run("a caller who leaves does not end a short one", func(t *testing.T) {
		parent, stop := context.WithCancel(t.Context())
		ctx := newDeadlineContext(parent, time.Now().Add(time.Hour), short)
		child, end := context.WithCancel(ctx)
		defer end()
		stop()
		if ctx.Err() != nil || child.Err() != nil {
			t.Errorf("ended by %v, %v", ctx.Err(), child.Err())
		}
		ctx.cancel()
		<-child.Done()
	})
	t.Run("the earlier deadline counts", func(t *testing.T) {
		for _, timeout := range []time.Duration{long, short} {
			parent, stop := context.WithDeadline(t.Context(), now.Add(-time.Second))
			ctx := newDeadlineContext(parent, now, timeout)
			if d, ok := ctx.Deadline(); !ok || !d.Equal(now.Add(-time.Second)) {
				t.Errorf("%v, %v", d, ok)
			}
			if <-ctx.Done(); !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				t.Errorf("ended by %v", ctx.Err())
			}
			stop()
		}
		if d, ok := newDeadlineContext(t.Context(), now, short).Deadline(); !ok || !d.Equal(now.Add(short)) {
			t.Errorf("%v, %v", d, ok)
		}
	})
	t.Run("values are those of the parent, before and after somebody waits", func(t *testing.T) {
		ctx := newDeadlineContext(context.WithValue(t.Context(), requestKey{}, 1), now, short)
		before := ctx.Value(requestKey{})
		_ = ctx.Done()
		if after := ctx.Value(requestKey{}); before != 1 || after != 1 {
			t.Errorf("%v, %v", before, after)
		}
	})
}
