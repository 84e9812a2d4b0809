package outbound

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckURL(t *testing.T) {
	for _, good := range []string{
		"https://licenses.example.com", "https://licenses.example.com/", "https://a.example:8443/latchkey/",
		"https://1.1.1.1", "https://[2606:4700::1]:5002/", "https://xn--bcher-kva.example", "https://upstream",
		"https://a_b.example", "HTTPS://A.EXAMPLE", "https://a.example:443", "https://a.example:80",
		"https://3com.example", "https://4.example.x2",
	} {
		for _, p := range []Policy{{}, {Private: true}} {
			if err := p.CheckURL(good); err != nil {
				t.Errorf("%s with %+v: %v", good, p, err)
			}
		}
	}
	if err := (Policy{Private: true}).CheckURL("http://127.0.0.1:5002"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		"", "licenses.example.com", "//a.example", "https:", "https://", "https:///path", "https:a.example", "/path",
		"ftp://a.example", "file:///etc/passwd", "gopher://a.example", "javascript:alert(1)", "unix:/run/x",
		// credentials and what hides a host behind them
		"https://user@a.example", "https://user:word@a.example", "https://@a.example", "https://a.example@evil.example",
		"https://a.example\\@evil.example", "https://a.example#@evil.example", "https://a.example?x=1",
		"https://a.example?", "https://a.example#", "https://a.example/x?y#z",
		// other ways to write an address
		"https://2130706433", "https://0x7f000001", "https://0x7f.1", "https://0177.0.0.1", "https://017700000001",
		"https://127.1", "https://127.0.1", "https://127.0.0.1.", "https://127.000.000.001", "https://127.0.0.1.0",
		"https://0", "https://a.example.", "https://localhost.", "https://1.2.3.0x", "https://256.1.1.1",
		"https://①②⑦.0.0.1", "https://127。0。0。1", "https://ⓛocalhost", "https://１２７.0.0.1", "https://bücher.example",
		"https://a..example", "https://.example", "https://-", "https://a.example%00", "https://a%2eexample",
		"https://a.example%2f.evil.example", "https://a b.example", "https://a,b.example", "https://a\x00.example",
		"https://a.example\n", "https://[::1", "https://::1", "https://[::1%25lo]", "https://[fe80::1%eth0]",
		"https://[v1.x]", "https://[127.0.0.1]x",
		"https://" + strings.Repeat("a", 64) + ".example", "https://" + strings.Repeat("a.", 127) + "example",
		"https://a.example/" + strings.Repeat("a", maxURL),
		// ports
		"https://a.example:", "https://a.example:0", "https://a.example:22", "https://a.example:25",
		"https://a.example:1023", "https://a.example:65536", "https://a.example:-1", "https://a.example:x",
		"https://a.example:443:443", "https://a.example:+443", "https://a.example:0x1bb",
	} {
		for _, p := range []Policy{{}, {Private: true}} {
			problem := new(Problem)
			if err := p.CheckURL(bad); !errors.As(err, &problem) || problem.Part != Server {
				t.Errorf("%q with %+v: %v", bad, p, err)
			}
		}
	}
	if err := (Policy{}).CheckURL("http://a.example"); err == nil {
		t.Error("plain http is taken")
	}
}

func TestProxyProblems(t *testing.T) {
	for name, tt := range map[string]struct {
		proxy Proxy
		part  string
	}{
		"no host":            {Proxy{Port: 3128}, ProxyHost},
		"a URL":              {Proxy{Host: "http://proxy.example", Port: 3128}, ProxyHost},
		"a host with a port": {Proxy{Host: "proxy.example:3128", Port: 3128}, ProxyHost},
		"a short address":    {Proxy{Host: "127.1", Port: 3128}, ProxyHost},
		"a line":             {Proxy{Host: "proxy.example\r\nX: y", Port: 3128}, ProxyHost},
		"no port":            {Proxy{Host: "proxy.example"}, ProxyPort},
		"another's port":     {Proxy{Host: "proxy.example", Port: 25}, ProxyPort},
		"beyond the ports":   {Proxy{Host: "proxy.example", Port: 65536}, ProxyPort},
		"a colon":            {Proxy{Host: "proxy.example", Port: 3128, User: "a:b"}, ProxyUser},
	} {
		problem := new(Problem)
		if _, err := New(Policy{Private: true}, 0, &tt.proxy); !errors.As(err, &problem) || problem.Part != tt.part {
			t.Errorf("%s: %v", name, err)
		}
	}
}
