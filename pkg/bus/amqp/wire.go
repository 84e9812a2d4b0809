package amqp

import (
	"net"
	"sync"
	"time"
)

// maxHeld is how many bytes are gathered before they go out all the same.
const maxHeld = 64 << 10

// wire is the socket under a connection. It bounds each write, and the goodbye, and gathers what is written while somebody holds
// it: the library writes every message out by itself, and handling small packets costs the broker more than their content.
type wire struct {
	net.Conn
	mu      sync.Mutex
	holders int
	held    []byte
	// broken is the first failure. What was written then may have gone out in part, so nothing may follow it.
	broken error
}

// SetDeadline implements net.Conn. The library sets one only to say goodbye (CloseDeadline), and then undoes it with the next
// heartbeat: a broker with a stuck channel answers heartbeats but no goodbye. So at the deadline the socket is closed.
func (w *wire) SetDeadline(t time.Time) error {
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), func() { _ = w.Close() })
	}
	return w.Conn.SetDeadline(t)
}

// Write implements net.Conn. While the wire is held its errors come late, at the latest from release.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, b...)
	if w.holders > 0 && len(w.held) < maxHeld {
		return len(b), w.broken
	}
	return len(b), w.flush()
}

// hold lets writes gather until release, which must follow soon: others write to the same connection.
func (w *wire) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holders++
}

// release writes out what has been gathered.
func (w *wire) release() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holders--
	return w.flush()
}

func (w *wire) flush() error {
	if w.broken == nil && len(w.held) > 0 {
		w.broken = w.writeOut(w.held)
	}
	w.held = w.held[:0]
	return w.broken
}

func (w *wire) writeOut(b []byte) error {
	err := w.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		_, err = w.Conn.Write(b)
	}
	if err != nil {
		_ = w.Close() // the library, which was told that all is well, learns it from its reader
	}
	return err
}
