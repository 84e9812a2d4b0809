package app

import (
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

func goodBase() Base {
	b := Base{
		Addr:         ":5001",
		InternalAddr: ":5101",
		DatabaseURL:  "postgres://x/y",
		AMQPURL:      "amqp://u:" + password + "@x/",
	}
	id := rpc.NewIdentity("auth")
	b.Introduce(id, id, rpc.NewIdentity("license"))
	config.Defaults(&b)
	return b
}

// textKey is base64 of 32 letters.
var textKey = secret.Secret(base64.StdEncoding.EncodeToString([]byte("dev-internal-key-dev-internal-ke")))

func TestBaseValidate(t *testing.T) {
	tests := map[string]struct {
		change func(*Base)
		want   []string // settings named, none = fine
	}{
		"good":     {func(*Base) {}, nil},
		"missing":  {func(b *Base) { b.InternalKey = "" }, []string{"LATCHKEY_INTERNAL_KEY"}},
		"no peers": {func(b *Base) { b.InternalPeers = nil }, []string{"LATCHKEY_INTERNAL_PEERS"}},
		"peers without keys": {func(b *Base) { b.InternalPeers = []string{"auth", "license"} },
			[]string{"LATCHKEY_INTERNAL_PEERS"}},
		"short key": {func(b *Base) { b.InternalKey = "short" }, []string{"LATCHKEY_INTERNAL_KEY"}},
		"monotonous": {func(b *Base) { b.InternalKey = secret.Secret(strings.Repeat("A", 43)) },
			[]string{"LATCHKEY_INTERNAL_KEY"}},
		"text for a key":      {func(b *Base) { b.InternalKey = textKey }, []string{"LATCHKEY_INTERNAL_KEY"}},
		"text in development": {func(b *Base) { b.InternalKey, b.Env = textKey, Development }, nil},
		"bad servers": {func(b *Base) {
			b.DatabaseURL, b.AMQPURL = "postgres://x/y?sslmode=maybe", "amqp://x:y"
		}, []string{"LATCHKEY_DATABASE_URL", "LATCHKEY_AMQP_URL"}},
		"key of the profile": {func(b *Base) { b.InternalKey = "ZGV2LWludGVybmFsLWtleS1vZi1hdXRoLS0tLS0tLS0=" },
			[]string{"LATCHKEY_INTERNAL_KEY"}},
		"peer of the profile": {func(b *Base) {
			b.InternalPeers = append(b.InternalPeers, "admin:LWF3IrWxcDOXJcGpyuz2JK5T4dow/iWLYJpU1CNtOYc=")
		}, []string{"LATCHKEY_INTERNAL_PEERS"}},
		"passwords": {func(b *Base) {
			b.DatabaseURL, b.AMQPURL = "postgres://x:dev@db/y", "amqp://guest:guest@mq/"
		}, []string{"LATCHKEY_DATABASE_URL", "LATCHKEY_AMQP_URL"}},
		"password as a parameter": {func(b *Base) { b.DatabaseURL = "postgres://x@db/y?password=dev" },
			[]string{"LATCHKEY_DATABASE_URL"}},
		"password in disguise": {func(b *Base) { b.DatabaseURL = "postgres://x:d%65v@db/y" },
			[]string{"LATCHKEY_DATABASE_URL"}},
		// the driver's is guest
		"password left out":  {func(b *Base) { b.AMQPURL = "amqp://mq/" }, []string{"LATCHKEY_AMQP_URL"}},
		"no password at all": {func(b *Base) { b.AMQPURL = "amqps://mq/?auth_mechanism=external" }, nil},
		"passwords in development": {func(b *Base) { b.Env, b.DatabaseURL = Development, "postgres://x:dev@db/y" },
			nil},
		"proxies": {func(b *Base) { b.TrustedProxies = []string{"10.0.0.0/8", "nginx"} },
			[]string{"LATCHKEY_TRUSTED_PROXIES"}},
		"every IPv4 is a proxy": {func(b *Base) { b.TrustedProxies = []string{"10.0.0.0/8", "0.0.0.0/0"} },
			[]string{"LATCHKEY_TRUSTED_PROXIES"}},
		"every IPv6 is a proxy": {func(b *Base) { b.TrustedProxies = []string{"::/0"} },
			[]string{"LATCHKEY_TRUSTED_PROXIES"}},
		"every mapped IPv4": {func(b *Base) { b.TrustedProxies = []string{"::ffff:0:0/96"} },
			[]string{"LATCHKEY_TRUSTED_PROXIES"}},
		"all of them, development": {func(b *Base) { b.Env, b.TrustedProxies = Development, []string{"0.0.0.0/0"} },
			nil},
		"certificate without key": {func(b *Base) { b.TLSCertFile = "/x" }, []string{"LATCHKEY_TLS_KEY_FILE"}},
		"key without certificate": {func(b *Base) { b.TLSKeyFile = "/x" }, []string{"LATCHKEY_TLS_CERT_FILE"}},
		"no such certificate": {func(b *Base) { b.TLSCertFile, b.TLSKeyFile = "/nowhere", "/nowhere" },
			[]string{"LATCHKEY_TLS_CERT_FILE"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := goodBase()
			tt.change(&b)
			err := b.Validate()
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				return
			}
			if found := flatten(err); len(found) != len(tt.want) {
				t.Errorf("got %v, want %d problems", err, len(tt.want))
			}
			for _, setting := range tt.want {
				if !strings.Contains(err.Error(), setting+" (") {
					t.Errorf("%v does not name %s", err, setting)
				}
			}
		})
	}
}

