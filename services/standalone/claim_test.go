package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/bustest"
	"github.com/latchkey-dev/latchkey/pkg/bus/inproc"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// TestOneProcessWithoutABroker: two on a PostgreSQL would not tell each other of revocations, whichever lacks a broker.
// Who is refused has changed nothing.
func TestOneProcessWithoutABroker(t *testing.T) {
	const nobody = "amqp://guest:guest@127.0.0.1:1/"
	for name, tt := range map[string]struct {
		claim  func(*db.DB, context.Context, string) (*db.Claim, error)
		broker string
		want   string
	}{
		"neither has a broker":    {(*db.DB).Claim, "", "then start each with LATCHKEY_AMQP_URL"},
		"the second has a broker": {(*db.DB).Claim, nobody, "Stop it first"},
		"the first has a broker":  {(*db.DB).ClaimShared, "", "then start each with LATCHKEY_AMQP_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			url := testkit.Postgres(t)
			t.Setenv("LATCHKEY_DATABASE_URL", url)
			t.Setenv("LATCHKEY_AMQP_URL", tt.broker)
			d := testkit.Open(t, db.Config{URL: url})
			first, err := tt.claim(d, t.Context(), claimName)
			if err != nil {
				t.Fatal(err)
			}
			defer first.Close()
			second := append(anyPort(t.TempDir()), "--start-timeout=1s")
			err = run(t.Context(), second, io.Discard, testkitWriter{t})
			if !errors.Is(err, db.ErrClaimed) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the second process: %v", err)
			}
			var schemas int
			const migrated = `SELECT count(*) FROM pg_namespace WHERE nspname IN ('auth', 'license', 'bus')`
			if err := d.Read(t.Context()).Raw(migrated).Scan(&schemas).Error; err != nil || schemas != 0 {
				t.Errorf("it made %d schemas before it was refused: %v", schemas, err)
			}
		})
	}
}

// TestClaimIsGivenBack: a process has it while it runs, and no longer.
func TestClaimIsGivenBack(t *testing.T) {
	url := testkit.Postgres(t)
	t.Setenv("LATCHKEY_DATABASE_URL", url)
	d := testkit.Open(t, db.Config{URL: url})
	dir := t.TempDir()
	for range 2 {
		_, _, stop := start(t, anyPort(dir))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := d.ClaimShared(ctx, claimName); !errors.Is(err, db.ErrClaimed) {
			t.Errorf("beside a process without a broker: %v", err)
		}
		cancel()
		stop()
	}
}

// TestBusOfABrokerNeedsNoClaim: a process with a broker goes on for as long as its database is away.
func TestBusOfABrokerNeedsNoClaim(t *testing.T) {
	for broker, want := range map[string]bool{"": true, "amqp://broker/": false} {
		s := &suite{settings: &settings{}, claim: &db.Claim{}}
		s.settings.AMQPURL = broker
		if _, rests := s.claimed(&inproc.Bus{}).(claimedBus); rests != want {
			t.Errorf("broker %q: the bus rests without the claim: %t, want %t", broker, rests, want)
		}
	}
}

// TestBusWithoutItsClaim: a process that lost the claim publishes nothing of what another wrote, and trusts its caches
// as without a broker, until it has the claim again: then what they hold is dropped.
func TestBusWithoutItsClaim(t *testing.T) {
	database := testkit.Open(t, db.Config{URL: "sqlite:" + t.TempDir() + "/bus.db"}, inproc.Migrations)
	inner, err := inproc.New(inproc.Config{DB: database})
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	held := &fakeClaim{held: true, changed: make(chan struct{})}
	var gaps, events atomic.Int64
	b, link := claimedBus{Bus: inner, held: held.Held, await: held.Await}, bus.NewLink()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- b.Watch(ctx, bus.Watch{
			Types:   []string{"#"},
			OnEvent: func(event.Event) { events.Add(1) },
			OnGap:   func() { gaps.Add(1) },
			Link:    link,
		})
	}()
	for _, want := range []bool{true, false, true} {
		before := gaps.Load()
		if want && !held.Held() && link.Alive() {
			t.Fatal("the link lives without the claim")
		}
		held.set(want)
		testkit.Eventually(t, 20*time.Second, func() error {
			if link.Alive() != want || gaps.Load() == before && before > 0 {
				return errors.New("the link does not follow the claim")
			}
			return nil
		})
		if err := b.Publish(t.Context(), bustest.Activations(t, 1)); (err == nil) != want {
			t.Errorf("held %t: publish: %v", want, err)
		}
	}
	testkit.Eventually(t, 20*time.Second, func() error {
		if n := events.Load(); n != 2 {
			return errors.New("it does not show what is published while the claim is held")
		}
		return nil
	})
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the end of a watch: %v", err)
	}
}

// fakeClaim is held as the test says.
type fakeClaim struct {
	mu      sync.Mutex
	held    bool
	changed chan struct{}
}

func (c *fakeClaim) set(held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = held
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *fakeClaim) Held() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

func (c *fakeClaim) Await(ctx context.Context, held bool) bool {
	for {
		c.mu.Lock()
		now, changed := c.held, c.changed
		c.mu.Unlock()
		if now == held {
			return ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
