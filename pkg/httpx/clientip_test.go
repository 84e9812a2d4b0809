package httpx

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

func TestClientIP(t *testing.T) {
	trusted := []string{"10.0.0.0/8", "192.0.2.7", "fd00::/8"}
	tests := map[string]struct {
		peer    string
		headers []string
		want    string
		known   bool
	}{
		"direct":                {"203.0.113.5:1", nil, "203.0.113.5", true},
		"direct IPv6":           {"[2001:db8::1]:1", nil, "2001:db8::1", true},
		"spoofed by a stranger": {"203.0.113.5:1", []string{"X-Forwarded-For", "1.2.3.4"}, "203.0.113.5", true},
		"unnamed proxy": {"192.168.1.1:1", []string{"X-Forwarded-For", "1.2.3.4"}, "192.168.1.1",
			false},
		"unnamed proxy, Forwarded": {"127.0.0.1:1", []string{"Forwarded", "for=1.2.3.4"}, "127.0.0.1", false},
		"unnamed proxy, X-Real-IP": {"[::1]:1", []string{"X-Real-IP", "1.2.3.4"}, "::1", false},
		"named proxy":              {"10.1.1.1:1", []string{"X-Forwarded-For", "1.2.3.4"}, "1.2.3.4", true},
		"named proxy, direct":      {"10.1.1.1:1", nil, "10.1.1.1", true},
		"named by address":         {"192.0.2.7:1", []string{"X-Forwarded-For", "1.2.3.4"}, "1.2.3.4", true},
		"mapped into IPv6": {"[::ffff:10.1.1.1]:1", []string{"X-Forwarded-For", "::ffff:1.2.3.4"},
			"1.2.3.4", true},
		"two proxies": {"10.1.1.1:1", []string{"X-Forwarded-For", "6.6.6.6, 1.2.3.4, 10.2.2.2"},
			"1.2.3.4", true},
		"a line of the proxy's own": {"10.1.1.1:1",
			[]string{"X-Forwarded-For", "6.6.6.6", "X-Forwarded-For", "1.2.3.4"}, "1.2.3.4", true},
		"only proxies": {"10.1.1.1:1", []string{"X-Forwarded-For", "10.3.3.3, 10.2.2.2"}, "10.3.3.3",
			true},
		"garbage": {"10.1.1.1:1", []string{"X-Forwarded-For", "1.2.3.4, unknown"}, "10.1.1.1",
			false},
		"garbage beyond the client": {"10.1.1.1:1", []string{"X-Forwarded-For", "unknown, 1.2.3.4"}, "1.2.3.4",
			true},
		"no element": {"10.1.1.1:1", []string{"X-Forwarded-For", " , "}, "10.1.1.1", false},
		"empty elements": {"10.1.1.1:1",
			[]string{"X-Forwarded-For", "1.2.3.4, ,", "X-Forwarded-For", ""}, "1.2.3.4", true},
		"with a port": {"10.1.1.1:1", []string{"X-Forwarded-For", "1.2.3.4:5678"}, "1.2.3.4", true},
		"IPv6 in brackets": {"10.1.1.1:1", []string{"X-Forwarded-For", "[2001:db8::7]"}, "2001:db8::7",
			true},
		"IPv6 with a port": {"10.1.1.1:1", []string{"X-Forwarded-For", "[2001:db8::7]:443"}, "2001:db8::7",
			true},
		"X-Real-IP alone from a proxy": {"10.1.1.1:1", []string{"X-Real-IP", "6.6.6.6"}, "10.1.1.1", false},
		"Forwarded alone from a proxy": {"10.1.1.1:1", []string{"Forwarded", "for=6.6.6.6"}, "10.1.1.1", false},
		"X-Real-IP is not believed": {"10.1.1.1:1", []string{"X-Forwarded-For", "1.2.3.4", "X-Real-IP", "6.6.6.6"},
			"1.2.3.4", true},
		"zone does not reach the limit": {"10.1.1.1:1", []string{"X-Forwarded-For", "fe80::1%eth0"}, "fe80::1", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *Options) { o.TrustedProxies = trusted })
			var ip string
			var known bool
			r.GET("/", func(c *gin.Context) { ip, known = ClientIP(c), !ViaProxy(c) })
			req := httptest.NewRequest("GET", "/", nil)
			req.RemoteAddr = tt.peer
			for i := 0; i < len(tt.headers); i += 2 {
				req.Header.Add(tt.headers[i], tt.headers[i+1])
			}
			r.ServeHTTP(httptest.NewRecorder(), req)
			if ip != tt.want || known != tt.known {
				t.Errorf("got %s known %v, want %s known %v", ip, known, tt.want, tt.known)
			}
			if warned := strings.Contains(r.log.String(), "LATCHKEY_TRUSTED_PROXIES"); warned == known {
				t.Errorf("warned: %v", warned)
			}
		})
	}
}

func TestNoProxyIsTrustedByDefault(t *testing.T) {
	r := newRig(t, nil)
	r.GET("/", func(c *gin.Context) { c.String(200, ClientIP(c)+" "+c.ClientIP()) })
	if got := r.do(t, "GET", "/", "", "X-Forwarded-For", "1.2.3.4").Body.String(); got != "192.0.2.1 192.0.2.1" {
		t.Errorf("got %s", got)
	}
}

func TestCheckProxies(t *testing.T) {
	if err := CheckProxies([]string{"10.0.0.0/8", "::1", "fd00::/8", "::ffff:10.0.0.0/104"}, true); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "example.com", "10.0.0.0/33", "10.0.0", "*", "nonsense", "fe80::1%eth0"} {
		if CheckProxies([]string{bad}, false) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