func TestCheckMasterKey(t *testing.T) {
	zeros := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, tt := range []struct {
		env  string
		key  secret.Secret
		fine bool
	}{
		{Production, goodKey, true}, {Production, "", false}, {Production, "abc", false},
		{Production, secret.Secret(zeros), false},
		{Development, secret.Secret(zeros), true}, {Development, "abc", false}, {Production, goodKey + goodKey, false},
	} {
		keys := MasterKeys{MasterKey: tt.key}
		err := Base{Env: tt.env}.CheckMasterKey(&keys, &keys.MasterKey)
		if (err == nil) != tt.fine {
			t.Errorf("%s %q: got %v", tt.env, tt.key.Reveal(), err)
		}
		if err != nil && tt.key != "" && strings.Contains(err.Error(), tt.key.Reveal()) {
			t.Errorf("%v tells the key", err)
		}
	}
}

func TestPublicMetrics(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		env  string
		set  *bool
		want bool
	}{{Production, nil, false}, {Development, nil, true}, {Production, &yes, true}, {Development, &no, false}} {
		if got := (Base{Env: tt.env, MetricsPublic: tt.set}).PublicMetrics(); got != tt.want {
			t.Errorf("%s %v: got %v", tt.env, tt.set, got)
		}
	}
}

func TestHealthcheckOverTLS(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	b := &Base{Addr: strings.TrimPrefix(server.URL, "https://"), TLSCertFile: "set"}
	if err := alive(t.Context(), b); err != nil {
		t.Error(err)
	}
	status = http.StatusServiceUnavailable
	if err := alive(t.Context(), b); err == nil {
		t.Error("503 is not alive")
	}
}

// TestExposedConnections: production warns of connections that carry secrets unencrypted, and of no other.
func TestExposedConnections(t *testing.T) {
	quiet := Base{
		Env: Production, DatabaseURL: "postgres://db/x?sslmode=verify-full",
		AMQPURL: "amqps://mq/", AuthURL: "https://auth:5101",
		LicenseURL: "http://127.0.0.1:5102", AnalyticsURL: "http://localhost:5103",
		AdminURL: "https://admin:5104",
	}
	for name, tt := range map[string]struct {
		change func(*Base)
		want   []string
	}{
		"all encrypted or local": {func(*Base) {}, nil},
		"sslmode=disable": {func(b *Base) { b.DatabaseURL = "postgres://u:hush@db/x?sslmode=disable" },
			[]string{"LATCHKEY_DATABASE_URL"}},
		"amqp": {func(b *Base) { b.AMQPURL = "amqp://u:hush@mq/" }, []string{"LATCHKEY_AMQP_URL"}},
		"http to a peer": {
			func(b *Base) {
				b.AuthURL, b.LicenseURL, b.AdminURL = "http://auth:5101", "http://10.0.0.1:5102", "http://admin:5104"
			},
			[]string{"LATCHKEY_AUTH_URL", "LATCHKEY_LICENSE_URL", "LATCHKEY_ADMIN_URL"},
		},
		"development": {func(b *Base) { b.Env, b.AMQPURL = Development, "amqp://mq/" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := quiet
			tt.change(&b)
			var logs buffer
			b.WarnExposed(t.Context(), slog.New(slog.NewTextHandler(&logs, nil)))
			if n := strings.Count(logs.String(), "level=WARN"); n != len(tt.want) ||
				strings.Contains(logs.String(), "hush") {
				t.Errorf("%d warnings, want %d:\n%s", n, len(tt.want), logs.String())
			}
			for _, setting := range tt.want {
				if !strings.Contains(logs.String(), "setting="+setting+" ") {
					t.Errorf("no warning of %s:\n%s", setting, logs.String())
				}
			}
		})
	}
}

