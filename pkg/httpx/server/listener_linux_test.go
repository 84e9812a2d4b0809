//go:build linux

package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
)

// TestRefuseAcceptsTheQueue: connections that wait to be accepted when a listener refuses are accepted, none is reset,
// and who comes later is refused.
func TestRefuseAcceptsTheQueue(t *testing.T) {
	l, err := listenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const queued = 20
	var clients []net.Conn
	for range queued {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "?"); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, conn)
	}
	l.refuse()
	late := make(chan error, 1)
	go func() {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			conn.Close()
		}
		late <- err
	}()
	for i := range queued {
		conn, err := l.Accept()
		if err != nil {
			t.Fatalf("after %d of %d connections: %v", i, queued, err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		if _, err := io.WriteString(conn, "!"); err != nil {
			t.Error(err)
		}
		conn.Close()
	}
	if _, err := l.Accept(); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("the queue ended with %v", err)
	}
	l.Close()
	for _, c := range clients {
		if answer, err := io.ReadAll(c); len(answer) != 1 {
			t.Errorf("a connection of the queue got %q, %v", answer, err)
		}
	}
	if err := <-late; !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("who came later got %v", err)
	}
}
