package httpx

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
)

func TestDeadline(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Timeout = 20 * time.Millisecond })
	wait := func(c *gin.Context) error {
		child, cancel := context.WithCancel(c)
		defer cancel()
		<-child.Done()
		return c.Request.Context().Err()
	}
	r.GET("/wait", Wrap(wait))
	wantError(t, r.do(t, "GET", "/wait", ""), 503, "SERVICE_UNAVAILABLE")

	var left time.Duration
	r.GET("/longer", Timeout(time.Hour), func(c *gin.Context) {
		deadline, _ := c.Request.Context().Deadline()
		left = time.Until(deadline)
	})
	r.do(t, "GET", "/longer", "")
	if left < 59*time.Minute {
		t.Errorf("%v are left of an hour", left)
	}
}

// TestDeadlineMovesForWhoWaitedAlready: a guard that looked at the deadline does not fix it for the route behind it.
func TestDeadlineMovesForWhoWaitedAlready(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Timeout = time.Minute })
	guard := func(c *gin.Context) { _ = c.Request.Context().Err() }
	var child context.Context
	r.GET("/longer", guard, Timeout(time.Hour), func(c *gin.Context) {
		ctx, cancel := context.WithCancel(c.Request.Context())
		_ = cancel
		child = ctx
		if deadline, _ := child.Deadline(); time.Until(deadline) < 59*time.Minute || child.Err() != nil {
			t.Errorf("ends %v, %v", deadline, child.Err())
		}
	})
	r.do(t, "GET", "/longer", "")
	<-child.Done()
}

// TestSlowBodyLeavesTheTimeOfTheRequest: the time in which a slow client sends its body is not taken from that of the
// work.
func TestSlowBodyLeavesTheTimeOfTheRequest(t *testing.T) {
	const limit = time.Minute
	r := newRig(t, func(o *Options) { o.Timeout = limit })
	r.POST("/", Wrap(func(c *gin.Context) error {
		started := requestFrom(c.Request.Context())
		started.start = started.start.Add(-time.Hour) // as if the body had taken an hour
		if _, err := Body(c); err != nil {
			return err
		}
		if deadline, _ := c.Request.Context().Deadline(); time.Until(deadline) < limit-10*time.Second {
			t.Errorf("%v are left of %v", time.Until(deadline), limit)
		}
		return c.Request.Context().Err()
	}))
	if res := r.do(t, "POST", "/", "{}"); res.Code != http.StatusOK {
		t.Errorf("answered %d", res.Code)
	}
}

func TestContextEndsWithTheRequest(t *testing.T) {
	r := newRig(t, nil)
	var before, after context.Context
	r.GET("/", func(c *gin.Context) {
		before = c.Request.Context()
		var cancel context.CancelFunc
		after, cancel = context.WithTimeout(c.Request.Context(), time.Hour)
		_ = cancel
		if err := before.Err(); err != nil {
			t.Errorf("ended while the request ran: %v", err)
		}
	})
	r.do(t, "GET", "/", "")
	<-before.Done()
	<-after.Done()
	if !errors.Is(before.Err(), context.Canceled) || !errors.Is(after.Err(), context.Canceled) {
		t.Errorf("got %v and %v", before.Err(), after.Err())
	}
}

func TestContextFirstLookedAtAfterTheRequest(t *testing.T) {
	r := newRig(t, nil)
	var ctx context.Context
	r.GET("/", func(c *gin.Context) { ctx = c.Request.Context() })
	r.do(t, "GET", "/", "")
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("got %v", ctx.Err())
	}
}

func TestContextKeepsAnEarlierDeadline(t *testing.T) {
	r := newRig(t, nil)
	soon := time.Now().Add(time.Second)
	parent, cancel := context.WithDeadline(t.Context(), soon)
	defer cancel()
	r.GET("/", func(c *gin.Context) {
		if d, ok := c.Request.Context().Deadline(); !ok || !d.Equal(soon) {
			t.Errorf("the deadline is %v", d)
		}
	})
	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(parent))
}
