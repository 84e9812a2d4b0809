package rpc

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// A peer whose clock is wrong is told to try again, by procedures and by what is forwarded, and the log says how wrong
// it is. A token that has another fault is refused for good.
func TestATokenOfAnotherTime(t *testing.T) {
	s := newPeer(t)
	o := newOwner(func(o *owner) *Gateway { return gatewayOf(license, "http://auth", o.inProcess()) })
	for off, said := range map[time.Duration]string{
		90 * time.Second: "ahead of that of auth", -100 * time.Second: "behind that of auth",
	} {
		s.log.Reset()
		o.log.Reset()
		now := clock.NewFake(time.Now().Add(off).Truncate(time.Second))
		sign := func(id Identity, audience string) connect.ClientOption {
			return connect.WithInterceptors(connect.UnaryInterceptorFunc((&caller{newSigner(id, audience, now)}).wrap))
		}
		_, err := s.call(t.Context(), nil, "x", sign(license, "auth"))
		if e := apierr.From(err); e == nil || e.Kind != apierr.Unavailable || e.RetryAfter == 0 ||
			!strings.Contains(err.Error(), said) {
			t.Errorf("%v: got %v, want %q", off, err, said)
		}
		if got := s.log.String(); !strings.Contains(got, said) || !strings.Contains(got, `"level":"WARN"`) {
			t.Errorf("%v: the log of the procedure says\n%s", off, got)
		}
		for name, option := range map[string]connect.ClientOption{
			"another audience": sign(license, "admin"), "unknown key": sign(NewIdentity("license"), "auth"),
		} {
			_, err := s.call(t.Context(), nil, "x", option)
			if e := apierr.From(err); e == nil || e.Kind != apierr.Internal {
				t.Errorf("%v, %s: got %v", off, name, err)
			}
		}
		g := gatewayOf(license, "http://auth", o.inProcess())
		g.signer.clock = now
		answer, err := g.Get(t.Context(), ada, "/manage/a")
		if err != nil || answer.Status != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
			t.Errorf("%v: forwarded: %+v, %v", off, answer, err)
		}
		if got := o.log.String(); !strings.Contains(got, said) {
			t.Errorf("%v: the log of management says\n%s", off, got)
		}
	}
}
