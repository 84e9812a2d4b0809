package db

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// short is the context of a client's call.
func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestGateRefusesWhoWaitedTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		leave, err := g.enter(short(t))
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if _, err := g.enter(short(t)); !errors.Is(err, apierr.ErrUnavailable) {
			t.Errorf("a second call at the only connection: %v", err)
		}
		if waited := time.Since(begun); waited != queueTime {
			t.Errorf("refused after %v, want %v", waited, queueTime)
		}
		leave()
		if leave, err = g.enter(short(t)); err != nil {
			t.Errorf("the connection is free again: %v", err)
		}
		leave()
		if waiting, refused := g.waiting.Load(), g.refused.Load(); waiting != 0 || refused != 1 {
			t.Errorf("%d waiting, %d refused", waiting, refused)
		}
	})
}

func TestGateBoundsItsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		if _, err := g.enter(short(t)); err != nil {
			t.Fatal(err)
		}
		for range maxQueue {
			go func() { _, _ = g.enter(short(t)) }()
		}
		synctest.Wait()
		begun := time.Now()
		if _, err := g.enter(short(t)); !errors.Is(err, apierr.ErrUnavailable) || time.Since(begun) != 0 {
			t.Errorf("one more than the queue holds: %v after %v", err, time.Since(begun))
		}
		synctest.Wait()
	})
}

// TestGateKeepsRoomForShortWork: reports and bulk changes take half of the connections at most, and wait for theirs.
func TestGateKeepsRoomForShortWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(4)
		patient, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		release := make(chan struct{})
		entered := make(chan struct{}, 9)
		for range 9 {
			go func() {
				leave, err := g.enter(patient)
				if err != nil {
					t.Errorf("long work was refused: %v", err)
					return
				}
				entered <- struct{}{}
				<-release
				leave()
			}()
		}
		synctest.Wait()
		if len(entered) != 2 {
			t.Errorf("%d of 4 connections have long work, want 2", len(entered))
		}
		for range 2 {
			if _, err := g.enter(short(t)); err != nil {
				t.Errorf("no room for short work: %v", err)
			}
		}
		time.Sleep(10 * queueTime) // of the bubble's clock
		close(release)
		synctest.Wait()
		if len(entered) != 9 {
			t.Errorf("%d of 9 got their turn", len(entered))
		}
	})
}

// TestGateLeavesNothingBehind: anyone who gives up while waiting holds nothing.
func TestGateLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		leave, err := g.enter(ctx)
		if err != nil {
			t.Fatal(err)
		}
		gone, leaveEarly := context.WithCancel(ctx)
		result := make(chan error, 1)
		go func() { _, err := g.enter(gone); result <- err }()
		synctest.Wait()
		leaveEarly()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		leave()
		if len(g.slots) != 0 || len(g.long) != 0 {
			t.Errorf("%d connections and %d for long work are still taken", len(g.slots), len(g.long))
		}
	})
}
