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
	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/trace"
)

type text = wrapperspb.StringValue

const (
	current  = secret.Secret("current-internal-secret-0123456789")
	previous = secret.Secret("previous-internal-secret-0123456789")
	path     = "/test.v1.TestService/"
)

// sister is a service "auth" with one procedure that does what its handler says.
type sister struct {
	log     bytes.Buffer
	url     string
	engine  http.Handler
	handler func(ctx context.Context, in string) (string, error)
}

func newSister(t *testing.T) *sister {
	s := &sister{handler: func(_ context.Context, in string) (string, error) { return in, nil }}
	h := connect.NewUnaryHandler(path+"Call", func(ctx context.Context, req *connect.Request[text]) (*connect.Response[text], error) {
		out, err := s.handler(ctx, req.Msg.GetValue())
		if err != nil {
			return nil, err
		}
		return connect.NewResponse(wrapperspb.String(out)), nil
	}, Serve("auth", []secret.Secret{current, previous})...)
	e := httpx.NewEngine(httpx.Options{Service: "auth", Log: obs.NewLogger(&s.log, "info", "json")})
	httpx.Mount(e, path, h)
	s.engine = e
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *sister) call(ctx context.Context, rt http.RoundTripper, in string, opts ...connect.ClientOption) (string, error) {
	if opts == nil {
		opts = NewClientOptions(Identity{"license", current}, "auth")
	}
	client := connect.NewClient[text, text](HTTPClient(rt), s.url+path+"Call", opts...)
	res, err := client.CallUnary(ctx, connect.NewRequest(wrapperspb.String(in)))
	if err != nil {
		return "", err
	}
	return res.Msg.GetValue(), nil
}

func TestCall(t *testing.T) {
	s := newSister(t)
	s.handler = func(ctx context.Context, in string) (string, error) { return Caller(ctx) + " said " + in, nil }
	if got, err := s.call(t.Context(), nil, "hello"); err != nil || got != "license said hello" {
		t.Errorf("got %q %v", got, err)
	}
}

func TestBothSecretsAreAccepted(t *testing.T) {
	s := newSister(t)
	for _, sec := range []secret.Secret{current, previous} {
		if _, err := s.call(t.Context(), nil, "x", NewClientOptions(Identity{"license", sec}, "auth")...); err != nil {
			t.Error(err)
		}
	}
}

func TestRefusedCallsAreFaultsBetweenUs(t *testing.T) {
	s := newSister(t)
	called := false
	s.handler = func(context.Context, string) (string, error) { called = true; return "", nil }
	for name, opts := range map[string][]connect.ClientOption{
		"other secret":   NewClientOptions(Identity{"license", "other-internal-secret-0123456789"}, "auth"),
		"other audience": NewClientOptions(Identity{"license", current}, "admin"),
		"no token":       {connect.WithInterceptors(connect.UnaryInterceptorFunc(clientErrors))},
		"no secret":      NewClientOptions(Identity{"license", ""}, "auth"),
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
	if strings.Contains(s.log.String(), "internal-secret") {
		t.Error("the log tells a secret")
	}
}

func clientErrors(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		res, err := next(ctx, req)
		if err != nil {
			return nil, Error(err)
		}
		return res, nil
	}
}

func TestTokenAttacks(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	v := newVerifier("auth", []secret.Secret{current, previous, ""}, clock.NewFake(now))
	good := jwt.MapClaims{"iss": "license", "aud": "auth", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	sign := func(method jwt.SigningMethod, key any, change map[string]any) string {
		claims := jwt.MapClaims{}
		for k, v := range good {
			claims[k] = v
		}
		for k, v := range change {
			claims[k] = v
			if v == nil {
				delete(claims, k)
			}
		}
		raw, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + raw
	}
	hs, key := jwt.SigningMethodHS256, []byte(current)
	if who, err := v.verify([]string{sign(hs, key, nil)}); err != nil || who != "license" {
		t.Fatalf("got %q %v", who, err)
	}
	if _, err := v.verify([]string{sign(hs, []byte(previous), nil)}); err != nil {
		t.Fatal(err)
	}
	attacks := map[string][]string{
		"nothing":          nil,
		"empty":            {""},
		"two headers":      {sign(hs, key, nil), sign(hs, key, nil)},
		"no scheme":        {strings.TrimPrefix(sign(hs, key, nil), "Bearer ")},
		"none":             {sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil)},
		"other algorithm":  {sign(jwt.SigningMethodHS512, key, nil)},
		"other key":        {sign(hs, []byte("other"), nil)},
		"empty key":        {sign(hs, []byte(""), nil)},
		"expired":          {sign(hs, key, map[string]any{"exp": now.Add(-skew - time.Second).Unix()})},
		"no expiry":        {sign(hs, key, map[string]any{"exp": nil})},
		"from the future":  {sign(hs, key, map[string]any{"iat": now.Add(skew + time.Minute).Unix()})},
		"other audience":   {sign(hs, key, map[string]any{"aud": "license"})},
		"no audience":      {sign(hs, key, map[string]any{"aud": nil})},
		"no issuer":        {sign(hs, key, map[string]any{"iss": nil})},
		"last bit changed": {flip(sign(hs, key, nil))},
	}
	for name, header := range attacks {
		if who, err := v.verify(header); err == nil {
			t.Errorf("%s: accepted as %q", name, who)
		}
	}
	if _, err := newVerifier("auth", []secret.Secret{""}, clock.NewFake(now)).verify([]string{sign(hs, []byte(""), nil)}); err == nil {
		t.Error("a verifier without secrets accepts an empty one")
	}
}

