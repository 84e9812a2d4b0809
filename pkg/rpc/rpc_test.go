package rpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/trace"
)

type text = wrapperspb.StringValue

const (
	path    = "/test.v1.TestService/"
	skipped = path + "Other" // a procedure that nobody may ask
)

// license is asking with either of two keys, as while its key is being changed; analytics may ask nothing.
var (
	license, licenseNext, analytics = NewIdentity("license"), NewIdentity("license"), NewIdentity("analytics")

	peers = Peers{
		"license":   {license.public(), licenseNext.public()},
		"analytics": {analytics.public()},
	}
	callers = Callers{path + "Call": {"license"}}
)

// peer is a service "auth" with one procedure that does what its handler says.
type peer struct {
	log     bytes.Buffer
	url     string
	engine  http.Handler
	handler func(ctx context.Context, in string) (string, error)
}

func newPeer(t *testing.T) *peer {
	s := &peer{handler: func(_ context.Context, in string) (string, error) { return in, nil }}
	call := func(ctx context.Context, req *connect.Request[text]) (*connect.Response[text], error) {
		out, err := s.handler(ctx, req.Msg.GetValue())
		if err != nil {
			return nil, err
		}
		return connect.NewResponse(wrapperspb.String(out)), nil
	}
	mux := http.NewServeMux()
	for _, procedure := range []string{path + "Call", skipped} {
		mux.Handle(procedure, connect.NewUnaryHandler(procedure, call, Serve("auth", peers, callers)...))
	}
	e := httpx.NewEngine(httpx.Options{Service: "auth", Log: obs.NewLogger(&s.log, "info", "json")})
	httpx.Mount(e, path, mux)
	s.engine = e
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *peer) call(
	ctx context.Context, rt http.RoundTripper, in string, opts ...connect.ClientOption,
) (string, error) {
	if opts == nil {
		opts = NewClientOptions(license, "auth")
	}
	client := connect.NewClient[text, text](HTTPClient(rt), s.url+path+"Call", opts...)
	res, err := client.CallUnary(ctx, connect.NewRequest(wrapperspb.String(in)))
	if err != nil {
		return "", err
	}
	return res.Msg.GetValue(), nil
}

func TestCall(t *testing.T) {
	s := newPeer(t)
	s.handler = func(_ context.Context, in string) (string, error) { return "you said " + in, nil }
	if got, err := s.call(t.Context(), nil, "hello"); err != nil || got != "you said hello" {
		t.Errorf("got %q %v", got, err)
	}
}

func TestEveryKeyOfAPeerIsAccepted(t *testing.T) {
	s := newPeer(t)
	for _, id := range []Identity{license, licenseNext} {
		if _, err := s.call(t.Context(), nil, "x", NewClientOptions(id, "auth")...); err != nil {
			t.Error(err)
		}
	}
}

