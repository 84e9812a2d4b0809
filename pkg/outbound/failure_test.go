package outbound

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
)

// TestFailures: each way to fail is told, by what a call really fails with.
func TestFailures(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			return
		}
		_, _ = w.Write(make([]byte, maxBody+1))
	})
	plain := httptest.NewServer(http.HandlerFunc(hello))
	t.Cleanup(plain.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	to := func(server *httptest.Server) func(*Client) {
		return func(c *Client) { dialed(c, server.Listener.Addr().String()) }
	}
	failing := func(err error) func(*Client) {
		return func(c *Client) {
			c.dial = func(context.Context, string, string) (net.Conn, error) { return nil, err }
		}
	}
	for url, tt := range map[string]struct {
		change func(*Client)
		want   string
	}{
		"https://unknown.example/":  {to(s.Server), "name_not_resolved"},
		"https://example.com/gone":  {to(gone), "connection_refused"},
		"https://example.com/away":  {failing(&net.OpError{Err: syscall.EHOSTUNREACH}), "unreachable"},
		"https://example.com/late":  {failing(context.DeadlineExceeded), "timeout"},
		"https://example.com/reset": {failing(errors.New("reset")), "connection_broken"},
		"https://example.com/plain": {to(plain), "tls"},
		"https://other.invalid/":    {to(s.Server), "certificate_name"},
		"https://example.com/strange": {func(c *Client) {
			to(s.Server)(c)
			c.transport.TLSClientConfig.RootCAs = nil
		}, "certificate_not_trusted"},
		"https://example.com/redirect": {to(s.Server), "redirected"},
		"https://example.com/long":     {to(s.Server), "answer_too_long"},
	} {
		resolver := names{"example.com": {{"1.1.1.1"}}, "other.invalid": {{"1.1.1.1"}}}
		c := client(t, Policy{Private: true, Resolver: resolver}, nil, s)
		tt.change(c)
		_, err := get(t, c, url)
		if got := FailureOf(err); got.Reason != tt.want {
			t.Errorf("%s: %v is %+v, want %s", url, err, got, tt.want)
		}
	}
}

// TestUnknownNamesAreLikePrivateOnes: where private addresses are not called, nobody learns which names the networks
// around know.
func TestUnknownNamesAreLikePrivateOnes(t *testing.T) {
	s := serve(t, hello)
	c := client(t, Policy{Resolver: names{"intranet.example": {{"10.0.0.1"}}}}, nil, s)
	_, private := get(t, c, "https://intranet.example")
	_, unknown := get(t, c, "https://unknown.example")
	if problem := new(Problem); !errors.As(unknown, &problem) || private == nil || private.Error() != unknown.Error() {
		t.Errorf("private: %v, unknown: %v", private, unknown)
	}
}
