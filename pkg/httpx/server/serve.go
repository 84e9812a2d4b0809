// Package server listens on the addresses of a service, with TLS where it has certificates, bounds the connections, and
// drains.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
)

// Server is one address to serve.
type Server struct {
	// Name is for logs: "public", "internal".
	Name string
	// Addr is host:port; port 0 takes a free one.
	Addr string
	// Setting is the environment name that Addr came from, for the error when it cannot be had.
	Setting string
	Handler http.Handler
	// TLSCert and TLSKey are PEM files, read again when they change; without them the server speaks plain HTTP.
	TLSCert, TLSKey string
}

// What a connection may take.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
)

// Listening is a set of servers whose addresses are open.
type Listening struct {
	servers   []Server
	listeners []*listener
	certs     []*certificates // nil where the server speaks plain HTTP
	// mostConnections is how many each server has open.
	mostConnections int
}

// Listen opens all addresses or none, so that nothing is announced that is not there.
func Listen(servers ...Server) (*Listening, error) {
	l := &Listening{servers: servers, mostConnections: maxConnections}
	for _, s := range servers {
		if err := l.add(s); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

func (l *Listening) add(s Server) error {
	var certs *certificates
	if s.TLSCert != "" {
		certs = newCertificates(s.TLSCert, s.TLSKey)
		if err := certs.load(); err != nil {
			return fmt.Errorf("certificate of the %s address: %w", s.Name, err)
		}
	}
	listener, err := listenTCP(s.Addr)
	if err != nil {
		return fmt.Errorf("cannot listen on the %s address %s, set another one by %s: %w",
			s.Name, s.Addr, s.Setting, err)
	}
	l.listeners, l.certs = append(l.listeners, listener), append(l.certs, certs)
	return nil
}

// speaking is listener i as its clients speak to it.
func (l *Listening) speaking(i int, log *slog.Logger) net.Listener {
	l.listeners[i].log = log
	if l.certs[i] == nil {
		return l.listeners[i]
	}
	l.certs[i].log = log
	l.certs[i].current() // warns at the start, also where no client comes
	return tlsListener{l.listeners[i], l.certs[i].config()}
}

// URL is where the named server answers, with the real port; an unspecified host shows as 127.0.0.1.
func (l *Listening) URL(name string) string {
	for i, s := range l.servers {
		if s.Name == name {
			s.Addr = l.listeners[i].Addr().String()
			return s.URL()
		}
	}
	return ""
}

// URL is how a client on the same host reaches the server: an unspecified host is 127.0.0.1.
func (s Server) URL() string {
	scheme, addr := "http", s.Addr
	if s.TLSCert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return scheme + "://" + addr
}

// Close gives the addresses up; it is for those who do not Serve.
func (l *Listening) Close() {
	for _, listener := range l.listeners {
		listener.Close()
	}
}

// Serve answers requests until ctx ends or a server fails. Then it drains: d.Begin, d.Delay of serving on, and no
// connection is accepted any more; anyone who is connected gets the answers to what was asked, for up to 20 s, and
// Serve returns.
func (l *Listening) Serve(ctx context.Context, d Drain, log *slog.Logger) error {
	g, ctx := errgroup.WithContext(ctx)
	drain := &drainer{Drain: d, log: log}
	for i, s := range l.servers {
		s.Handler = drain.handler(s.Handler)
		server := newHTTPServer(s, log)
		bound := newConnections(l.mostConnections, log)
		server.ConnContext = bound.connContext
		server.ConnState = func(conn net.Conn, state http.ConnState) {
			bound.connState(conn, state)
			drain.connState(conn, state)
		}
		drain.servers, drain.listeners = append(drain.servers, server), append(drain.listeners, l.listeners[i])
		accept := l.speaking(i, log)
		drain.accepting.Add(1)
		g.Go(func() error {
			defer drain.accepting.Done()
			if err := server.Serve(accept); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("%s server: %w", s.Name, err)
			}
			return nil
		})
	}
	g.Go(func() error {
		<-ctx.Done()
		return drain.run(ctx)
	})
	return g.Wait()
}

func newHTTPServer(s Server, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           s.Handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      httpx.WriteTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // broken handshakes of strangers
		// OPTIONS * is the handler's to answer, as any request.
		DisableGeneralOptionsHandler: true,
	}
}
