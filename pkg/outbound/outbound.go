// Package outbound calls servers whose addresses people enter, without letting them reach what they could not reach
// themselves: no address of a cloud's metadata service is called, and none of this computer or of the networks around
// it (unless Policy.Private, which is LATCHKEY_EDGE_PRIVATE_UPSTREAM, allows these), in whatever form it is written or
// whatever name leads to it. A name is resolved once for each call, and what was checked is what is called. Redirects
// are not followed, and proxies of the environment are not used.
package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/attribute"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// MaxTimeout is the longest time that one call may take.
const MaxTimeout = 1000 * time.Second

const (
	defaultTimeout = 30 * time.Second
	// stepTimeout bounds each step before the request: the name, the connection, and TLS. For the way through a proxy
	// there is the time of the whole call.
	stepTimeout = 10 * time.Second
	// maxHeader and maxBody bound an answer, in bytes.
	maxHeader = 64 << 10
	maxBody   = 1 << 20
)

// What a call ends with besides a *Problem, and failures of the network.
var (
	ErrRedirected = errors.New("the server answers with a redirect, which is not followed")
	ErrTooLong    = fmt.Errorf("the answer has more than %d bytes", maxBody)

	errSwitched = errors.New("the server switched to another protocol")
)

// Resolver finds the addresses of a name, as net.Resolver does.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Policy says what may be called.
type Policy struct {
	// Private lets private addresses be called, those by plain http too: of this computer and of the networks around
	// it.
	Private bool
	// Resolver is nil for that of the system.
	Resolver Resolver
}

// Proxy is an HTTP proxy. It is checked as a server is. Servers behind it are checked before it is asked; but it
// resolves their names again, so that what a name leads to in its network is for the proxy to guard.
type Proxy struct {
	Host string
	Port int
	// User is empty where it asks for none.
	User     string
	Password secret.Secret
}

// Client calls servers.
type Client struct {
	policy    Policy
	timeout   time.Duration
	proxy     *url.URL
	transport *http.Transport
	// dial connects to an address that was checked.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// New makes a client whose calls take timeout at most, each; 0 is 30 seconds. proxy may be nil. Errors: a *Problem.
func New(p Policy, timeout time.Duration, proxy *Proxy) (*Client, error) {
	c := &Client{policy: p, timeout: min(timeout, MaxTimeout)}
	if timeout <= 0 {
		c.timeout = defaultTimeout
	}
	if proxy != nil {
		var err error
		if c.proxy, err = proxy.url(); err != nil {
			return nil, err
		}
	}
	c.dial = (&net.Dialer{Timeout: stepTimeout, Control: c.control}).DialContext
	c.transport = &http.Transport{
		Proxy:                  http.ProxyURL(c.proxy),
		DialContext:            c.connect,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    stepTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableKeepAlives:      true, // each call resolves the name again
		DisableCompression:     true,
		OnProxyConnectResponse: checkProxy,
	}
	return c, nil
}

func (p *Proxy) url() (*url.URL, error) {
	if why := hostProblem(p.Host); why != "" {
		return nil, &Problem{Part: ProxyHost, Text: why}
	}
	if why := portNumberProblem(p.Port); why != "" {
		return nil, &Problem{Part: ProxyPort, Text: why}
	}
	if strings.Contains(p.User, ":") {
		return nil, &Problem{Part: ProxyUser, Text: "must not have a colon"}
	}
	u := &url.URL{Scheme: "http", Host: net.JoinHostPort(p.Host, strconv.Itoa(p.Port))}
	if p.User != "" {
		u.User = url.UserPassword(p.User, p.Password.Reveal())
	}
	return u, nil
}

// Answer is what a server answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request. Errors: a *Problem, ErrRedirected, ErrTooLong, a *ProxyError, and failures of the network;
// FailureOf tells them apart. None of them names a credential.
func (c *Client) Do(req *http.Request) (answer *Answer, err error) {
	ctx, cancel := context.WithTimeout(req.Context(), c.timeout)
	defer cancel()
	if trace.Recording(ctx) {
		var span oteltrace.Span
		ctx, span = trace.Start(ctx, req.Method, spanOf(req)...)
		defer func() { trace.End(span, err) }()
	}
	if err := c.policy.check(req.URL); err != nil {
		return nil, err
	}
	addresses, err := c.addresses(ctx, req.URL)
	if err != nil {
		return nil, err
	}
	res, err := c.transport.RoundTrip(req.WithContext(context.WithValue(ctx, pinned{}, addresses)))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusProxyAuthRequired && c.proxy != nil {
		return nil, &ProxyError{res.StatusCode}
	}
	switch res.StatusCode / 100 {
	case 1:
		return nil, errSwitched
	case 3:
		return nil, ErrRedirected
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = ErrTooLong
	}
	if err != nil {
		return nil, err
	}
	return &Answer{Status: res.StatusCode, Header: res.Header, Body: body}, nil
}

// spanOf describes a call to those who read traces. The server does not get the trace: it is a stranger's.
func spanOf(req *http.Request) []oteltrace.SpanStartOption {
	return []oteltrace.SpanStartOption{
		oteltrace.WithSpanKind(oteltrace.SpanKindClient),
		oteltrace.WithAttributes(
			attribute.String("http.request.method", req.Method),
			attribute.String("server.address", req.URL.Hostname()),
		),
	}
}

// pinned is where a call keeps the addresses that it may connect to.
type pinned struct{}

// addresses are those to connect to for a call of u: of the server, or of the proxy.
func (c *Client) addresses(ctx context.Context, u *url.URL) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	plain := u.Scheme == "http"
	if c.proxy == nil {
		return c.policy.resolve(ctx, u.Hostname(), plain)
	}
	if err := c.checkBehindProxy(ctx, u.Hostname(), plain); err != nil {
		return nil, err
	}
	addresses, err := c.policy.resolve(ctx, c.proxy.Hostname(), false)
	if problem := new(Problem); errors.As(err, &problem) {
		problem.Part = ProxyHost
	}
	return addresses, err
}

// checkBehindProxy checks a server that the proxy will connect to. Some networks resolve names of the outside at their
// proxies alone: such a name is taken where private addresses may be called anyway.
func (c *Client) checkBehindProxy(ctx context.Context, host string, plain bool) error {
	_, err := c.policy.resolve(ctx, host, plain)
	if unknown := new(net.DNSError); c.policy.Private && errors.As(err, &unknown) && !plain {
		return nil
	}
	return err
}

// connect dials the addresses of the call, in their order, instead of the name.
func (c *Client) connect(ctx context.Context, network, address string) (conn net.Conn, err error) {
	addresses, _ := ctx.Value(pinned{}).([]netip.Addr)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	err = errors.New("no address was checked for this call")
	for _, a := range addresses {
		if conn, err = c.dial(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// control looks at the address of a socket once more, whoever asked for it.
func (c *Client) control(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err == nil && !c.policy.allows(reachOf(a.Addr())) {
		err = c.policy.refusal(false)
	}
	return err
}
