package token_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// publisher is what auth publishes, and how often it was asked.
type publisher struct {
	mu      sync.Mutex
	keys    map[string]ed25519.PublicKey
	err     error
	fetches atomic.Int32
	// held, when not nil, holds fetches back.
	held chan struct{}
}

func (p *publisher) publish(err error, kids ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys, p.err = map[string]ed25519.PublicKey{}, err
	for _, kid := range kids {
		p.keys[kid] = keyOf(kid)
	}
}

func (p *publisher) fetch(ctx context.Context) ([]byte, error) {
	p.fetches.Add(1)
	if p.held != nil {
		select {
		case <-p.held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return token.EncodeJWKS(p.keys), p.err
}

// keyOf is a public key that is known by its kid.
func keyOf(kid string) ed25519.PublicKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, kid)
	return ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
}

type link struct{ down, late atomic.Bool }

func (l *link) Alive() bool { return !l.down.Load() }

func (l *link) Prompt() bool { return l.Alive() && !l.late.Load() }

// outcome is "ok", the reason of a refusal, or the kind of failure.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case reason(err) != "":
		return reason(err)
	case apierr.From(err).Kind == apierr.Unavailable:
		return "unavailable"
	}
	return err.Error()
}

func TestRemoteKeys(t *testing.T) {
	down := errors.New("down")
	type step struct {
		name    string
		after   time.Duration // by the clock
		change  func(p *publisher, l *link, r *token.RemoteKeys)
		kid     string
		want    string
		fetches int32 // by this call, and what it began for later ones
	}
	publish := func(err error, kids ...string) func(*publisher, *link, *token.RemoteKeys) {
		return func(p *publisher, _ *link, _ *token.RemoteKeys) { p.publish(err, kids...) }
	}
	steps := []step{
		{name: "no set yet and auth away", change: publish(down), kid: "a", want: "unavailable", fetches: 1},
		{name: "first", change: publish(nil, "a"), kid: "a", want: "ok", fetches: 1},
		{name: "kept", kid: "a", want: "ok"},
		{name: "a key that signs at once is fetched, however new the set is",
			change: publish(nil, "a", "b"), kid: "b", want: "ok", fetches: 1},
		{name: "unknown to auth too", kid: "c", want: "key", fetches: 1},
		{name: "unknown while auth is away: no verdict",
			change: publish(down), kid: "c", want: "unavailable", fetches: 1},
		{name: "known while auth is away", kid: "a", want: "ok"},
		{name: "old: serves, and is fetched behind", after: 5 * time.Minute, kid: "a", want: "ok", fetches: 1},
		{name: "very old while auth is away", after: 48 * time.Hour, kid: "a", want: "ok", fetches: 1},
		{name: "auth is back: the old set serves once more",
			change: publish(nil, "b"), kid: "a", want: "ok", fetches: 1},
		{name: "and then no more", kid: "a", want: "key", fetches: 1},
		{name: "the clock was set back", after: -time.Hour, kid: "b", want: "ok", fetches: 1},
		{name: "revoked", change: func(p *publisher, _ *link, r *token.RemoteKeys) {
			p.publish(nil, "c")
			r.OnEvent(told(t, &eventsv1.SigningKeyRevoked{Kid: "b"}))
		}, kid: "b", want: "key", fetches: 1},
		{name: "another event changes nothing", change: func(p *publisher, _ *link, r *token.RemoteKeys) {
			r.OnEvent(told(t, &eventsv1.ApiKeyRevoked{ApiKeyId: "b"}))
		}, kid: "c", want: "ok"},
		{name: "revoked while nobody could tell", change: func(p *publisher, _ *link, r *token.RemoteKeys) {
			p.publish(nil, "d")
			r.OnGap()
		}, kid: "c", want: "key", fetches: 1},
		{name: "the bus takes nothing of auth: young", after: 2 * time.Second,
			change: func(p *publisher, l *link, _ *token.RemoteKeys) {
				l.late.Store(true)
				p.publish(down)
			}, kid: "d", want: "ok"},
		{name: "the bus takes nothing of auth, which is away: serves, fetched behind", after: time.Hour, kid: "d",
			want: "ok", fetches: 1},
		{name: "the bus takes auth's events again", change: func(p *publisher, l *link, r *token.RemoteKeys) {
			l.late.Store(false)
			p.publish(nil, "d")
			r.OnGap()
		}, kid: "d", want: "ok", fetches: 1},
		{name: "without the bus, in the first five seconds", after: 5*time.Second - time.Microsecond,
			change: func(p *publisher, l *link, _ *token.RemoteKeys) {
				l.down.Store(true)
				p.publish(down)
			}, kid: "d", want: "ok", fetches: 1},
		{name: "without the bus, then", after: time.Microsecond, change: publish(nil, "e"), kid: "d", want: "key",
			fetches: 1},
		{name: "without the bus and without auth",
			after: 5 * time.Second, change: publish(down), kid: "e", want: "unavailable", fetches: 1},
	}
	synctest.Test(t, func(t *testing.T) {
		now, p, l := clock.NewFake(start), &publisher{}, &link{}
		r := token.NewRemoteKeys(p.fetch, now, l)
		for _, s := range steps {
			before := p.fetches.Load()
			now.Advance(s.after)
			if s.change != nil {
				s.change(p, l, r)
			}
			key, err := r.PublicKey(t.Context(), s.kid)
			if got := outcome(err); got != s.want || err == nil && !key.Equal(keyOf(s.kid)) {
				t.Errorf("%s: %s, want %s", s.name, got, s.want)
			}
			time.Sleep(time.Second) // of the bubble: what was begun for later calls ends
			if n := p.fetches.Load() - before; n != s.fetches {
				t.Errorf("%s: %d fetches, want %d", s.name, n, s.fetches)
			}
		}
	})
}

