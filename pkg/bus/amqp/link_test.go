package amqp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/bustest"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func TestTheBusOutlivesALostBroker(t *testing.T) {
	bustest.VerifyNoLeak(t)
	address := testkit.AMQP(t)
	p := startProxy(t, host(t, address))
	b := dial(t, through(t, address, p), everything)
	sink, seen := &bustest.Sink{}, &bustest.Seen{Link: bus.NewLink()}
	bustest.Consume(t, b, everything, sink.Handle)
	bustest.Watch(t, b, seen.Watch("license.*"))
	seen.AwaitAlive(t)
	events := bustest.Activations(t, 3)
	bustest.Publish(t, b, events[0])()
	sink.Await(t, events[:1])

	p.cut()
	testkit.Eventually(t, patience, func() error {
		if s := b.State(); s.Connected || strings.Count(s.Detail, "no connection") != 2 {
			return fmt.Errorf("the state knows nothing of the cut of both links: %+v", s)
		}
		return nil
	})
	if err := b.Publish(t.Context(), events[1:]); err == nil || !strings.Contains(err.Error(), "no connection") {
		t.Fatalf("a publish without a broker does not fail at once: %v", err)
	}
	testkit.Eventually(t, patience, func() error {
		if seen.Link.Alive() || seen.Gaps() < 2 {
			return errors.New("the watch has not noticed")
		}
		return nil
	})

	p.restore()
	testkit.Eventually(t, patience, func() error { return b.Publish(t.Context(), events[1:]) })
	sink.AwaitAgain(t, events)
	seen.AwaitAlive(t)
	if seen.Gaps() < 3 {
		t.Error("no gap was reported between the reconnection and the link being alive")
	}
	last := bustest.Event(t, &eventsv1.LicenseDeactivated{}, "last")
	bustest.Publish(t, b, last)()
	testkit.Eventually(t, patience, func() error {
		if got := seen.Events(); len(got) == 0 || got[len(got)-1].ID != last.ID {
			return errors.New("the watch does not see after the reconnection")
		}
		return nil
	})
}

func TestClosedConnectionsComeBack(t *testing.T) {
	management := os.Getenv("LATCHKEY_TEST_AMQP_MANAGEMENT_URL")
	if management == "" {
		testkit.NotCovered(t, "no management API (set LATCHKEY_TEST_AMQP_MANAGEMENT_URL)")
	}
	address := testkit.AMQP(t)
	b, sink, seen := dial(t, address, everything), &bustest.Sink{}, &bustest.Seen{Link: bus.NewLink()}
	bustest.Consume(t, b, everything, sink.Handle)
	bustest.Watch(t, b, seen.Watch("license.*"))
	seen.AwaitAlive(t)
	events := bustest.Activations(t, 2)
	bustest.Publish(t, b, events[0])()
	sink.Await(t, events[:1])
	gaps := seen.Gaps()
	closeConnections(t, management, address, 2)
	testkit.Eventually(t, patience, func() error {
		if seen.Gaps() < gaps+2 {
			return errors.New("no gap was reported")
		}
		return nil
	})
	testkit.Eventually(t, patience, func() error { return b.Publish(t.Context(), events[1:]) })
	sink.AwaitAgain(t, events)
	seen.AwaitAlive(t)
}

// closeConnections closes the n connections to the virtual host of address, as an operator would.
func closeConnections(t *testing.T, management, address string, n int) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	vhost := strings.TrimPrefix(u.Path, "/")
	var conns []struct{ Name string }
	testkit.Eventually(t, patience, func() error {
		res := manage(t, http.MethodGet, management+"/api/vhosts/"+url.PathEscape(vhost)+"/connections")
		if err := json.Unmarshal(res, &conns); err != nil {
			return err
		}
		if len(conns) != n {
			return errors.New("the management API does not show the connections yet")
		}
		return nil
	})
	for _, c := range conns {
		manage(t, http.MethodDelete, management+"/api/connections/"+url.PathEscape(c.Name))
	}
}

func manage(t *testing.T, method, address string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= http.StatusMultipleChoices {
		t.Fatalf("%s %s: %s %v", method, req.URL.Path, res.Status, err)
	}
	return body
}

// A link that swallows everything is the worst: no error, no end. The watch must distrust its cache, and a publish must
// give up.
func TestASilentLink(t *testing.T) {
	address := testkit.AMQP(t)
	p := startProxy(t, host(t, address))
	b, seen := dial(t, through(t, address, p), everything), &bustest.Seen{Link: bus.NewLink()}
	bustest.Watch(t, b, seen.Watch("license.*"))
	seen.AwaitAlive(t)
	gaps := seen.Gaps()
	p.freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := b.Publish(ctx, bustest.Activations(t, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v from a silent broker", err)
	}
	testkit.Eventually(t, 12*time.Second, func() error { // sooner than the heartbeats notice, after 15 s
		if seen.Link.Alive() || seen.Gaps() == gaps {
			return errors.New("a silent link counts as alive")
		}
		return nil
	})
	p.thaw()
	seen.AwaitAlive(t)
	testkit.Eventually(t, patience, func() error { return b.Publish(t.Context(), bustest.Activations(t, 1)) })
}

// A consumer whose link is lost while it works must not go on beside its successor for long.
func TestALostLinkEndsTheHandler(t *testing.T) {
	address := testkit.AMQP(t)
	p := startProxy(t, host(t, address))
	b := dial(t, through(t, address, p), everything)
	begun, ended := make(chan struct{}, 10), make(chan error, 10)
	stop := bustest.Consume(t, b, everything, func(ctx context.Context, _ []event.Event) error {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	})
	events := bustest.Activations(t, 1)
	bustest.Publish(t, b, events...)()
	<-begun
	p.cut()
	<-ended
	p.restore()
	<-begun // it came again
	stop()
	sink := &bustest.Sink{}
	bustest.Consume(t, b, everything, sink.Handle)
	sink.Await(t, events)
}

// proxy stands between the bus and the broker. It can cut the link, or swallow what is sent.
type proxy struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	conns    map[net.Conn]bool
	down     bool
	// open is closed while bytes may pass.
	open chan struct{}
	done sync.WaitGroup
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, target: target, conns: map[net.Conn]bool{}, open: make(chan struct{})}
	close(p.open)
	p.done.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
		p.done.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		if !p.admit(in, out) {
			continue
		}
		p.done.Go(func() { p.pipe(in, out) })
		p.done.Go(func() { p.pipe(out, in) })
	}
}

func (p *proxy) admit(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.down {
			_ = c.Close()
			continue
		}
		p.conns[c] = true
	}
	return !p.down
}

func (p *proxy) pipe(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		open := p.open
		p.mu.Unlock()
		<-open
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cut ends all connections and refuses new ones.
func (p *proxy) cut() {
	p.thaw()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

func (p *proxy) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// freeze lets nothing pass, and closes nothing.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

func (p *proxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}
