package rpc

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// way fails the first calls as told, and carries the rest.
type way struct {
	fails []error
	tried atomic.Int64
}

func (w *way) RoundTrip(r *http.Request) (*http.Response, error) {
	if n := int(w.tried.Add(1)); n <= len(w.fails) {
		return nil, w.fails[n-1]
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestRetries(t *testing.T) {
	refused := error(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
	reset := error(&net.OpError{Op: "read", Err: syscall.ECONNRESET})
	full := func(context.Context, string) (string, error) { return "", apierr.ErrUnavailable }
	for name, tt := range map[string]struct {
		level   connect.IdempotencyLevel
		fails   []error
		handler func(context.Context, string) (string, error)
		tries   int64
		fine    bool
	}{
		"nothing fails":              {tries: 1, fine: true},
		"refused":                    {fails: []error{refused, refused}, tries: 3, fine: true},
		"refused for good":           {fails: []error{refused, refused, refused, refused, refused}, tries: 4},
		"reset, it may have arrived": {fails: []error{reset}, tries: 1},
		"reset, without side effects": {level: connect.IdempotencyNoSideEffects, fails: []error{reset, reset},
			tries: 3, fine: true},
		"reset, idempotent": {level: connect.IdempotencyIdempotent, fails: []error{reset}, tries: 2,
			fine: true},
		"reset for good": {level: connect.IdempotencyIdempotent,
			fails: []error{reset, reset, reset, reset, reset}, tries: 4},
		"the peer says that it is too busy": {level: connect.IdempotencyIdempotent, handler: full, tries: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newPeer(t)
			if tt.handler != nil {
				s.handler = tt.handler
			}
			w := &way{fails: tt.fails}
			opts := append(NewClientOptions(license, "auth"), connect.WithIdempotency(tt.level))
			got, err := s.call(t.Context(), w, "hello", opts...)
			if tt.fine && (err != nil || got != "hello") || !tt.fine && !errors.Is(err, apierr.ErrUnavailable) {
				t.Errorf("got %q, %v", got, err)
			}
			if n := w.tried.Load(); n != tt.tries {
				t.Errorf("tried %d times, want %d", n, tt.tries)
			}
		})
	}
}

// TestRetriesEndWithTheCaller: who has gone is not called for.
func TestRetriesEndWithTheCaller(t *testing.T) {
	s := newPeer(t)
	ctx, cancel := context.WithCancel(t.Context())
	w := &way{}
	gone := roundTripper(func(r *http.Request) (*http.Response, error) {
		w.tried.Add(1)
		cancel()
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	})
	if _, err := s.call(ctx, gone, "hello"); err == nil || w.tried.Load() != 1 {
		t.Errorf("tried %d times: %v", w.tried.Load(), err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestSilentPeer: a call on a link that swallows everything ends with the time of its caller, and the next one after
// the link is back succeeds on its own connection.
func TestSilentPeer(t *testing.T) {
	s := newPeer(t)
	link := testkit.NewLink(t, strings.TrimPrefix(s.url, "http://"))
	s.url = "http://" + link.Addr
	transport := HTTPClient(nil).Transport
	if _, err := s.call(t.Context(), transport, "hello"); err != nil {
		t.Fatal(err)
	}
	link.Silence()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := s.call(ctx, transport, "hello"); !errors.Is(err, apierr.ErrUnavailable) {
		t.Errorf("a call to a silent peer: %v", err)
	}
	link.Strand()
	link.Heal()
	if _, err := s.call(t.Context(), transport, "hello"); err != nil {
		t.Errorf("after the link was replaced: %v", err)
	}
}
