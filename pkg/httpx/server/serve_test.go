package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}

func TestServeDrains(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-release
		hello(w, r)
	})
	l, err := Listen(Server{Name: "public", Addr: "127.0.0.1:0", Handler: slow},
		Server{Name: "internal", Addr: "127.0.0.1:0", Handler: http.HandlerFunc(hello)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	drained, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- l.Serve(ctx, Drain{Begin: func() { close(drained) }}, slog.New(slog.DiscardHandler)) }()
	if got := get(t, http.DefaultClient, l.URL("internal")); got != "hello" {
		t.Errorf("internal answers %q", got)
	}
	answer := make(chan error, 1)
	go func() {
		res, err := http.Get(l.URL("public"))
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			err = errors.Join(err, res.Body.Close())
		}
		answer <- err
	}()
	<-started
	stop()
	<-drained
	for _, name := range []string{"internal", "public"} { // what ends before the request, ends now
		awaitClosed(t, strings.TrimPrefix(l.URL(name), "http://"))
	}
	select {
	case err := <-ended:
		t.Fatalf("ended with a request under way: %v", err)
	default:
	}
	close(release)
	if err := <-answer; err != nil {
		t.Errorf("the request under way was not answered: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func awaitClosed(t *testing.T, address string) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, func() error {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return nil
		}
		return errors.Join(errors.New("still listening at "+address), conn.Close())
	})
}

func TestListenNamesAddressAndSetting(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := Server{Name: "internal", Addr: "127.0.0.1:0"}
	_, err = Listen(free, Server{Name: "public", Addr: taken.Addr().String(), Setting: "LATCHKEY_ADDR"})
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) ||
		!strings.Contains(err.Error(), "LATCHKEY_ADDR") {
		t.Errorf("got %v", err)
	}
}

func TestServerURL(t *testing.T) {
	for addr, want := range map[string]string{
		":5001": "http://127.0.0.1:5001", "0.0.0.0:5001": "http://127.0.0.1:5001", "[::]:5001": "http://127.0.0.1:5001",
		"10.0.0.1:5001": "http://10.0.0.1:5001", "[::1]:1": "http://[::1]:1", "auth:5001": "http://auth:5001",
	} {
		if got := (Server{Addr: addr}).URL(); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
}

func TestTLSReloads(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key, "first")
	var log bytes.Buffer
	c := &certificates{certFile: cert, keyFile: key, log: obs.NewLogger(&log, "warn", "json")}
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	name := func() string {
		c.checked = time.Time{} // as if a second had passed
		leaf, err := x509.ParseCertificate(c.current().Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.Subject.CommonName
	}
	if got := name(); got != "first" {
		t.Errorf("got %s", got)
	}
	if err := os.WriteFile(key, []byte("in the middle of a change"), 0o600); err != nil {
		t.Fatal(err)
	}
	touch(t, key, time.Second)
	if got := name(); got != "first" {
		t.Errorf("half changed: got %s", got)
	}
	if !strings.Contains(log.String(), "stays in use") || !strings.Contains(log.String(), cert) {
		t.Errorf("the log says %s", log.String())
	}
	writeCertificate(t, cert, key, "second")
	touch(t, cert, 2*time.Second)
	if got := name(); got != "second" {
		t.Errorf("changed: got %s", got)
	}
}

// TestTLSWarnsOfDates: the log tells at once that clients refuse a certificate, and once a day that it ends soon.
func TestTLSWarnsOfDates(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key, "ends in an hour")
	for name, tt := range map[string]struct {
		later time.Duration
		want  string
	}{
		"long before the end": {-RenewWithin - time.Hour, ""},
		"soon":                {0, "ends soon"},
		"over":                {2 * time.Hour, "it ended at"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			c := newCertificates(cert, key)
			c.log = obs.NewLogger(&log, "warn", "json")
			if err := c.load(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				c.judge(time.Now().Add(tt.later))
			}
			if tt.want == "" && log.Len() > 0 || tt.want != "" && strings.Count(log.String(), tt.want) != 1 {
				t.Errorf("the log says %q", log.String())
			}
		})
	}
}

func TestTLSServes(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := Listen(Server{Name: "public", Addr: "127.0.0.1:0", TLSCert: cert, TLSKey: key}); err == nil {
		t.Error("started without a certificate")
	}
	writeCertificate(t, cert, key, "localhost")
	l, err := Listen(Server{
		Name:    "public",
		Addr:    "127.0.0.1:0",
		Handler: http.HandlerFunc(hello),
		TLSCert: cert,
		TLSKey:  key,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Serve(ctx, Drain{}, slog.New(slog.DiscardHandler)) }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	if url := l.URL("public"); !strings.HasPrefix(url, "https://") || get(t, client, url) != "hello" {
		t.Errorf("at %s", url)
	}
	old := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11},
	}}
	if _, err := old.Get(l.URL("public")); err == nil {
		t.Error("spoke TLS 1.1")
	}
	client.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func touch(t *testing.T, path string, later time.Duration) {
	t.Helper()
	at := time.Now().Add(later)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func writeCertificate(t *testing.T, certFile, keyFile, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile:  {Type: "PRIVATE KEY", Bytes: raw},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
