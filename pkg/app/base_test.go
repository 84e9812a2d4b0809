package app

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

func goodBase() Base {
	b := Base{Addr: ":5001", InternalAddr: ":5101", DatabaseURL: "postgres://x/y", AMQPURL: "amqp://x/", InternalSecret: secret.Secret(secret.New("is_"))}
	config.Defaults(&b)
	return b
}

func TestBaseValidate(t *testing.T) {
	tests := map[string]struct {
		change func(*Base)
		want   []string // settings named, none = fine
	}{
		"good":                    {func(*Base) {}, nil},
		"missing":                 {func(b *Base) { b.DatabaseURL, b.AMQPURL, b.InternalSecret = "", "", "" }, []string{"LATCHKEY_DATABASE_URL", "LATCHKEY_AMQP_URL", "LATCHKEY_INTERNAL_SECRET"}},
		"weak in production":      {func(b *Base) { b.InternalSecret = "short" }, []string{"LATCHKEY_INTERNAL_SECRET"}},
		"monotonous":              {func(b *Base) { b.InternalSecret = secret.Secret(strings.Repeat("a", 64)) }, []string{"LATCHKEY_INTERNAL_SECRET"}},
		"weak in development":     {func(b *Base) { b.InternalSecret, b.Env = "short", Development }, nil},
		"weak previous":           {func(b *Base) { b.InternalSecretPrevious = "short" }, []string{"LATCHKEY_INTERNAL_SECRET_PREVIOUS"}},
		"env":                     {func(b *Base) { b.Env = "prod" }, []string{"LATCHKEY_ENV"}},
		"addresses":               {func(b *Base) { b.Addr, b.InternalAddr = "", "5101" }, []string{"LATCHKEY_ADDR", "LATCHKEY_INTERNAL_ADDR"}},
		"sisters":                 {func(b *Base) { b.AuthURL, b.LicenseURL, b.AnalyticsURL = "auth:5101", "ftp://x", "http://" }, []string{"LATCHKEY_AUTH_URL", "LATCHKEY_LICENSE_URL", "LATCHKEY_ANALYTICS_URL"}},
		"other engines":           {func(b *Base) { b.DatabaseURL, b.AMQPURL = "mysql://x/y", "nonsense" }, []string{"LATCHKEY_DATABASE_URL", "LATCHKEY_AMQP_URL"}},
		"proxies":                 {func(b *Base) { b.TrustedProxies = []string{"10.0.0.0/8", "nginx"} }, []string{"LATCHKEY_TRUSTED_PROXIES"}},
		"log":                     {func(b *Base) { b.LogLevel, b.LogFormat = "loud", "xml" }, []string{"LATCHKEY_LOG_LEVEL", "LATCHKEY_LOG_FORMAT"}},
		"certificate without key": {func(b *Base) { b.TLSCertFile = "/x" }, []string{"LATCHKEY_TLS_KEY_FILE"}},
		"key without certificate": {func(b *Base) { b.TLSKeyFile = "/x" }, []string{"LATCHKEY_TLS_CERT_FILE"}},
		"no such certificate":     {func(b *Base) { b.TLSCertFile, b.TLSKeyFile = "/nowhere", "/nowhere" }, []string{"LATCHKEY_TLS_CERT_FILE"}},
		"drains backwards":        {func(b *Base) { b.DrainDelay = new(-time.Second) }, []string{"LATCHKEY_DRAIN_DELAY"}},
		"drains for ever":         {func(b *Base) { b.DrainDelay = new(time.Hour) }, []string{"LATCHKEY_DRAIN_DELAY"}},
		"nothing":                 {func(b *Base) { b.DatabaseMaxConns, b.StartTimeout = 0, -1 }, []string{"LATCHKEY_DATABASE_MAX_CONNS", "LATCHKEY_START_TIMEOUT"}},
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
		{Production, goodKey, true}, {Production, "", false}, {Production, "abc", false}, {Production, secret.Secret(zeros), false},
		{Development, secret.Secret(zeros), true}, {Development, "abc", false}, {Production, goodKey + goodKey, false},
	} {
		err := Base{Env: tt.env}.CheckMasterKey("master_key", "LATCHKEY_MASTER_KEY", tt.key)
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

// TestNamesAreComplete keeps the list of names in step with the settings of this package.
func TestNamesAreComplete(t *testing.T) {
	known := strings.Join(Names(), " ") + " "
	var table strings.Builder
	if err := config.Markdown(&table, &Base{}); err != nil {
		t.Fatal(err)
	}
	for row := range strings.Lines(table.String()) {
		if name, found := strings.CutPrefix(row, "| `"); found {
			if name, _, _ = strings.Cut(name, "`"); !strings.Contains(known, name+" ") {
				t.Errorf("Names lacks %s", name)
			}
		}
	}
}