func told(t *testing.T, m proto.Message) event.Event {
	t.Helper()
	e, err := event.New("latchkey/auth", "subject", start, m)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Callers share fetches, and each leaves with its own context.
func TestWaitersLeaveWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{held: make(chan struct{})}
		r := token.NewRemoteKeys(p.fetch, clock.NewFake(start), nil)
		begun := time.Now()
		var impatient, patient sync.WaitGroup
		for i := range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Millisecond)
			impatient.Go(func() {
				defer cancel()
				if _, err := r.PublicKey(ctx, "a"); outcome(err) != "unavailable" {
					t.Errorf("gave up with %v", err)
				}
			})
			patient.Go(func() {
				if _, err := r.PublicKey(t.Context(), "a"); outcome(err) != "unavailable" {
					t.Errorf("ended with %v", err)
				}
			})
		}
		impatient.Wait()
		if took := time.Since(begun); took != 100*time.Millisecond { // the bubble's time is exact
			t.Errorf("the last of those with a deadline of up to 100ms left after %s", took)
		}
		patient.Wait()
		// Those who came after the first fetch had started, if any did, share the second.
		took := time.Since(begun)
		time.Sleep(2 * time.Second) // of the bubble: a fetch whose callers have left ends by itself
		if n := p.fetches.Load(); took > 2*time.Second || n < 1 || n > 2 {
			t.Errorf("a hundred callers waited %s for %d fetches", took, n)
		}
	})
}

// Whatever a flood of tokens names, and whether auth answers, refuses or hangs, fetches are few.
func TestUnknownKidsCannotMakeAFetchEach(t *testing.T) {
	const seconds = 10
	for name, make := range map[string]func() *publisher{
		"answers": func() *publisher { return &publisher{} },
		"fails":   func() *publisher { return &publisher{err: errors.New("down")} },
		"hangs":   func() *publisher { return &publisher{held: make(chan struct{})} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := make()
				r := token.NewRemoteKeys(p.fetch, clock.System{}, nil)
				ctx, cancel := context.WithTimeout(t.Context(), seconds*time.Second)
				defer cancel()
				var flood sync.WaitGroup
				var calls atomic.Int32
				for worker := range 50 {
					flood.Go(func() {
						for i := 0; ctx.Err() == nil; i++ {
							if _, err := r.PublicKey(ctx, fmt.Sprint(worker, "-", i)); err == nil {
								t.Error("a key that does not exist was found")
							}
							calls.Add(1)
						}
					})
				}
				flood.Wait()
				time.Sleep(2 * time.Second)
				if n := p.fetches.Load(); n > 5*seconds+2 || calls.Load() <= n {
					t.Errorf("%d fetches in %d seconds for %d calls", n, seconds, calls.Load())
				}
			})
		})
	}
}

func TestRemoteKeysConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{}
		p.publish(nil, "k1")
		r := token.NewRemoteKeys(p.fetch, clock.NewFake(start), nil)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := r.PublicKey(t.Context(), "k1"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := p.fetches.Load(); n > 2 { // the second for those who came when the first had started
			t.Errorf("%d fetches", n)
		}
	})
}

// A set that was fetched while it changed is not kept.
func TestDropDuringAFetchWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{held: make(chan struct{})}
		p.publish(nil, "old")
		r := token.NewRemoteKeys(p.fetch, clock.NewFake(start), nil)
		var first sync.WaitGroup
		first.Go(func() { _, _ = r.PublicKey(t.Context(), "old") })
		synctest.Wait() // until it is being fetched
		r.Drop()
		close(p.held)
		first.Wait()
		p.publish(nil)
		if _, err := r.PublicKey(t.Context(), "old"); outcome(err) != "key" {
			t.Errorf("the set from before the change was kept: %v", err)
		}
	})
}

// changing is a key set that changes.
type changing struct {
	keys
	err error
}

func (c *changing) PublicKey(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	if c.err != nil {
		return nil, c.err
	}
	return c.keys.PublicKey(ctx, kid)
}

// What a verifier remembers of a token does not outlive its key.
func TestRememberedTokensEndWithTheirKey(t *testing.T) {
	public, private := newKey(t)
	other, _ := newKey(t)
	set := &changing{keys: keys{"k1": public}}
	v := token.NewVerifier(set, clock.NewFake(start), claims.AudienceAccess)
	raw := sign(t, private, access())
	for _, s := range []struct {
		name string
		keys keys
		err  error
		want string
	}{
		{"passes", keys{"k1": public}, nil, "ok"},
		{"from memory", keys{"k1": public}, nil, "ok"},
		{"nobody can tell whether the key stands", nil, apierr.ErrUnavailable, "unavailable"},
		{"revoked", keys{}, nil, "key"},
		{"another key of that name", keys{"k1": other}, nil, "key"},
		{"back", keys{"k1": public}, nil, "ok"},
	} {
		set.keys, set.err = s.keys, s.err
		if got := outcome(v.Verify(t.Context(), raw, &claims.Access{})); got != s.want {
			t.Errorf("%s: %s, want %s", s.name, got, s.want)
		}
	}
}