func TestRefusedCallsAreFaultsBetweenUs(t *testing.T) {
	s := newPeer(t)
	called := false
	s.handler = func(context.Context, string) (string, error) { called = true; return "", nil }
	for name, opts := range map[string][]connect.ClientOption{
		"unknown key":      NewClientOptions(NewIdentity("license"), "auth"),
		"unknown service":  NewClientOptions(NewIdentity("sales"), "auth"),
		"another's key":    NewClientOptions(Identity{"license", analytics.Key}, "auth"),
		"not on the list":  NewClientOptions(analytics, "auth"),
		"another audience": NewClientOptions(license, "admin"),
		"no token":         {connect.WithInterceptors(connect.UnaryInterceptorFunc(clientErrors))},
		"no key":           NewClientOptions(Identity{Service: "license"}, "auth"),
	} {
		_, err := s.call(t.Context(), nil, "x", opts...)
		var e *apierr.Error
		if !errors.As(err, &e) || e.Kind != apierr.Internal || e.Err == nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if called {
		t.Error("a refused call reached the handler")
	}
	if !strings.Contains(s.log.String(), "analytics may not ask "+path+"Call") {
		t.Errorf("the log does not say who may not ask what:\n%s", s.log.String())
	}
}

// TestProceduresAreClosedUnlessListed: the list names who may ask; a procedure without an entry answers nobody.
func TestProceduresAreClosedUnlessListed(t *testing.T) {
	s := newPeer(t)
	client := connect.NewClient[text, text](HTTPClient(nil), s.url+skipped, NewClientOptions(license, "auth")...)
	if _, err := client.CallUnary(t.Context(), connect.NewRequest(wrapperspb.String("x"))); err == nil {
		t.Error("it was answered")
	}
}

func TestErrorsCrossTheHop(t *testing.T) {
	s := newPeer(t)
	for kind := apierr.Internal; kind <= apierr.Unavailable; kind++ {
		sent := apierr.New(kind, "A_CODE", "a message").
			With("limits", map[string]any{"max": 5, "big": uint64(1 << 60)}).WithRetryAfter(90 * time.Second).
			WithCause(errors.New("deep inside"))
		s.handler = func(context.Context, string) (string, error) { return "", sent }
		_, err := s.call(t.Context(), nil, "x")
		var got *apierr.Error
		if !errors.As(err, &got) {
			t.Fatalf("%v: got %T", kind, err)
		}
		if got.Kind != kind || got.Code != "A_CODE" || got.Message != "a message" || got.RetryAfter != 90*time.Second {
			t.Errorf("%v: got %+v", kind, got)
		}
		w := httptest.NewRecorder()
		e := httpx.NewEngine(httpx.Options{})
		e.GET("/", httpx.Wrap(func(*gin.Context) error { return err }))
		e.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != kind.Status() || !strings.Contains(w.Body.String(),
			`"limits":{"big":1152921504606846976,"max":5}`) {
			t.Errorf("%v: the user sees %d %s", kind, w.Code, w.Body)
		}
		ours := kind == apierr.Internal || kind == apierr.Unavailable
		if strings.Contains(err.Error(), "deep inside") != ours {
			t.Errorf("%v: the caller's log shows %v", kind, err)
		}
	}
}

func TestUntypedFailures(t *testing.T) {
	s := newPeer(t)
	tests := map[string]struct {
		handler func(context.Context, string) (string, error)
		kind    apierr.Kind
	}{
		"plain error": {func(context.Context, string) (string, error) { return "", errors.New("deep inside") },
			apierr.Internal},
		"bad request": {func(context.Context, string) (string, error) {
			return "", connect.NewError(connect.CodeInvalidArgument, errors.New("deep inside"))
		}, apierr.Internal},
		"unauthenticated": {func(context.Context, string) (string, error) {
			return "", connect.NewError(connect.CodeUnauthenticated, errors.New("deep inside"))
		}, apierr.Internal},
		"deadline": {func(context.Context, string) (string, error) { return "", context.DeadlineExceeded },
			apierr.Unavailable},
		"panic": {func(context.Context, string) (string, error) { panic("deep inside") }, apierr.Internal},
	}
	for name, tt := range tests {
		s.handler, s.log = tt.handler, bytes.Buffer{}
		_, err := s.call(t.Context(), nil, "x")
		var e *apierr.Error
		if !errors.As(err, &e) || e.Kind != tt.kind || e.Err == nil || strings.Contains(e.Message, "inside") {
			t.Errorf("%s: got %v", name, err)
		}
		if name != "deadline" && !strings.Contains(s.log.String(), "deep inside") {
			t.Errorf("%s: the peer's log is silent: %s", name, s.log.String())
		}
	}
}

func TestPeerAway(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	overloaded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(503)
	}))
	defer overloaded.Close()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client leaves
		<-r.Context().Done()
	}))
	defer silent.Close()
	strange := httptest.NewServer(http.NotFoundHandler())
	defer strange.Close()
	for _, tt := range []struct {
		name, url string
		rt        http.RoundTripper
		kind      apierr.Kind
	}{
		{"connection refused", gone.URL, nil, apierr.Unavailable},
		{"503", overloaded.URL, nil, apierr.Unavailable},
		{"time out", silent.URL, nil, apierr.Unavailable},
		{"not in this process", "http://auth", httpx.InProcess{}, apierr.Unavailable},
		{"something else answers", strange.URL, nil, apierr.Internal},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if tt.name == "time out" {
			ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		}
		_, err := (&peer{url: tt.url}).call(ctx, tt.rt, "x")
		cancel()
		var e *apierr.Error
		if !errors.As(err, &e) || e.Kind != tt.kind || e.Err == nil {
			t.Errorf("%s: got %v", tt.name, err)
		}
		if tt.kind == apierr.Unavailable && !errors.Is(err, apierr.ErrUnavailable) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestCallsHaveADeadline(t *testing.T) {
	s := newPeer(t)
	s.url = "http://auth"
	var left time.Duration
	s.handler = func(ctx context.Context, _ string) (string, error) {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return "", nil
	}
	synctest.Test(t, func(t *testing.T) {
		if _, err := s.call(t.Context(), httpx.InProcess{"auth": s.engine}, "x"); err != nil {
			t.Fatal(err)
		}
		if left > callTimeout || left < callTimeout-time.Millisecond {
			t.Errorf("%v are left of %v", left, callTimeout)
		}
	})
}

func TestMessageCaps(t *testing.T) {
	s := newPeer(t)
	large := strings.Repeat("x", maxMessage+1)
	if _, err := s.call(t.Context(), nil, large); err == nil {
		t.Error("a huge request was sent")
	}
	plain := connect.WithInterceptors(connect.UnaryInterceptorFunc(
		(&caller{signer: newSigner(license, "auth", clock.System{})}).wrap))
	if _, err := s.call(t.Context(), nil, large, plain); err == nil {
		t.Error("a huge request was taken")
	}
	s.handler = func(context.Context, string) (string, error) { return large, nil }
	if _, err := s.call(t.Context(), nil, "x"); err == nil {
		t.Error("a huge answer was sent")
	}
}

func TestRequestIDAndTraceTravel(t *testing.T) {
	s := newPeer(t)
	var seen string
	s.handler = func(ctx context.Context, _ string) (string, error) {
		seen = httpx.RequestID(ctx) + " " + trace.Parent(ctx)
		return "", nil
	}
	e := httpx.NewEngine(httpx.Options{})
	e.GET("/", httpx.Wrap(func(c *gin.Context) error {
		_, err := s.call(c.Request.Context(), nil, "x")
		return err
	}))
	req := httptest.NewRequest("GET", "/", nil)
	req.Header.Set("X-Request-ID", "abc-1")
	e.ServeHTTP(httptest.NewRecorder(), req)
	if seen != "abc-1 " {
		t.Errorf("the peer saw %q", seen)
	}
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	req.Header.Set("traceparent", parent)
	e.ServeHTTP(httptest.NewRecorder(), req)
	if seen != "abc-1 "+parent {
		t.Errorf("the peer saw %q", seen)
	}
}

func TestTokenIsNotCarriedElsewhere(t *testing.T) {
	var got string
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
	}))
	defer thief.Close()
	moved := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer moved.Close()
	if _, err := (&peer{url: moved.URL}).call(t.Context(), nil, "x"); err == nil || got != "" {
		t.Errorf("got %v, and the token went to %q", err, got)
	}
}
