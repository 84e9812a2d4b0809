package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
)

const (
	// maxConnections is how many connections a server has open. Each costs about 20 KB before anything is asked.
	maxConnections = 4096
	// maxPerAddress is how many of them one public address may have, for IPv6 one /64. Private addresses may be
	// proxies, which come for many.
	maxPerAddress = 1024
)

// connections closes the connections that a server has no room for. It is a pair of hooks and no listener, as net/http
// ends connections well only when it has them as they are.
type connections struct {
	most   int
	log    *slog.Logger
	warned rate.Sometimes

	mu    sync.Mutex
	open  map[net.Conn]*connection
	quiet map[net.Conn]struct{} // those of open that carry no request at the moment
	from  map[netip.Prefix]int  // public addresses only
}

// connection is what is known of an open one.
type connection struct {
	from netip.Prefix
	// arriving says that the server waits for the body of a request: nobody loses an answer except the client that
	// sends it.
	arriving atomic.Bool
}

func newConnections(most int, log *slog.Logger) *connections {
	return &connections{
		most:   most,
		log:    log,
		warned: rate.Sometimes{Interval: time.Minute},
		open:   map[net.Conn]*connection{},
		quiet:  map[net.Conn]struct{}{},
		from:   map[netip.Prefix]int{},
	}
}

// connContext is the hook of new connections. Those that have no room are closed.
func (k *connections) connContext(ctx context.Context, conn net.Conn) context.Context {
	admitted := k.admit(conn)
	if admitted == nil {
		conn.Close()
		k.warned.Do(func() {
			k.log.Warn("connections are closed: too many are open, in all or from one address",
				"most", k.most, "most_per_address", maxPerAddress, "address", conn.RemoteAddr().String())
		})
		return ctx
	}
	return httpx.WithBodyNotice(ctx, admitted.arriving.Store)
}

func (k *connections) connState(conn net.Conn, s http.ConnState) {
	switch s {
	case http.StateActive:
		k.setQuiet(conn, false)
	case http.StateIdle:
		k.setQuiet(conn, true)
	case http.StateClosed, http.StateHijacked:
		k.leave(conn)
	}
}

func (k *connections) setQuiet(conn net.Conn, quiet bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, counted := k.open[conn]
	if counted {
		c.arriving.Store(false) // of the request before
	}
	if counted && quiet {
		k.quiet[conn] = struct{}{}
	} else {
		delete(k.quiet, conn)
	}
}

// makeRoom closes some connection whose client keeps the server waiting, be it for a request or for the rest of one, so
// that these keep nobody out. Maps are iterated in random order: the client that holds the most loses the most.
func (k *connections) makeRoom() {
	for conn := range k.quiet {
		conn.Close()
		k.forget(conn)
		return
	}
	for conn, c := range k.open {
		if c.arriving.Load() {
			conn.Close()
			k.forget(conn)
			return
		}
	}
}

// admit counts a connection if there is room, or room can be made; otherwise it returns nil.
func (k *connections) admit(conn net.Conn) *connection {
	from := publicNetwork(conn.RemoteAddr())
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.from[from] >= maxPerAddress {
		return nil
	}
	if len(k.open) >= k.most {
		k.makeRoom()
	}
	if len(k.open) >= k.most {
		return nil
	}
	c := &connection{from: from}
	k.open[conn], k.quiet[conn] = c, struct{}{}
	if from.IsValid() {
		k.from[from]++
	}
	return c
}

func (k *connections) leave(conn net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget(conn)
}

func (k *connections) forget(conn net.Conn) {
	c, counted := k.open[conn]
	if !counted {
		return
	}
	delete(k.open, conn)
	delete(k.quiet, conn)
	if k.from[c.from]--; k.from[c.from] <= 0 {
		delete(k.from, c.from)
	}
}

// publicNetwork is the network of a public address, and invalid for others.
func publicNetwork(a net.Addr) netip.Prefix {
	peer, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	addr := peer.Addr().Unmap().WithZone("")
	if addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() {
		return netip.Prefix{}
	}
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(addr, bits).Masked()
}
