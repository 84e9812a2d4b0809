package httpx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
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

// What a connection may take. Writing lasts longer than the longest request deadline.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
	drainTimeout      = 20 * time.Second
	// drainNotice is how long a draining server goes on taking connections, each for one request: time for load balancers to
	// see that it is not ready, and for clients to let go of connections that would otherwise close under their next request.
	drainNotice = 500 * time.Millisecond
)

// Listening is a set of servers whose addresses are open.
type Listening struct {
	servers   []Server
	listeners []net.Listener
}

// Listen opens all addresses or none, so that nothing is announced that is not there.
func Listen(servers ...Server) (*Listening, error) {
	l := &Listening{servers: servers}
	for _, s := range servers {
		listener, err := s.listen()
		if err != nil {
			l.Close()
			return nil, err
		}
		l.listeners = append(l.listeners, listener)
	}
	return l, nil
}

func (s Server) listen() (net.Listener, error) {
	var certs *certificates
	if s.TLSCert != "" {
		certs = &certificates{certFile: s.TLSCert, keyFile: s.TLSKey}
		if err := certs.load(); err != nil {
			return nil, fmt.Errorf("certificate of the %s address: %w", s.Name, err)
		}
	}
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on the %s address %s, set another one by %s: %w", s.Name, s.Addr, s.Setting, err)
	}
	if certs != nil {
		return tls.NewListener(listener, certs.config()), nil
	}
	return listener, nil
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

// Serve answers requests until ctx ends or a server fails. Then it calls drain, which turns readiness off and may be nil,
// gives others half a second to notice, lets the requests under way finish for up to 20 s, and returns.
func (l *Listening) Serve(ctx context.Context, drain func(), log *slog.Logger) error {
	g, ctx := errgroup.WithContext(ctx)
	servers := make([]*http.Server, len(l.servers))
	var draining atomic.Bool
	for i, s := range l.servers {
		s.Handler = lastRequest(s.Handler, &draining)
		servers[i] = newHTTPServer(s, log)
		g.Go(func() error {
			if err := servers[i].Serve(l.listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("%s server: %w", s.Name, err)
			}
			return nil
		})
	}
	g.Go(func() error {
		<-ctx.Done()
		if drain != nil {
			drain()
			draining.Store(true)
			time.Sleep(drainNotice)
		}
		return shutdown(ctx, servers)
	})
	return g.Wait()
}

// lastRequest tells clients of a draining server to let go of the connection.
func lastRequest(h http.Handler, draining *atomic.Bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if draining.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

func newHTTPServer(s Server, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           s.Handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // broken handshakes of strangers
	}
}

// shutdown cuts what is not done in time.
func shutdown(ctx context.Context, servers []*http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	var g errgroup.Group
	for _, s := range servers {
		g.Go(func() error {
			err := s.Shutdown(ctx)
			if err != nil {
				s.Close()
				return fmt.Errorf("requests were cut off after %v of waiting: %w", drainTimeout, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// Serve is Listen and Listening.Serve, for those who need not know the addresses.
func Serve(ctx context.Context, servers []Server, drain func(), log *slog.Logger) error {
	l, err := Listen(servers...)
	if err != nil {
		return err
	}
	return l.Serve(ctx, drain, log)
}
