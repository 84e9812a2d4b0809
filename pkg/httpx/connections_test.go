package httpx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// M8: many connections that promise 1 MiB and send 200 bytes take what they send, and no more than a first buffer.
func TestM8PromisesCostNothing(t *testing.T) {
	const clients = 100
	var ended sync.WaitGroup
	ended.Add(clients)
	r := newRig(t, nil)
	r.POST("/", Wrap(func(c *gin.Context) error {
		defer ended.Done()
		_, err := Body(c)
		return err
	}))
	server := httptest.NewServer(r)
	defer server.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range clients {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		head := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + strconv.Itoa(DefaultMaxBody) + "\r\n\r\n"
		if _, err := io.WriteString(conn, head+strings.Repeat("x", 200)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	ended.Wait()
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / clients; each > 64<<10 {
		t.Errorf("a connection that sent 200 bytes took %d bytes", each)
	}
}

func TestBodiesGrowWithWhatArrives(t *testing.T) {
	for _, size := range []int{0, 1, firstRead - 1, firstRead, firstRead + 1, 10 * firstRead} {
		for _, chunked := range []bool{false, true} {
			req := httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", size)))
			if chunked {
				req.ContentLength = -1
			}
			raw, err := readBody(req, 10*firstRead)
			if err != nil || len(raw) != size || cap(raw) > max(2*size, firstRead)+firstRead {
				t.Errorf("%d bytes, chunked %v: got %d of %d, %v", size, chunked, len(raw), cap(raw), err)
			}
		}
	}
}

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
	k := newConnections(slog.New(slog.DiscardHandler))
	arrive := func(addr string) *peer {
		p := &peer{addr: addr}
		k.connState(p, http.StateNew)
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
	k := newConnections(slog.New(slog.DiscardHandler))
	var idle []*peer
	for range maxConnections {
		p := &peer{addr: "10.0.0.1:1"}
		k.connState(p, http.StateNew)
		k.connState(p, http.StateActive)
		idle = append(idle, p)
	}
	for _, p := range idle[1:] {
		k.connState(p, http.StateIdle)
	}
	newcomer := &peer{addr: "203.0.113.7:1"}
	k.connState(newcomer, http.StateNew)
	closed := 0
	for _, p := range idle {
		if p.closed {
			closed++
			k.connState(p, http.StateClosed)
		}
	}
	if newcomer.closed || idle[0].closed || closed != 1 || len(k.open) != maxConnections {
		t.Errorf("newcomer closed %v, busy one closed %v, %d closed of %d", newcomer.closed, idle[0].closed, closed, len(k.open))
	}
}

func TestConnectionsThatEndAreForgotten(t *testing.T) {
	k := newConnections(slog.New(slog.DiscardHandler))
	server := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	server.Config.ConnState = k.connState
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
