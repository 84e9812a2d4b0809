package appliance

import (
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
	maxSeconds = 1000
)

// check names the members as the API does. Addresses are the upstream's port to check: it knows what may be called.
func (a *Account) check() error {
	bad := apierr.Fields{}
	if a.URL == "" {
		bad.Add("url", "is required: LATCHKEY_EDGE_URL names no default")
	}
	for name, text := range map[string]secret.Secret{"user": a.LicenseKey, "token": a.APIKey} {
		bad.Require(name, text.Reveal())
		checkText(bad, name, text.Reveal())
	}
	bad.Range("timeout", a.Seconds, 1, maxSeconds)
	if a.Proxy != nil {
		checkText(bad, "proxy_user", a.Proxy.User)
		checkText(bad, "proxy_password", a.Proxy.Password.Reveal())
	}
	return bad.Err()
}

// checkText wants text of bounded length that may be in a header.
func checkText(bad apierr.Fields, name, text string) {
	bad.MaxLen(name, text, maxText)
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		bad.Add(name, "must not have control characters")
	}
}

// timeout is how long a call may take.
func (a *Account) timeout() time.Duration { return time.Duration(a.Seconds) * time.Second }

// sameSeat reports whether two accounts are of one license at one upstream.
func (a *Account) sameSeat(b *Account) bool { return a.URL == b.URL && a.LicenseKey == b.LicenseKey }
