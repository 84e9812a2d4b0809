package appliance

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// Account is how an upstream is asked. It holds credentials.
type Account struct {
	URL string
	// LicenseKey is that of the license, APIKey the upstream's for its clients.
	LicenseKey, APIKey secret.Secret
	// Seconds is how long a call may take.
	Seconds int
	// Proxy is that of all calls, nil for none.
	Proxy *Proxy
}

// Proxy is an HTTP proxy.
type Proxy struct {
	Host     string
	Port     int
	User     string
	Password secret.Secret
}

// Bounds of an account.
const (
	maxText    = 255
	maxURL     = 2000
	maxSeconds = 1000
	maxPort    = 65535
)

// check names the members as the API does.
func (a *Account) check() error {
	bad := apierr.Fields{}
	checkURL(bad, a.URL)
	for name, text := range map[string]secret.Secret{"user": a.LicenseKey, "token": a.APIKey} {
		bad.Require(name, text.Reveal())
		checkText(bad, name, text.Reveal())
	}
	bad.Range("timeout", a.Seconds, 1, maxSeconds)
	if a.Proxy != nil {
		a.Proxy.check(bad)
	}
	return bad.Err()
}

func (p *Proxy) check(bad apierr.Fields) {
	if strings.Trim(p.Host, "[]") == "" || strings.ContainsAny(p.Host, "/@?#\\% ") {
		bad.Add("proxy_host", "must be a host name or an address, without a scheme and port")
	}
	bad.Range("proxy_port", p.Port, 1, maxPort)
	checkText(bad, "proxy_host", p.Host)
	checkText(bad, "proxy_user", p.User)
	checkText(bad, "proxy_password", p.Password.Reveal())
}

func checkURL(bad apierr.Fields, text string) {
	if text == "" {
		bad.Add("url", "is required: LATCHKEY_EDGE_URL names no default")
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > maxURL || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		bad.Add("url", fmt.Sprintf("must be a URL that begins with https:// or http://, of at most %d characters",
			maxURL))
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		bad.Add("url", "must end after the host, port and path")
	}
}

// checkText wants text of bounded length that may stand in a header.
func checkText(bad apierr.Fields, name, text string) {
	bad.MaxLen(name, text, maxText)
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		bad.Add(name, "must not have control characters")
	}
}

// timeout is how long a call may take.
func (a *Account) timeout() time.Duration { return time.Duration(a.Seconds) * time.Second }

// sameSeat tells whether two accounts are of one license at one upstream.
func (a *Account) sameSeat(b *Account) bool { return a.URL == b.URL && a.LicenseKey == b.LicenseKey }
