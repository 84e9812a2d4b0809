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
