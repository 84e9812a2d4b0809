package testkit

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// TransactionPooler returns address, which Postgres returned, by way of a pooler in transaction mode: a connection has
// a session of the server for each transaction, the one that came free last.
func TransactionPooler(t testing.TB, address string) string {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal("the address cannot be read")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pooler{server: at.Host}
	p.open = append(p.open, listener)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		accepting.Wait()
		p.close()
		p.running.Wait()
	})
	at.Host = listener.Addr().String()
	return at.String()
}

type pooler struct {
	server  string
	running sync.WaitGroup

	mu   sync.Mutex
	free []net.Conn
	open []io.Closer
}

func (p *pooler) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		_ = c.Close() // it may have gone
	}
}

func (p *pooler) put(session net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, session)
}

// take is called while there is one: each client has brought one, and holds one at most.
func (p *pooler) take() net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.free) - 1
	session := p.free[last]
	p.free = p.free[:last]
	return session
}

// Messages of PostgreSQL's protocol.
const (
	sslRequest     = 80877103
	authentication = 'R'
	readyForQuery  = 'Z'
	query          = 'Q'
	synchronize    = 'S'
	idle           = 'I' // the state of a session outside of transactions
)

// serve ends with its client.
func (p *pooler) serve(client net.Conn) {
	session, err := net.Dial("tcp", p.server)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.open = append(p.open, client, session)
	p.mu.Unlock()
	if start(client, session) != nil {
		_ = client.Close()
		return
	}
	p.put(session)
	for session = nil; ; {
		message, err := readMessage(client, 1)
		if err != nil {
			return
		}
		if session == nil {
			session = p.take()
		}
		if _, err := session.Write(message); err != nil {
			return
		}
		if message[0] != query && message[0] != synchronize {
			continue
		}
		state, err := answer(client, session)
		if err != nil {
			return
		}
		if state == idle {
			p.put(session)
			session = nil
		}
	}
}

// start has a client log in at a session.
func start(client, session net.Conn) error {
	message, err := readMessage(client, 0)
	if err == nil && binary.BigEndian.Uint32(message[4:]) == sslRequest {
		if _, err = client.Write([]byte("N")); err == nil {
			message, err = readMessage(client, 0)
		}
	}
	for err == nil {
		if _, err = session.Write(message); err != nil {
			return err
		}
		var asked bool
		if asked, err = passUntilAsked(client, session); err != nil || !asked {
			return err
		}
		message, err = readMessage(client, 1)
	}
	return err
}

// passUntilAsked passes on what a session says until it asks for more to let the client in, or has let it in.
func passUntilAsked(client, session net.Conn) (asked bool, err error) {
	const taken, final = 0, 12 // of authentication: nothing more is asked
	for {
		message, err := readMessage(session, 1)
		if err != nil {
			return false, err
		}
		if _, err := client.Write(message); err != nil || message[0] == readyForQuery {
			return false, err
		}
		if message[0] == authentication {
			if how := binary.BigEndian.Uint32(message[5:]); how != taken && how != final {
				return true, nil
			}
		}
	}
}

// answer passes on what a session answers, and returns its state.
func answer(client, session net.Conn) (state byte, err error) {
	for {
		message, err := readMessage(session, 1)
		if err != nil {
			return 0, err
		}
		if _, err := client.Write(message); err != nil || message[0] == readyForQuery {
			return message[len(message)-1], err
		}
	}
}

// readMessage reads a message whose length stands behind a header of some bytes.
func readMessage(from io.Reader, header int) ([]byte, error) {
	message := make([]byte, header+4)
	if _, err := io.ReadFull(from, message); err != nil {
		return nil, err
	}
	rest := make([]byte, binary.BigEndian.Uint32(message[header:])-4)
	_, err := io.ReadFull(from, rest)
	return append(message, rest...), err
}
