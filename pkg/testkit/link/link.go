// Package link is a network between clients and servers of one computer that can be broken, and a load balancer between
// replicas.
package link

import (
	"bytes"
	"io"
	"net"
	"slices"
	"sync"
)

// Link is a network between clients and servers, in this process, that a test can break. New connections go to the
// servers in turn, and past those that refuse, as with a load balancer.
type Link struct {
	// Addr is where clients connect.
	Addr string

	listener net.Listener
	mu       sync.Mutex
	changed  *sync.Cond // of what pass waits for
	targets  []string
	last     map[string]bool // targets that are tried after all others
	next     int
	silent   bool
	mute     bool
	age      int    // connections of an earlier age are stranded
	final    string // what clients may say last, and how often before
	before   int
	closed   bool
	conns    []net.Conn
}

// Open opens a link to the targets, each host:port.
func Open(targets ...string) (*Link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &Link{Addr: listener.Addr().String(), listener: listener, targets: targets, last: map[string]bool{}}
	l.changed = sync.NewCond(&l.mu)
	go l.accept()
	return l, nil
}

// Silence makes the link swallow everything: connections stay, new ones are accepted, and nothing comes through. Heal
// ends that; what was sent meanwhile then arrives.
func (l *Link) Silence() { l.set(true) }

// MuteAfter swallows all answers from the moment on at which a client has said text for the nth time: that arrives, and
// nobody hears what came of it.
func (l *Link) MuteAfter(text string, nth int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.final, l.before = text, nth
}

// Heal lets everything through again.
func (l *Link) Heal() { l.set(false) }

// Strand makes the connections of the moment swallow everything permanently, as when a router on their way was
// replaced. New ones work.
func (l *Link) Strand() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.age++
}

// Last has new connections go to a target only if no other takes them, as a cluster does with a replica that is not
// ready yet.
func (l *Link) Last(target string, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[target] = last
}

// Cut closes all connections of the moment.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

func (l *Link) set(silent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent, l.mute, l.final = silent, false, ""
	l.changed.Broadcast()
}

// Close ends the link and its connections.
func (l *Link) Close() {
	_ = l.listener.Close()
	l.Cut()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.changed.Broadcast()
}

func (l *Link) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.serve(client)
	}
}

func (l *Link) serve(client net.Conn) {
	defer client.Close()
	l.keep(client)
	defer l.forget(client)
	l.mu.Lock()
	age := l.age
	l.mu.Unlock()
	server := l.dial(age)
	if server == nil {
		return
	}
	defer server.Close()
	l.keep(server)
	defer l.forget(server)
	var both sync.WaitGroup
	both.Go(func() { l.copy(server, client, age, false) })
	both.Go(func() { l.copy(client, server, age, true) })
	both.Wait()
}

// dial takes the first server, from the next in turn on, that does not refuse.
func (l *Link) dial(age int) net.Conn {
	if !l.pass(age, false) {
		return nil
	}
	for _, target := range l.turn() {
		if server, err := net.Dial("tcp", target); err == nil {
			return server
		}
	}
	return nil
}

// turn is the order in which a new connection tries the targets.
func (l *Link) turn() (order []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	for _, last := range []bool{false, true} {
		for i := range l.targets {
			if target := l.targets[(l.next+i)%len(l.targets)]; l.last[target] == last {
				order = append(order, target)
			}
		}
	}
	return order
}

// copy passes bytes on, and the end of them.
func (l *Link) copy(to, from net.Conn, age int, answers bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !answers {
			l.heard(buf[:n])
		}
		if !l.pass(age, answers) {
			return
		}
		if _, failed := to.Write(buf[:n]); err == nil && failed == nil {
			continue
		}
		if err == io.EOF {
			_ = to.(*net.TCPConn).CloseWrite()
			return
		}
		_, _ = to.Close(), from.Close() // reset, which nobody is told
		return
	}
}

// heard mutes the link after the last thing that clients may say.
func (l *Link) heard(said []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.final != "" && bytes.Contains(said, []byte(l.final)) {
		l.before--
		l.mute = l.mute || l.before == 0
	}
}

// pass waits while connections of that age are silent, and reports whether the link is still there.
func (l *Link) pass(age int, answers bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for (l.silent || l.mute && answers || age < l.age) && !l.closed {
		l.changed.Wait()
	}
	return !l.closed
}

func (l *Link) keep(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, c)
}

func (l *Link) forget(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.conns, c); i >= 0 {
		l.conns = slices.Delete(l.conns, i, i+1)
	}
}
