package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// names is a resolver whose answers change from one question to the next, up to the last.
type names map[string][][]string

// LookupNetIP implements Resolver.
func (n names) LookupNetIP(_ context.Context, _, host string) (all []netip.Addr, err error) {
	answers := n[host]
	if len(answers) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	for _, text := range answers[0] {
		all = append(all, netip.MustParseAddr(text))
	}
	if len(answers) > 1 {
		n[host] = answers[1:]
	}
	return all, nil
}

// server is a server with a certificate, which counts its calls.
type server struct {
	*httptest.Server
	calls atomic.Int32
}

func serve(t *testing.T, h http.HandlerFunc) *server {
	s := &server{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// client is a client which knows the certificate of httptest's servers: that of example.com.
func client(t *testing.T, p Policy, proxy *Proxy, s *server) *Client {
	t.Helper()
	c, err := New(p, 20*time.Second, proxy)
	if err != nil {
		t.Fatal(err)
	}
	c.transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	c.transport.TLSClientConfig.RootCAs.AddCert(s.Certificate())
	return c
}

// dialed has all calls of c arrive at one address, and notes where they were to go.
func dialed(c *Client, to string) *[]string {
	var mu sync.Mutex
	var asked []string
	c.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, address)
		return (&net.Dialer{}).DialContext(ctx, network, to)
	}
	return &asked
}

func get(t *testing.T, c *Client, rawURL string) (*Answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, rawURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Do(req)
}

// TestWhatWasCheckedIsCalled: a name that leads elsewhere when it is asked again is asked once.
func TestWhatWasCheckedIsCalled(t *testing.T) {
	s := serve(t, hello)
	resolver := names{"example.com": {{"1.1.1.1"}, {"127.0.0.1"}}}
	c := client(t, Policy{Resolver: resolver}, nil, s)
	asked := dialed(c, s.Listener.Addr().String())
	answer, err := get(t, c, "https://example.com/x?y=z")
	if err != nil || answer.Status != http.StatusOK || string(answer.Body) != "hello" {
		t.Fatalf("%+v, %v", answer, err)
	}
	if len(*asked) != 1 || (*asked)[0] != "1.1.1.1:443" {
		t.Errorf("dialed %v", *asked)
	}
	// The next call resolves again, over no earlier connection.
	problem := new(Problem)
	if _, err := get(t, c, "https://example.com"); !errors.As(err, &problem) || s.calls.Load() != 1 {
		t.Errorf("%v after %d calls", err, s.calls.Load())
	}
}

func TestOnlyAllowedAddressesAreCalled(t *testing.T) {
	s := serve(t, hello)
	for name, tt := range map[string]struct {
		url       string
		private   bool
		addresses []string
		want      string // none: refused
	}{
		"public":                   {"https://example.com", false, []string{"1.1.1.1"}, "1.1.1.1:443"},
		"a port":                   {"https://example.com:8443", false, []string{"1.1.1.1"}, "1.1.1.1:8443"},
		"IPv6":                     {"https://example.com", false, []string{"2606:4700::1"}, "[2606:4700::1]:443"},
		"mapped":                   {"https://example.com", false, []string{"::ffff:1.1.1.1"}, "1.1.1.1:443"},
		"one of several":           {"https://example.com", false, []string{"10.0.0.1", "1.1.1.1"}, "1.1.1.1:443"},
		"private":                  {"https://example.com", false, []string{"10.0.0.1", "::1", "fc00::1"}, ""},
		"private, allowed":         {"https://example.com", true, []string{"10.0.0.1"}, "10.0.0.1:443"},
		"public, private allowed":  {"https://example.com", true, []string{"1.1.1.1"}, "1.1.1.1:443"},
		"metadata, allowed":        {"https://example.com", true, []string{"169.254.169.254"}, ""},
		"metadata by IPv6":         {"https://example.com", true, []string{"::ffff:a9fe:a9fe", "fd00:ec2::254"}, ""},
		"a literal":                {"https://127.0.0.1:8443", false, nil, ""},
		"a literal, mapped":        {"https://[::ffff:7f00:1]:8443", false, nil, ""},
		"plain":                    {"http://example.com", false, []string{"1.1.1.1"}, ""},
		"plain, private":           {"http://example.com", false, []string{"10.0.0.1"}, ""},
		"plain, private allowed":   {"http://10.0.0.1:5002", true, nil, "10.0.0.1:5002"},
		"plain to public, allowed": {"http://example.com", true, []string{"1.1.1.1"}, ""},
		"plain to one of several":  {"http://example.com", true, []string{"1.1.1.1", "10.0.0.1"}, "10.0.0.1:80"},
	} {
		t.Run(name, func(t *testing.T) {
			resolver := names{}
			if tt.addresses != nil {
				resolver["example.com"] = [][]string{tt.addresses}
			}
			c := client(t, Policy{Private: tt.private, Resolver: resolver}, nil, s)
			asked := dialed(c, s.Listener.Addr().String())
			_, err := get(t, c, tt.url)
			problem := new(Problem)
			if refused := errors.As(err, &problem); refused != (tt.want == "") {
				t.Errorf("%v", err)
			}
			if got := strings.Join(*asked, " "); got != tt.want {
				t.Errorf("dialed %q, want %q", got, tt.want)
			}
		})
	}
}

