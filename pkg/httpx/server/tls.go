package server

import (
	"crypto/tls"
	"crypto/x509"
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
	warned, announced rate.Sometimes

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

// RenewWithin is how long before its end a certificate should have been renewed.
const RenewWithin = 14 * 24 * time.Hour

// CheckDates returns why clients refuse a certificate at a time, and what to do about it; the problem is empty if it
// is good.
func CheckDates(leaf *x509.Certificate, now time.Time) (problem, remedy string) {
	switch {
	case now.After(leaf.NotAfter):
		return "it ended at " + leaf.NotAfter.UTC().Format(time.RFC3339),
			"renew it; the service reads it again by itself"
	case now.Before(leaf.NotBefore):
		return "it begins at " + leaf.NotBefore.UTC().Format(time.RFC3339), "set the clock, or wait"
	}
	return "", ""
}

// certificateAge is how old a look at the files may be.
const certificateAge = time.Second

func newCertificates(certFile, keyFile string) *certificates {
	return &certificates{
		certFile: certFile, keyFile: keyFile,
		warned: rate.Sometimes{Interval: time.Minute}, announced: rate.Sometimes{Interval: 24 * time.Hour},
	}
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
		c.judge(time.Now())
	}
	return c.pair
}

// judge warns of a certificate that is not good, and once a day of one that ends soon.
func (c *certificates) judge(now time.Time) {
	end := c.pair.Leaf.NotAfter
	if problem, remedy := CheckDates(c.pair.Leaf, now); problem != "" {
		c.warn("clients refuse the TLS certificate", "problem", problem, "remedy", remedy)
	} else if now.Add(RenewWithin).After(end) {
		c.announced.Do(func() { c.say("the TLS certificate ends soon: renew it, no restart is needed", "end", end) })
	}
}

// warn tells it once a minute.
func (c *certificates) warn(message string, args ...any) {
	c.warned.Do(func() { c.say(message, args...) })
}

func (c *certificates) say(message string, args ...any) {
	if c.log != nil {
		c.log.Warn(message, append(args, "certificate", c.certFile, "key", c.keyFile)...)
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
