package amqp

import (
	"net"
	"time"
)

// socket is what a connection goes over. It bounds each write, and how long the library waits for an answer to its
// goodbye.
type socket struct{ net.Conn }

// SetDeadline implements net.Conn. The library sets one only to say goodbye (CloseDeadline), and then undoes it with
// the next heartbeat: a broker with a stuck channel answers heartbeats but no goodbye. So at the deadline the socket is
// closed.
func (s socket) SetDeadline(t time.Time) error {
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), func() { _ = s.Close() })
	}
	return s.Conn.SetDeadline(t)
}

// Write implements net.Conn. After a write that failed nothing may follow, as it may have gone out in part.
func (s socket) Write(b []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	n, err := s.Conn.Write(b)
	if err != nil {
		_ = s.Close()
	}
	return n, err
}
