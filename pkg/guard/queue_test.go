package guard

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// beyond makes a rig whose address here is beyond its limit, and in which look-ups of the keys that package secret made
// go on when the test lets them. began says which one is looked at.
func beyond(t *testing.T) (r *rig, began chan string, goOn chan struct{}) {
	r = newRig(t, 1)
	r.want(r.call(here, "wrong"), 401)
	r.identify = func(credential string) Credential {
		return Credential{sum: secret.Hash(credential), made: secret.WellFormed("sk_", credential)}
	}
	began, goOn = make(chan string, 2*madeBurst), make(chan struct{})
	r.right = func(credential string) error {
		began <- credential
		<-goOn
		return errWrong
	}
	return r, began, goOn
}

// TestFloodWaitsInOrder: beyond the limit those who have a place in the queue are looked at in the order in which they
// came, one for each that is done; the others are refused at once, and leave the order as it is.
func TestFloodWaitsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, began, goOn := beyond(t)
		statuses := make(chan int, 1000)
		var order []string
		arrive := func() {
			key := secret.New("sk_")
			order = append(order, key)
			go func() { statuses <- r.call(here, key).Code }()
			synctest.Wait()
		}
		for range madeBurst {
			arrive()
		}
		left, leave := context.WithCancel(t.Context())
		impatient := r.request(here, order[5]).WithContext(left)
		leave()
		r.want(r.do(impatient), 429) // no place was left
		for range 500 {
			r.want(r.call(here, secret.New("sk_")), 429)
		}
		for i, want := range order {
			if n := len(began); n != 1 {
				t.Fatalf("%d look-ups began after %d were done, want one", n, i)
			}
			if got := <-began; got != want {
				t.Fatalf("look-up %d is of another key than came as number %d", i, i)
			}
			goOn <- struct{}{}
			synctest.Wait()
		}
		if len(began) != 0 || len(statuses) != madeBurst {
			t.Errorf("%d look-ups more, %d of %d calls answered", len(began), len(statuses), madeBurst)
		}
	})
}

// TestWhoLeavesTheQueueHoldsNobodyUp: neither those behind nor, once all are gone, those that come later.
func TestWhoLeavesTheQueueHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, began, goOn := beyond(t)
		left, leave := context.WithCancel(t.Context())
		statuses := make(chan int, 3)
		call := func(ctx context.Context) string {
			key := secret.New("sk_")
			go func() { statuses <- r.do(r.request(here, key).WithContext(ctx)).Code }()
			synctest.Wait()
			return key
		}
		call(t.Context())
		call(left)
		last := call(t.Context())
		<-began
		leave()
		if status := <-statuses; status != 503 {
			t.Errorf("who left got %d", status)
		}
		goOn <- struct{}{}
		if got := <-began; got != last {
			t.Error("another than the one behind is looked at")
		}
		goOn <- struct{}{}
		synctest.Wait()
		if s := r.attempts.addresses["192.0.2.1"]; s.busy != 0 || s.waiting.Len() != 0 {
			t.Errorf("%d places are taken, %d wait", s.busy, s.waiting.Len())
		}
	})
}

// TestFloodOfMadeUpKeysCostsBoundedLookUps: whether its clients wait for the answers or not.
func TestFloodOfMadeUpKeysCostsBoundedLookUps(t *testing.T) {
	const limit, seconds = 10, 5
	for name, abandoned := range map[string]bool{"awaited": false, "abandoned": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, limit)
			r.identify = func(credential string) Credential { return Made(secret.Hash(credential)) }
			if abandoned {
				r.right = func(string) error { return context.Canceled }
			}
			flood := func() {
				for range 300 {
					left, leave := context.WithCancel(t.Context())
					if abandoned {
						leave()
					}
					r.do(r.request(here, secret.New("sk_")).WithContext(left))
					leave()
				}
			}
			flood()
			for range seconds {
				r.clock.Advance(time.Second)
				flood()
			}
			if got, most := r.looked.Load(), int32(limit+madeBurst+seconds*madePerSecond); got > most ||
				!abandoned && got < most {
				t.Errorf("%d look-ups, want %d", got, most)
			}
			limited := r.call(here, secret.New("sk_"))
			r.want(limited, 429)
			if limited.Header().Get("Retry-After") != "1" {
				t.Errorf("Retry-After %q", limited.Header().Get("Retry-After"))
			}
			r.want(r.call("192.0.2.2:1", "right"), map[bool]int{false: 200, true: 503}[abandoned])
			r.clock.Advance(time.Hour)
			r.right = func(string) error { return nil }
			r.want(r.call(here, "honest"), 200)
		})
	}
}
