package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// The parts that people enter.
const (
	Server    = "url"
	ProxyHost = "proxy_host"
	ProxyPort = "proxy_port"
	ProxyUser = "proxy_user"
)

// Problem is what may not be called: anyone who entered it has to enter something else.
type Problem struct {
	// Part is one of those that people enter.
	Part string
	// Text goes on after the name of the part: "must ...".
	Text string
}

// Error implements error.
func (p *Problem) Error() string { return p.Part + " " + p.Text }

const (
	// maxURL is the longest URL, in characters.
	maxURL = 2048
	// maxName is the longest name of a host.
	maxName = 253
)

// A name of letters, digits and hyphens has one meaning to everybody. It does not end in a number: "127.1" and
// "0x7f.0.0.1" are names to some and addresses to others.
var (
	hostName  = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,62})\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})$`)
	endNumber = regexp.MustCompile(`(^|\.)(\d+|0[xX][0-9A-Fa-f]*)$`)
)

// CheckURL finds what is wrong with the URL of a server to which paths are added, as far as its text tells: a *Problem.
// Where its name leads to, Do finds out.
func (p Policy) CheckURL(text string) error {
	if len(text) > maxURL {
		return &Problem{Part: Server, Text: fmt.Sprintf("must have at most %d characters", maxURL)}
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errNoURL
	case strings.ContainsAny(text, "?#"):
		return &Problem{Part: Server, Text: "must end with its path, without ? and #"}
	}
	return p.check(u)
}

var errNoURL = &Problem{Part: Server, Text: "must be a URL such as https://licenses.example.com"}

func (p Policy) check(u *url.URL) error {
	switch {
	case u.Opaque != "" || u.Host == "":
		return errNoURL
	case u.Scheme != "https" && (u.Scheme != "http" || !p.Private):
		return &Problem{Part: Server, Text: "must begin with https://"}
	case u.User != nil:
		return &Problem{Part: Server, Text: "must not have a user or a password in it"}
	}
	why := hostProblem(u.Hostname())
	if why == "" {
		why = portProblem(u)
	}
	if why != "" {
		return &Problem{Part: Server, Text: why}
	}
	return nil
}

func hostProblem(host string) string {
	const want = "must name its host by a DNS name in ASCII or by an IP address in its usual form"
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return "must not have a zone in its IP address"
		}
		return ""
	}
	if len(host) > maxName || !hostName.MatchString(host) || endNumber.MatchString(host) {
		return want
	}
	return ""
}

func portProblem(u *url.URL) string {
	if u.Port() == "" {
		if strings.HasSuffix(u.Host, ":") {
			return "has no number after its colon"
		}
		return ""
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return "must have a port from 1 to 65535"
	}
	return portNumberProblem(int(n))
}

// portNumberProblem says what is wrong with a port, empty for nothing. Below 1024 other protocols listen, which must
// not be spoken to.
func portNumberProblem(port int) string {
	if port == 80 || port == 443 || port >= 1024 && port <= 65535 {
		return ""
	}
	return "must have the port 80, 443, or one from 1024 to 65535"
}

// maxAddresses is how many addresses of a name are tried.
const maxAddresses = 8

// resolve finds the addresses of a host that may be called; only private ones may be called by plain http. Errors: a
// *Problem where there is none.
func (p Policy) resolve(ctx context.Context, host string, plain bool) (allowed []netip.Addr, err error) {
	found, err := p.look(ctx, host)
	if unknown, ok := errors.AsType[*net.DNSError](err); ok && unknown.IsNotFound && !p.Private {
		return nil, p.refusal(plain) // as for a name of the network around, so that nobody tries such names out
	}
	if err != nil {
		return nil, fmt.Errorf("find the address of the host: %w", err)
	}
	for _, a := range found {
		if r := reachOf(a); p.allows(r) && (!plain || r == private) {
			allowed = append(allowed, a.Unmap())
		}
	}
	if len(allowed) == 0 {
		return nil, p.refusal(plain)
	}
	return allowed[:min(len(allowed), maxAddresses)], nil
}

// look is the one time that a name is asked for.
func (p Policy) look(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if p.Resolver != nil {
		return p.Resolver.LookupNetIP(ctx, "ip", host)
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

func (p Policy) allows(r reach) bool { return r == public || r == private && p.Private }

func (p Policy) refusal(plain bool) *Problem {
	switch {
	case plain:
		return &Problem{Part: Server, Text: "must begin with https://: without it only private addresses may be called"}
	case p.Private:
		return &Problem{Part: Server, Text: "must lead to a server: link-local and reserved addresses are never called"}
	}
	return &Problem{
		Part: Server, Text: "must lead to a public server: its name is not known, or leads to private addresses, " +
			"which are not called",
	}
}