// TestPlainPorts: whoever opens a port to other computers without TLS is told so in production.
func TestPlainPorts(t *testing.T) {
	for _, tt := range []struct {
		env, addr, certificate string
		want                   bool
	}{
		{Production, ":5004", "", true}, {Production, "0.0.0.0:5004", "", true},
		{Production, "192.0.2.1:5004", "", true},
		{Production, "127.0.0.1:5004", "", false}, {Production, "localhost:5004", "", false},
		{Production, ":5004", "tls.crt", false}, {Development, ":5004", "", false},
	} {
		var logs buffer
		Base{Env: tt.env}.WarnPlain(t.Context(), slog.New(slog.NewTextHandler(&logs, nil)),
			server.Server{Addr: tt.addr, Setting: "LATCHKEY_ADDR", TLSCert: tt.certificate})
		if warned := strings.Contains(logs.String(), "level=WARN"); warned != tt.want {
			t.Errorf("%+v: warned %v: %s", tt, warned, logs.String())
		}
	}
}

// TestServeWarns: the start of a service says which of its connections and ports are open to others.
func TestServeWarns(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	t.Run("connections", func(t *testing.T) {
		goodEnv(t)
		t.Setenv("LATCHKEY_AUTH_URL", "http://auth.example:5101")
		var logs buffer
		Execute(stopped, service(), []string{"serve"}, io.Discard, &logs)
		if !strings.Contains(logs.String(), "LATCHKEY_AUTH_URL") ||
			strings.Contains(logs.String(), "LATCHKEY_ADMIN_URL") {
			t.Errorf("no warning of the one plain connection:\n%s", logs.String())
		}
	})
	for setting, open := range map[string]func(*Base){
		"LATCHKEY_INTERNAL_ADDR": func(b *Base) { b.InternalAddr = ":0" },
		"LATCHKEY_ADDR":          func(b *Base) { b.Addr = ":0" },
		"none":                   func(*Base) {},
	} {
		t.Run(setting, func(t *testing.T) {
			s, d := service(), deps(t)
			base := &s.Config.(*testConfig).Base
			base.Env, base.DrainDelay = Production, new(time.Duration)
			open(base)
			var logs buffer
			d.Log = slog.New(slog.NewTextHandler(&logs, nil))
			if err := (&program{Service: s}).serve(stopped, d); err != nil {
				t.Fatal(err)
			}
			for _, port := range []string{"LATCHKEY_INTERNAL_ADDR", "LATCHKEY_ADDR"} {
				warning := regexp.MustCompile("setting=" + port + `\s`)
				if warning.MatchString(logs.String()) != (port == setting) {
					t.Errorf("of %s:\n%s", port, logs.String())
				}
			}
		})
	}
}

// TestEventLogDays: a Config made by hand keeps events as long as one that was loaded.
func TestEventLogDays(t *testing.T) {
	var loaded Base
	config.Defaults(&loaded)
	if byHand := (Base{}).EventLog(); byHand != loaded.EventLog() || loaded.EventLogDays == 0 {
		t.Errorf("%s by hand, %s by its default", byHand, loaded.EventLog())
	}
}
