package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// wire is a client that hides nothing: it keeps its connection as HTTP allows, and every failure is told.
type wire struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
}

// post makes one request and reads the whole answer.
func (w *wire) post() (*http.Response, error) {
	if w.conn == nil {
		conn, err := net.Dial("tcp", w.addr)
		if err != nil {
			return nil, err
		}
		w.conn, w.in = conn, bufio.NewReader(conn)
	}
	if _, err := io.WriteString(w.conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if res.Close {
		w.conn.Close()
		w.conn = nil
	}
	return res, err
}

// serving starts a server that drains when stop is called.
func serving(t *testing.T, d Drain, h http.Handler) (addr string, stop context.CancelFunc, ended chan error) {
	t.Helper()
	return servingAs(t, d, Server{Handler: h})
}

func servingAs(t *testing.T, d Drain, s Server) (addr string, stop context.CancelFunc, ended chan error) {
	t.Helper()
	s.Name, s.Addr = "public", "127.0.0.1:0"
	l, err := Listen(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- l.Serve(ctx, d, slog.New(slog.DiscardHandler)) }()
	_, addr, _ = strings.Cut(l.URL("public"), "://")
	return addr, stop, ended
}

// TestDrainCutsNobody has clients come back as fast as they can, so that connections are always waiting to be accepted.
func TestDrainCutsNobody(t *testing.T) {
	const clients, rounds = 24, 5
	for range rounds {
		addr, stop, ended := serving(t, Drain{}, http.HandlerFunc(hello))
		var answered, refused atomic.Int64
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				client := &wire{addr: addr}
				for {
					_, err := client.post()
					switch {
					case err == nil:
						answered.Add(1)
						continue
					case errors.Is(err, syscall.ECONNREFUSED):
						refused.Add(1)
					default:
						t.Errorf("cut off: %v", err)
					}
					return
				}
			})
		}
		testkit.Eventually(t, 20*time.Second, func() error {
			if answered.Load() < 10*clients {
				return errors.New("waiting for all clients to be at work")
			}
			return nil
		})
		stop()
		all.Wait()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if refused.Load() != clients {
			t.Errorf("%d of %d clients were refused in the end", refused.Load(), clients)
		}
	}
}

// TestDrainAnswersTheLastRequest: a connection that was quiet when the drain began still gets an answer, and is told to
// close; so is one whose request came before.
func TestDrainAnswersTheLastRequest(t *testing.T) {
	began, started, release := make(chan struct{}), make(chan struct{}, 1), make(chan struct{})
	addr, stop, ended := serving(t, Drain{Begin: func() { close(began) }, Delay: time.Minute},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			started <- struct{}{}
			<-release
			hello(w, r)
		}))
	quiet, busy := &wire{addr: addr}, &wire{addr: addr}
	answer := make(chan *http.Response)
	ask := func(w *wire) {
		res, err := w.post()
		if err != nil {
			t.Errorf("cut off: %v", err)
		}
		answer <- res
	}
	go ask(quiet)
	<-started
	release <- struct{}{}
	if res := <-answer; res == nil || res.Close {
		t.Fatalf("closed before the drain: %v", res)
	}
	go ask(busy)
	<-started
	stop()
	<-began
	release <- struct{}{}
	<-answer
	for _, w := range []*wire{quiet, busy, {addr: addr}} { // the last one is new: the server still takes connections
		go ask(w)
		<-started
		release <- struct{}{}
		if res := <-answer; res == nil || !res.Close {
			t.Errorf("a client of a draining server may keep its connection: %v", res)
		}
	}
	select {
	case err := <-ended:
		t.Errorf("ended before its time: %v", err)
	default:
	}
}

// TestDrainWithoutClientsEnds: clients that keep a connection for nothing do not hold up the end.
func TestDrainWithoutClientsEnds(t *testing.T) {
	addr, stop, ended := serving(t, Drain{}, http.HandlerFunc(hello))
	client := &wire{addr: addr}
	if _, err := client.post(); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := client.in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection ended with %v", err)
	}
}

// TestSlowRequestOutlivesTheDrain: what was accepted is answered, however late its body comes.
func TestSlowRequestOutlivesTheDrain(t *testing.T) {
	got := make(chan string, 1)
	addr, stop, ended := serving(t, Drain{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got <- string(raw)
		hello(w, r)
	}))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nha"); err != nil {
		t.Fatal(err)
	}
	stop()
	awaitClosed(t, addr)
	if _, err := io.Copy(conn, iotest.OneByteReader(strings.NewReader("lf"))); err != nil {
		t.Fatal(err)
	}
	if body := <-got; body != "half" {
		t.Errorf("the body arrived as %q", body)
	}
	if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || !res.Close {
		t.Errorf("answered %v, %v", res, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestWhatIsCutOffIsNoFailure: a restart that was planned is not reported as a crash because a client reads slowly.
func TestWhatIsCutOffIsNoFailure(t *testing.T) {
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer server.Close()
	cut := make(chan error, 1)
	go func() {
		_, err := http.Get(server.URL)
		cut <- err
	}()
	<-asked
	var log strings.Builder
	d := &drainer{log: slog.New(slog.NewTextHandler(&log, nil)), servers: []*http.Server{server.Config}}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.shutdown(over); err != nil || !strings.Contains(log.String(), "were cut off") {
		t.Errorf("the end: %v, log %q", err, log.String())
	}
	if err := <-cut; err == nil {
		t.Error("the request was answered")
	}
}
