package httpx

import (
	"crypto/tls"
	"net"
	"os"
	"sync"
	"time"
)

// certificates serves the key pair of two files, and the new one soon after they change. While they do not fit together,
// as in the middle of a change, the old pair stays.
type certificates struct {
	certFile, keyFile string

	mu      sync.Mutex
	pair    *tls.Certificate
	changed time.Time // latest modification of the two files when they were read
	checked time.Time
}

// certificateAge is how old a look at the files may be.
const certificateAge = time.Second

func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}
}

// tlsListener speaks TLS with those whom its listener accepts.
type tlsListener struct {
	net.Listener
	config *tls.Config
}

// Accept implements net.Listener.
func (l tlsListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return errorTLSConn{tls.Server(conn, l.config)}, nil
}

func (c *certificates) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) >= certificateAge {
		c.checked = time.Now()
		if !c.lastChange().Equal(c.changed) {
			_ = c.read() // tried again in a second; the pair in use goes on
		}
	}
	return c.pair
}

func (c *certificates) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

func (c *certificates) read() error {
	changed := c.lastChange()
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair, c.changed = &pair, changed
	return nil
}

func (c *certificates) lastChange() time.Time {
	var last time.Time
	for _, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}
