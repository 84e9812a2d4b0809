package server

import (
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// certificates serves the key pair of two files, and the new one soon after they change. While they do not fit
// together, as in the middle of a change, the old pair stays.
type certificates struct {
	certFile, keyFile string
	log               *slog.Logger // nil before the server serves
	warned            rate.Sometimes

	mu      sync.Mutex
	pair    *tls.Certificate
	files   [2]fileState // when they were read
	checked time.Time
}

// fileState tells one content of a file from another: a copy may keep an older time.
type fileState struct {
	changed time.Time
	size    int64
}

// certificateAge is how old a look at the files may be.
const certificateAge = time.Second

func newCertificates(certFile, keyFile string) *certificates {
	return &certificates{certFile: certFile, keyFile: keyFile, warned: rate.Sometimes{Interval: time.Minute}}
}

func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}
}

// tlsListener speaks TLS with those whom its listener accepts.
type tlsListener struct {
	*listener
	config *tls.Config
}

// Accept implements net.Listener.
func (l tlsListener) Accept() (net.Conn, error) {
	conn, err := l.listener.Accept()
	if err != nil {
		return nil, err
	}
	return errorTLSConn{tls.Server(conn, l.config), l.log}, nil
}

func (c *certificates) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) >= certificateAge {
		c.checked = time.Now()
		if c.states() != c.files {
			if err := c.read(); err != nil { // tried again in a second
				c.warn("the TLS certificate has changed and cannot be read; the previous one stays in use",
					"error", err)
			}
		}
		if end := c.pair.Leaf.NotAfter; time.Now().After(end) {
			c.warn("the TLS certificate has expired; replace the files, no restart is needed", "expired_at", end)
		}
	}
	return c.pair
}

// warn tells it once a minute.
func (c *certificates) warn(message string, args ...any) {
	if c.log != nil {
		c.warned.Do(func() { c.log.Warn(message, append(args, "certificate", c.certFile, "key", c.keyFile)...) })
	}
}

func (c *certificates) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

func (c *certificates) read() error {
	files := c.states()
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair, c.files = &pair, files
	return nil
}

// states is what the files are like now; one that is not there has none.
func (c *certificates) states() (states [2]fileState) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			states[i] = fileState{info.ModTime(), info.Size()}
		}
	}
	return states
}