// TestControl: the socket itself goes nowhere else, should the check before it ever be passed by.
func TestControl(t *testing.T) {
	s := serve(t, hello)
	c := client(t, Policy{}, nil, s)
	problem := new(Problem)
	if _, err := c.dial(t.Context(), "tcp", s.Listener.Addr().String()); !errors.As(err, &problem) {
		t.Errorf("%v", err)
	}
	if _, err := c.connect(t.Context(), "tcp", s.Listener.Addr().String()); err == nil {
		t.Error("connected without an address that was checked")
	}
	c = client(t, Policy{Private: true, Resolver: names{"example.com": {{"127.0.0.1"}}}}, nil, s)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	if answer, err := get(t, c, "https://example.com:"+port); err != nil || string(answer.Body) != "hello" {
		t.Errorf("%+v, %v", answer, err)
	}
}

// TestTheNextAddressIsTried when nothing answers at the first.
func TestTheNextAddressIsTried(t *testing.T) {
	s := serve(t, hello)
	addresses := []string{"1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4", "1.1.1.5", "1.1.1.6", "1.1.1.7", "1.1.1.8",
		"1.1.1.9"}
	c := client(t, Policy{Resolver: names{"example.com": {addresses}}}, nil, s)
	var asked []string
	c.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		asked = append(asked, address)
		if len(asked) == 2 {
			return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
		}
		return nil, errors.New("nothing answers")
	}
	if _, err := get(t, c, "https://example.com"); err != nil || len(asked) != 2 {
		t.Errorf("%v after %v", err, asked)
	}
	asked = []string{"", ""}
	if _, err := get(t, c, "https://example.com"); err == nil || len(asked) != 2+maxAddresses {
		t.Errorf("%v after %v", err, asked)
	}
}

func TestAnswersThatAreNotTaken(t *testing.T) {
	release := make(chan struct{})
	var s *server
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, s.URL+"/elsewhere", http.StatusTemporaryRedirect)
		case "/long":
			_, _ = w.Write(make([]byte, maxBody+1))
		case "/full":
			_, _ = w.Write(make([]byte, maxBody))
		case "/header":
			w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeader))
		case "/switch":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				defer conn.Close()
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: "+
					"Upgrade\r\n\r\n")
			}
		case "/never":
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-release
		}
	})
	t.Cleanup(func() { close(release) }) // before the server waits for its calls
	c := client(t, Policy{Resolver: names{"example.com": {{"1.1.1.1"}}}}, nil, s)
	dialed(c, s.Listener.Addr().String())
	for path, want := range map[string]error{
		"/redirect": ErrRedirected, "/long": ErrTooLong, "/full": nil, "/switch": errSwitched,
	} {
		if _, err := get(t, c, "https://example.com"+path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if n := s.calls.Load(); n != 4 {
		t.Errorf("%d calls: a redirect was followed", n)
	}
	if _, err := get(t, c, "https://example.com/header"); err == nil {
		t.Error("a header of any length is read")
	}
	c.timeout = 100 * time.Millisecond
	if _, err := get(t, c, "https://example.com/never"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an answer that never ends: %v", err)
	}
}

func TestTimeouts(t *testing.T) {
	for wanted, want := range map[time.Duration]time.Duration{
		0: defaultTimeout, -1: defaultTimeout, time.Second: time.Second, time.Hour: MaxTimeout,
	} {
		if c, err := New(Policy{}, wanted, nil); err != nil || c.timeout != want {
			t.Errorf("%v: %v, %v", wanted, c.timeout, err)
		}
	}
}

// TestTLS: neither an old protocol nor a certificate of somebody else is taken.
func TestTLS(t *testing.T) {
	old := &server{Server: httptest.NewUnstartedServer(http.HandlerFunc(hello))}
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	t.Cleanup(old.Close)
	for name, tt := range map[string]struct {
		server *server
		url    string
	}{
		"TLS 1.1":        {old, "https://example.com"},
		"another's name": {serve(t, hello), "https://other.invalid"},
	} {
		c := client(t, Policy{Resolver: names{"example.com": {{"1.1.1.1"}}, "other.invalid": {{"1.1.1.1"}}}}, nil,
			tt.server)
		asked := dialed(c, tt.server.Listener.Addr().String())
		if _, err := get(t, c, tt.url); err == nil || len(*asked) != 1 {
			t.Errorf("%s: %v after %v", name, err, *asked)
		}
	}
}

// TestTheEnvironmentsProxyIsNotUsed: it would reach what the address check refuses.
func TestTheEnvironmentsProxyIsNotUsed(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://1.1.1.2:3128")
	}
	s := serve(t, hello)
	c := client(t, Policy{Resolver: names{"example.com": {{"1.1.1.1"}}}}, nil, s)
	asked := dialed(c, s.Listener.Addr().String())
	if _, err := get(t, c, "https://example.com"); err != nil || (*asked)[0] != "1.1.1.1:443" {
		t.Errorf("%v, dialed %v", err, *asked)
	}
	req := &http.Request{URL: &url.URL{Scheme: "https", Host: "example.com"}}
	if proxy, err := c.transport.Proxy(req); proxy != nil || err != nil {
		t.Errorf("%v, %v", proxy, err)
	}
}