func flip(token string) string {
	last := token[len(token)-1]
	if last == 'A' {
		return token[:len(token)-1] + "E"
	}
	return token[:len(token)-1] + "A"
}

func TestSignerRenewsInTime(t *testing.T) {
	now := clock.NewFake(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC))
	s := newSigner(Identity{"license", current}, "auth", now)
	v := newVerifier("auth", []secret.Secret{current}, now)
	first, _ := s.token()
	for range 20 {
		now.Advance(13 * time.Second)
		token, err := s.token()
		if err != nil {
			t.Fatal(err)
		}
		now.Advance(29 * time.Second) // what it hands out is good for that long
		if _, err := v.verify([]string{"Bearer " + token}); err != nil {
			t.Fatal(err)
		}
	}
	if last, _ := s.token(); last == first {
		t.Error("the same token for ever")
	}
	now.Advance(-time.Hour) // a clock set back must not make a token of the future
	token, _ := s.token()
	if _, err := v.verify([]string{"Bearer " + token}); err != nil {
		t.Error(err)
	}
}

func TestErrorsCrossTheHop(t *testing.T) {
	s := newSister(t)
	for kind := apierr.Internal; kind <= apierr.Unavailable; kind++ {
		sent := apierr.New(kind, "A_CODE", "a message").With("limits", map[string]any{"max": 5, "big": uint64(1 << 60)}).After(90 * time.Second).Because(errors.New("deep inside"))
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
		if w.Code != kind.Status() || !strings.Contains(w.Body.String(), `"limits":{"big":1152921504606846976,"max":5}`) {
			t.Errorf("%v: the user sees %d %s", kind, w.Code, w.Body)
		}
		ours := kind == apierr.Internal || kind == apierr.Unavailable
		if strings.Contains(err.Error(), "deep inside") != ours {
			t.Errorf("%v: the caller's log shows %v", kind, err)
		}
	}
}

func TestUntypedFailures(t *testing.T) {
	s := newSister(t)
	tests := map[string]struct {
		handler func(context.Context, string) (string, error)
		kind    apierr.Kind
	}{
		"plain error": {func(context.Context, string) (string, error) { return "", errors.New("deep inside") }, apierr.Internal},
		"bad request": {func(context.Context, string) (string, error) {
			return "", connect.NewError(connect.CodeInvalidArgument, errors.New("deep inside"))
		}, apierr.Internal},
		"unauthenticated": {func(context.Context, string) (string, error) {
			return "", connect.NewError(connect.CodeUnauthenticated, errors.New("deep inside"))
		}, apierr.Internal},
		"deadline": {func(context.Context, string) (string, error) { return "", context.DeadlineExceeded }, apierr.Unavailable},
		"panic":    {func(context.Context, string) (string, error) { panic("deep inside") }, apierr.Internal},
	}
	for name, tt := range tests {
		s.handler, s.log = tt.handler, bytes.Buffer{}
		_, err := s.call(t.Context(), nil, "x")
		var e *apierr.Error
		if !errors.As(err, &e) || e.Kind != tt.kind || e.Err == nil || strings.Contains(e.Message, "inside") {
			t.Errorf("%s: got %v", name, err)
		}
		if name != "deadline" && !strings.Contains(s.log.String(), "deep inside") {
			t.Errorf("%s: the sister's log is silent: %s", name, s.log.String())
		}
	}
}

func TestSisterAway(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	overloaded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
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
		_, err := (&sister{url: tt.url}).call(ctx, tt.rt, "x")
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
	s := newSister(t)
	s.url = "http://auth"
	var left time.Duration
	s.handler = func(ctx context.Context, _ string) (string, error) {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return "", nil
	}
	synctest.Test(t, func(t *testing.T) {
		for ctx, limit := range map[context.Context]time.Duration{
			t.Context():                        callTimeout,
			Within(t.Context(), 8*time.Second): 8 * time.Second,
		} {
			if _, err := s.call(ctx, httpx.InProcess{"auth": s.engine}, "x"); err != nil {
				t.Fatal(err)
			}
			if left > limit || left < limit-time.Millisecond {
				t.Errorf("%v are left of %v", left, limit)
			}
		}
	})
}

func TestMessageCaps(t *testing.T) {
	s := newSister(t)
	large := strings.Repeat("x", maxMessage+1)
	if _, err := s.call(t.Context(), nil, large); err == nil {
		t.Error("a huge request was sent")
	}
	plain := connect.WithInterceptors(connect.UnaryInterceptorFunc((&caller{signer: newSigner(Identity{"license", current}, "auth", clock.System{})}).wrap))
	if _, err := s.call(t.Context(), nil, large, plain); err == nil {
		t.Error("a huge request was taken")
	}
	s.handler = func(context.Context, string) (string, error) { return large, nil }
	if _, err := s.call(t.Context(), nil, "x"); err == nil {
		t.Error("a huge answer was sent")
	}
}

func TestRequestIDAndTraceTravel(t *testing.T) {
	s := newSister(t)
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
		t.Errorf("the sister saw %q", seen)
	}
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	req.Header.Set("traceparent", parent)
	e.ServeHTTP(httptest.NewRecorder(), req)
	if seen != "abc-1 "+parent {
		t.Errorf("the sister saw %q", seen)
	}
}

func TestTokenIsNotCarriedElsewhere(t *testing.T) {
	var got string
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") }))
	defer thief.Close()
	moved := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer moved.Close()
	if _, err := (&sister{url: moved.URL}).call(t.Context(), nil, "x"); err == nil || got != "" {
		t.Errorf("got %v, and the token went to %q", err, got)
	}
}
