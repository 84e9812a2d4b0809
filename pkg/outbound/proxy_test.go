package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/secret"
)

const proxyPassword = "hunter2-of-the-proxy"

// proxy is an HTTP proxy that wants a password, and leads all calls to one server.
type proxy struct {
	*httptest.Server
	to    *server
	mu    sync.Mutex
	asked []string
}

func startProxy(t *testing.T, to *server) *proxy {
	p := &proxy{to: to}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.RequestURI)
	p.mu.Unlock()
	r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
	if user, password, _ := r.BasicAuth(); user != "appliance" || password != proxyPassword {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		hello(w, r)
		return
	}
	server, err := net.Dial("tcp", p.to.Listener.Addr().String())
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		defer server.Close()
		_, _ = io.Copy(server, client)
	}()
	defer client.Close()
	_, _ = io.Copy(client, server)
}

// through makes the client that calls by way of p, which has the address 9.9.9.9.
func (p *proxy) through(t *testing.T, policy Policy, password secret.Secret) (*Client, *[]string) {
	t.Helper()
	c := client(t, policy, &Proxy{Host: "proxy.example", Port: 3128, User: "appliance", Password: password}, p.to)
	return c, dialed(c, p.Listener.Addr().String())
}

func TestProxy(t *testing.T) {
	s := serve(t, hello)
	for name, tt := range map[string]struct {
		url, at, proxyAt string
		private          bool
		asked            string // none: refused
		proxys           bool   // it is the proxy's address that is refused
	}{
		"public":             {"https://example.com", "1.1.1.1", "9.9.9.9", false, "CONNECT example.com:443", false},
		"a private server":   {"https://example.com", "10.0.0.1", "9.9.9.9", false, "", false},
		"a private literal":  {"https://127.0.0.1:8443", "", "9.9.9.9", false, "", false},
		"metadata":           {"https://example.com", "169.254.169.254", "9.9.9.9", true, "", false},
		"plain, public":      {"http://example.com", "1.1.1.1", "9.9.9.9", true, "", false},
		"plain, private":     {"http://example.com/a", "10.0.0.1", "9.9.9.9", true, "GET http://example.com/a", false},
		"plain, not allowed": {"http://example.com/a", "10.0.0.1", "9.9.9.9", false, "", false},
		"unknown":            {"https://example.com", "", "9.9.9.9", false, "", false},
		"known to the proxy": {"https://example.com", "", "9.9.9.9", true, "CONNECT example.com:443", false},
		"plain and unknown":  {"http://example.com", "", "9.9.9.9", true, "", false},
		"a private proxy":    {"https://example.com", "1.1.1.1", "192.168.1.15", false, "", true},
		"a private proxy, allowed": {"https://example.com", "1.1.1.1", "192.168.1.15", true, "CONNECT example.com:443",
			false},
		"a proxy that is no server": {"https://example.com", "1.1.1.1", "169.254.169.254", true, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			resolver := names{"proxy.example": {{tt.proxyAt}, {"127.0.0.1"}}}
			if tt.at != "" {
				resolver["example.com"] = [][]string{{tt.at}}
			}
			p := startProxy(t, s)
			c, dialed := p.through(t, Policy{Private: tt.private, Resolver: resolver}, proxyPassword)
			answer, err := get(t, c, tt.url)
			problem := new(Problem)
			if errors.As(err, &problem) && (problem.Part == ProxyHost) != tt.proxys {
				t.Errorf("%v", err)
			}
			if (err == nil) != (tt.asked != "") || err == nil && string(answer.Body) != "hello" {
				t.Errorf("%+v, %v", answer, err)
			}
			if got := strings.Join(p.asked, ", "); got != tt.asked {
				t.Errorf("the proxy was asked for %q, want %q", got, tt.asked)
			}
			if tt.asked != "" && strings.Join(*dialed, " ") != tt.proxyAt+":3128" {
				t.Errorf("dialed %v", *dialed)
			}
		})
	}
}

// TestErrorsNameNoCredential: a log shows them.
func TestErrorsNameNoCredential(t *testing.T) {
	s := serve(t, hello)
	p := startProxy(t, s)
	resolver := names{"proxy.example": {{"9.9.9.9"}}, "example.com": {{"1.1.1.1"}}}
	const wrong = "hunter3-of-the-proxy"
	c, _ := p.through(t, Policy{Resolver: resolver}, wrong)
	_, refused := get(t, c, "https://example.com")
	c.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nothing answers") }
	_, away := get(t, c, "https://example.com")
	_, inURL := get(t, c, "https://somebody:"+wrong+"@example.com")
	if got := FailureOf(refused); got.Reason != "proxy_refused" {
		t.Errorf("%v is %+v", refused, got)
	}
	for _, err := range []error{refused, away, inURL} {
		if err == nil || strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), "appliance") {
			t.Errorf("%v", err)
		}
	}
	if n := s.calls.Load(); n != 0 {
		t.Errorf("the server was called %d times", n)
	}
}
