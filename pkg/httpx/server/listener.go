package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// settleTime is how long a listener that refuses goes on accepting: the handshakes under way end within it.
const settleTime = 100 * time.Millisecond

// listener accepts TCP connections and can stop to. Closing a listener resets the connections that wait in its queue,
// whose clients may have sent a request already; refuse first turns newcomers away and then has the queue accepted to
// its end.
type listener struct {
	*net.TCPListener
	log      *slog.Logger // nil before the server serves
	refusing atomic.Bool  // new connections stay out
}

func listenTCP(addr string) (*listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // the kernel filters plain TCP only
	l, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &listener{TCPListener: l.(*net.TCPListener)}, nil
}

// Collide reports whether no two servers can listen at the addresses a and b, host:port, at the same time: an
// unspecified host is all of them. Port 0 is any free one.
func Collide(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return unspecified(hostA) || unspecified(hostB) || loopback(hostA) == loopback(hostB)
}

func unspecified(host string) bool { return host == "" || net.ParseIP(host).IsUnspecified() }

// loopback is host, by its address where it is localhost.
func loopback(host string) string {
	if host == "localhost" {
		return "127.0.0.1"
	}
	return host
}

// Accept returns http.ErrServerClosed once refuse has been called and nobody waits any more.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptTCP()
		if err == nil {
			return errorConn{conn, l.log}, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
		if !l.refusing.Load() || !l.waiting() {
			return nil, http.ErrServerClosed
		}
		_ = l.SetDeadline(time.Now().Add(settleTime)) // it fails only once closed, which Accept then tells
	}
}

// refuse makes Accept end. Who comes after it is refused; where the system cannot do that, who comes in the moment of
// closing is cut off.
func (l *listener) refuse() {
	l.refusing.Store(l.turnAway() == nil)
	_ = l.SetDeadline(time.Now().Add(settleTime))
}
