package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

type peer struct {
	net.Conn
	addr   string
	closed bool
}

func (p *peer) RemoteAddr() net.Addr { return peerAddr(p.addr) }
func (p *peer) Close() error         { p.closed = true; return nil }

type peerAddr string

func (peerAddr) Network() string  { return "tcp" }
func (a peerAddr) String() string { return string(a) }

func TestConnectionsAreBounded(t *testing.T) {
	k := newConnections(maxConnections, slog.New(slog.DiscardHandler))
	arrive := func(addr string) *peer {
		p := &peer{addr: addr}
		k.connContext(t.Context(), p)
		return p
	}
	// 2001:db8::/64 is one client, however many addresses it has.
	for i := range maxPerAddress {
		if arrive(fmt.Sprintf("[2001:db8::%x]:1", i)).closed || arrive("198.51.100.1:1").closed {
			t.Fatalf("connection %d was closed", i)
		}
	}
	for _, addr := range []string{"[2001:db8::ffff:1]:1", "198.51.100.1:2", "[::ffff:198.51.100.1]:3"} {
		refused := arrive(addr)
		if !refused.closed {
			t.Errorf("%s has more connections than one address may", addr)
		}
		k.connState(refused, http.StateClosed) // net/http tells of it, too
	}
	if !arrive("198.51.100.1:4").closed {
		t.Error("a connection that was refused made room")
	}
	var last *peer
	for i := 2 * maxPerAddress; i < maxConnections; i++ {
		if last = arrive("127.0.0.1:1"); last.closed {
			t.Fatalf("connection %d from a private address was closed", i)
		}
	}
	for conn := range k.open {
		k.connState(conn, http.StateActive)
	}
	if !arrive("10.0.0.1:1").closed || !arrive("203.0.113.7:1").closed {
		t.Error("more connections than the server has room for")
	}
	k.connState(last, http.StateClosed)
	if arrive("203.0.113.7:2").closed {
		t.Error("a connection that ended left no room")
	}
}

// Idle connections keep nobody out, however many there are.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	k := newConnections(maxConnections, slog.New(slog.DiscardHandler))
	var idle []*peer
	for range maxConnections {
		p := &peer{addr: "10.0.0.1:1"}
		k.connContext(t.Context(), p)
		k.connState(p, http.StateActive)
		idle = append(idle, p)
	}
	for _, p := range idle[1:] {
		k.connState(p, http.StateIdle)
	}
	newcomer := &peer{addr: "203.0.113.7:1"}
	k.connContext(t.Context(), newcomer)
	closed := 0
	for _, p := range idle {
		if p.closed {
			closed++
			k.connState(p, http.StateClosed)
		}
	}
	if newcomer.closed || idle[0].closed || closed != 1 || len(k.open) != maxConnections {
		t.Errorf("newcomer closed %v, busy one closed %v, %d closed of %d",
			newcomer.closed, idle[0].closed, closed, len(k.open))
	}
}

// Nor do requests whose bodies do not come, whether the handler waits for the body, or net/http after an answer that
// did not.
func TestUnfinishedRequestsMakeRoom(t *testing.T) {
	k := newConnections(maxConnections, slog.New(slog.DiscardHandler))
	r := httpx.NewEngine(httpx.Options{})
	r.POST("/read", httpx.Wrap(func(c *gin.Context) error { _, err := httpx.Body(c); return err }))
	r.POST("/refused", httpx.Wrap(func(*gin.Context) error { return apierr.ErrUnavailable }))
	release := make(chan struct{})
	r.POST("/busy", func(c *gin.Context) {
		if _, err := httpx.Body(c); err == nil {
			<-release
		}
	})
	server := httptest.NewUnstartedServer(r)
	server.Config.ConnContext, server.Config.ConnState = k.connContext, k.connState
	server.Start()
	defer server.Close()
	defer close(release)
	send := func(path string, body string) net.Conn {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"+
			body); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	busy := send("/busy", strings.Repeat("x", 100))
	send("/read", "x")
	send("/refused", "x")
	testkit.Eventually(t, 20*time.Second, func() error {
		k.mu.Lock()
		defer k.mu.Unlock()
		arriving := 0
		for _, c := range k.open {
			if c.arriving.Load() {
				arriving++
			}
		}
		if len(k.open) != 3 || len(k.quiet) != 0 || arriving != 2 {
			return fmt.Errorf("%d open, %d quiet, %d arriving", len(k.open), len(k.quiet), arriving)
		}
		return nil
	})
	k.mu.Lock()
	for range 3 {
		k.makeRoom()
	}
	left := len(k.open)
	k.mu.Unlock()
	if left != 1 {
		t.Errorf("%d connections are left, want the one whose request is being answered", left)
	}
	release <- struct{}{}
	if answer, err := io.ReadAll(io.LimitReader(busy, 12)); err != nil || string(answer) != "HTTP/1.1 200" {
		t.Errorf("its answer is %q, %v", answer, err)
	}
}

// TestServersBoundTheirConnections: what Listen opens and Serve serves has the bound, and at it one more connection
// closes an idle one.
func TestServersBoundTheirConnections(t *testing.T) {
	l, err := Listen(Server{Name: "public", Addr: "127.0.0.1:0", Handler: http.HandlerFunc(hello)})
	if err != nil {
		t.Fatal(err)
	}
	if l.mostConnections != maxConnections {
		t.Errorf("a server has room for %d connections", l.mostConnections)
	}
	l.mostConnections = 2
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Serve(ctx, Drain{Begin: func() {}}, slog.New(slog.DiscardHandler)) }()
	var idle []net.Conn
	for range 3 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(l.URL("public"), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("connection %d: %v", len(idle), err)
		}
		idle = append(idle, conn)
	}
	gone := make(chan struct{}, len(idle))
	for _, conn := range idle {
		go func() {
			_, _ = io.Copy(io.Discard, conn)
			gone <- struct{}{}
		}()
	}
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("no idle connection made room")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestConnectionsThatEndAreForgotten(t *testing.T) {
	k := newConnections(maxConnections, slog.New(slog.DiscardHandler))
	server := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	server.Config.ConnContext, server.Config.ConnState = k.connContext, k.connState
	server.Start()
	defer server.Close()
	for range 3 {
		res, err := http.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		http.DefaultClient.CloseIdleConnections()
	}
	testkit.Eventually(t, 20*time.Second, func() error {
		k.mu.Lock()
		defer k.mu.Unlock()
		if len(k.open)+len(k.from) > 0 {
			return errors.New("connections are still counted")
		}
		return context.Cause(t.Context())
	})
}
