package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/admin"
	"github.com/latchkey-dev/latchkey/services/analytics"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
)

// nonsense has values that are refused, by environment name, for every setting of every program. A program that takes a
// setting that is missing here fails TestNonsenseIsRefused.
var nonsense = map[string][]string{
	"LATCHKEY_ENV":            {"prod", "Production", "1"},
	"LATCHKEY_ADDR":           {"nonsense", "5001", "host:", ":99999", ":-1", "a b:1", "http://x:1"},
	"LATCHKEY_INTERNAL_ADDR":  {"nonsense", ":x"},
	"LATCHKEY_AUTH_ADDR":      {"nonsense", ":99999"},
	"LATCHKEY_LICENSE_ADDR":   {"nonsense", ":99999"},
	"LATCHKEY_ANALYTICS_ADDR": {"nonsense", ":99999"},
	"LATCHKEY_ADMIN_ADDR":     {"nonsense", ":99999"},
	"LATCHKEY_DATABASE_URL": {"nonsense", "mysql://u:hunter2@h/d", "postgres://",
		"postgres://u:hunter2%zz@h/d", "postgres://u:hunter2@h:99999/d", "postgres://u:hunter2@h/d?sslmode=maybe"},
	"LATCHKEY_DATABASE_MAX_CONNS": {"0", "-1", "many", "1.5", "99999999", "9223372036854775808"},
	"LATCHKEY_AMQP_URL": {"nonsense", "http://h/", "amqp://", "amqp://u:hunter2%zz@h/",
		"amqp://u:hunter2@h:99999/"},
	"LATCHKEY_AUTH_URL": {"auth:5101", "ftp://x", "http://", "http://:5101", "http://auth:99999",
		"http://auth:x"},
	"LATCHKEY_LICENSE_URL":   {"license:5101", "https://"},
	"LATCHKEY_ANALYTICS_URL": {"nonsense"},
	"LATCHKEY_ADMIN_URL":     {"nonsense", "admin:5104"},
	"LATCHKEY_EDGE_URL": {"nonsense", "http://licenses.example.com", "https://127.1", "https://h:22",
		"https://u:hunter2@h/"},
	"LATCHKEY_EDGE_PRIVATE_UPSTREAM": {"maybe"},
	"LATCHKEY_INTERNAL_KEY":          {"hunter2"},
	"LATCHKEY_INTERNAL_PEERS":        {"auth:hunter2"},
	"LATCHKEY_ADDRESS_LIMITS":        {"maybe", "2"},
	"LATCHKEY_TRUSTED_PROXIES":       {"nonsense", "10.0.0.0/99", "10.0.0.1,nginx"},
	"LATCHKEY_TLS_CERT_FILE":         {"/nowhere"},
	"LATCHKEY_TLS_KEY_FILE":          {"/nowhere"},
	"LATCHKEY_LOG_LEVEL":             {"loud", "INFO"},
	"LATCHKEY_LOG_FORMAT":            {"xml"},
	"LATCHKEY_METRICS_PUBLIC":        {"maybe"},
	"LATCHKEY_EVENT_LOG_DAYS":        {"0", "-1", "x", "99999999"},
	"LATCHKEY_DRAIN_DELAY":           {"-1s", "1h", "5"},
	"LATCHKEY_START_TIMEOUT":         {"-1s", "0s", "soon", "60", "9999h"},
	"LATCHKEY_MASTER_KEY":            {"hunter2", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
	"LATCHKEY_MASTER_KEY_PREVIOUS":   {"hunter2"},
	"LATCHKEY_MASTER_KEY_NEXT":       {"hunter2"},
	"LATCHKEY_ADMIN_SECRET":          {"hunter2"},
	"LATCHKEY_ADMIN_SECRET_PREVIOUS": {"hunter2"},
	"LATCHKEY_ADMIN_API_KEY":         {"hunter2"},
	"LATCHKEY_RATE_LIMIT_SHARED":     {"maybe"},
	"LATCHKEY_TOKEN_RATE_LIMIT":      {"-1", "x", "1.5"},
	"LATCHKEY_GEOIP_FILE":            {"/nowhere", "/dev/null"},
	"LATCHKEY_CACHE_BYTES":           {"-1", "5", "x"},
	"LATCHKEY_CORS_ORIGINS":          {"nonsense"},
	"LATCHKEY_DIALECTS":              {"nonsense", "none,nonsense", "none,none"},
	"LATCHKEY_DOCS_DISABLED":         {"maybe"},
	"LATCHKEY_EDGE":                  {"maybe"},
	"LATCHKEY_EDGE_ROOTS":            {"nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"},
	"LATCHKEY_EDGE_PRODUCT":          {"a b", "."},
	"LATCHKEY_EDGE_CHECK_EVERY":      {"0s", "1h", "x"},
	"LATCHKEY_RETENTION_DAYS":        {"0", "-1", "3661", "x"},
	"LATCHKEY_DATA_DIR":              {"/dev/null/x"},
	"LATCHKEY_MAINTENANCE":           {"maybe"},
	"OTEL_EXPORTER_OTLP_ENDPOINT":    {"collector:4318", "http://u:hunter2@collector"},
	"OTEL_TRACES_SAMPLER":            {"nonsense", "always_on"}, // without a collector
}

// goodSettings is what every program starts with.
var goodSettings = func() map[string]string {
	made, id := newSecrets(), rpc.NewIdentity("auth")
	var peers []string // whichever service takes it, the key is its own
	for _, service := range []string{"auth", "license", "analytics", "admin"} {
		peers = append(peers, service+strings.TrimPrefix(id.PeerEntry(), "auth"))
	}
	return map[string]string{
		"LATCHKEY_ENV":            "production",
		"LATCHKEY_DATABASE_URL":   "postgres://u@127.0.0.1:1/d",
		"LATCHKEY_AMQP_URL":       "amqp://u:" + made.AdminSecret + "@127.0.0.1:1/",
		"LATCHKEY_INTERNAL_KEY":   rpc.FormatKey(id.Key),
		"LATCHKEY_INTERNAL_PEERS": strings.Join(peers, ","),
		"LATCHKEY_MASTER_KEY":     made.MasterKey,
		"LATCHKEY_ADMIN_SECRET":   made.AdminSecret,
		"LATCHKEY_ADMIN_API_KEY":  made.AdminAPIKey,
	}
}()

// programs check their settings and start nothing; the result is the exit code.
func programs(t *testing.T) map[string]func(logs io.Writer) int {
	check := func(name string, cfg func() any) func(io.Writer) int {
		return func(logs io.Writer) int {
			return app.Execute(t.Context(), app.Service{Name: name, Config: cfg()}, []string{"config", "check"},
				io.Discard, logs)
		}
	}
	return map[string]func(io.Writer) int{
		"auth":      check("auth", func() any { c := auth.DefaultConfig(); return &c }),
		"license":   check("license", func() any { c := license.DefaultConfig(); return &c }),
		"analytics": check("analytics", func() any { c := analytics.DefaultConfig(); return &c }),
		"admin":     check("admin", func() any { c := admin.DefaultConfig(); return &c }),
		program: func(logs io.Writer) int {
			args := []string{"--data-dir", t.TempDir()}
			if os.Getenv("LATCHKEY_DATA_DIR") != "" {
				args = nil
			}
			set, err := loadSettings(args, io.Discard)
			if err == nil {
				made := newSecrets()
				err = set.complete(&made)
			}
			if err == nil {
				return 0
			}
			return app.Fail(logs, program, err)
		},
	}
}

// taken are the environment names of the settings that a program takes.
func taken(name string) []string {
	switch name {
	case "auth":
		return config.Names(&auth.Config{})
	case "license":
		return config.Names(&license.Config{})
	case "analytics":
		return config.Names(&analytics.Config{})
	case "admin":
		return config.Names(&admin.Config{})
	}
	return config.Names((&settings{}).all()...)
}

func setEnvironment(t *testing.T, name string) {
	t.Helper()
	for _, variable := range os.Environ() {
		if key, _, _ := strings.Cut(variable, "="); strings.HasPrefix(key, "LATCHKEY_") &&
			!strings.HasPrefix(key, "LATCHKEY_TEST_") {
			t.Setenv(key, "")
		}
	}
	for key, value := range goodSettings {
		if _, no := unusableSettings()[key]; name != program || !no {
			t.Setenv(key, value)
		}
	}
}

// TestNonsenseIsRefused: no program takes nonsense for any of its settings. It ends with exit code 2 and a line that
// names the setting, and shows no secret.
func TestNonsenseIsRefused(t *testing.T) {
	for name, run := range programs(t) {
		setEnvironment(t, name)
		var logs bytes.Buffer
		if code := run(&logs); code != 0 {
			t.Fatalf("%s refuses good settings:\n%s", name, logs.String())
		}
		for _, setting := range append(taken(name), "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER") {
			if len(nonsense[setting]) == 0 {
				t.Errorf("the table has no nonsense for %s", setting)
			}
			for _, value := range nonsense[setting] {
				t.Run(name+" "+setting+"="+value, func(t *testing.T) {
					t.Setenv(setting, value)
					var logs bytes.Buffer
					code := run(&logs)
					if code != 2 || !strings.Contains(logs.String(), "\n  - "+setting) &&
						!strings.Contains(logs.String(), beside[setting]) {
						t.Errorf("exit code %d:\n%s", code, logs.String())
					}
					if strings.Contains(logs.String(), "hunter2") {
						t.Errorf("shows a secret:\n%s", logs.String())
					}
				})
			}
		}
	}
}

// beside names the setting that is missing where one of a pair is set.
var beside = map[string]string{"LATCHKEY_TLS_CERT_FILE": "LATCHKEY_TLS_KEY_FILE",
	"LATCHKEY_TLS_KEY_FILE": "LATCHKEY_TLS_CERT_FILE"}

// published has a secret that is in the source, and that nothing else is wrong with, for every secret setting of
// every program.
var published = map[string]string{
	"LATCHKEY_DATABASE_URL":          "postgres://u:dev@127.0.0.1:1/d",
	"LATCHKEY_AMQP_URL":              "amqp://u:dev@127.0.0.1:1/",
	"LATCHKEY_INTERNAL_KEY":          publishedKey,
	"LATCHKEY_MASTER_KEY":            publishedKey,
	"LATCHKEY_MASTER_KEY_PREVIOUS":   publishedKey,
	"LATCHKEY_MASTER_KEY_NEXT":       publishedKey,
	"LATCHKEY_ADMIN_SECRET_PREVIOUS": "Zq3vT8mK1xR6pL0wN4cB9yF2hJ7dS5gA",
	"LATCHKEY_ADMIN_SECRET":          "Zq3vT8mK1xR6pL0wN4cB9yF2hJ7dS5gA",
	"LATCHKEY_ADMIN_API_KEY":         "ak_changed-owner-key-of-the-tests-98765432109876",
}

const publishedKey = "3q2+7wEjRWeJq83v/ty6mHZUMhDerb7v8PGis8TV5vc="

// TestPublishedSecretsAreRefused: in production no program takes a secret that is in the source. Development
// does.
func TestPublishedSecretsAreRefused(t *testing.T) {
	for name, run := range programs(t) {
		for _, setting := range taken(name) {
			if _, no := unusableSettings()[setting]; !isSecret[setting] || name == program && no {
				continue
			}
			for _, env := range []string{app.Production, app.Development} {
				t.Run(name+" "+setting+" "+env, func(t *testing.T) {
					setEnvironment(t, name)
					t.Setenv("LATCHKEY_ENV", env)
					t.Setenv(setting, published[setting])
					var logs bytes.Buffer
					code := run(&logs)
					line := regexp.MustCompile(`\n  - ` + setting + ` .*published source`)
					named := line.MatchString(logs.String())
					// What a published master key sealed can be read, to be moved to another key.
					want := env == app.Production && setting != "LATCHKEY_MASTER_KEY_PREVIOUS"
					if published[setting] == "" || named != want || named && code != 2 {
						t.Errorf("%q: exit code %d:\n%s", published[setting], code, logs.String())
					}
				})
			}
		}
	}
}

// isSecret are the settings that hold a secret.
var isSecret = func() map[string]bool {
	secrets := map[string]bool{}
	for line := range strings.Lines(config.Secrets(config.Options{}, (&settings{}).all()...)) {
		secrets[strings.Fields(line)[0]] = true
	}
	return secrets
}()

// TestSettingsOfOtherPrograms: a setting that a program cannot honor is refused, in the environment and in a file.
func TestSettingsOfOtherPrograms(t *testing.T) {
	for name, run := range programs(t) {
		settings := []string{"LATCHKEY_DATA_DIR", "LATCHKEY_AUTH_ADDR"}
		if name == program {
			settings = config.Names(&struct{ app.Base }{})
			settings = slices.DeleteFunc(settings, func(s string) bool { return unusableSettings()[s] == "" })
		}
		for _, setting := range settings {
			t.Run(name+" "+setting, func(t *testing.T) {
				setEnvironment(t, name)
				t.Setenv(setting, "127.0.0.1:1")
				var logs bytes.Buffer
				if code := run(&logs); code != 2 || !strings.Contains(logs.String(), "\n  - "+setting+": ") {
					t.Errorf("exit code %d:\n%s", code, logs.String())
				}
			})
		}
	}
	t.Run("in a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "settings.yaml")
		if err := os.WriteFile(file, []byte("internal_addr: ':5101'\nauth_addr: '127.0.0.1:7'\nretention_days: 7\n"),
			0o600); err != nil {
			t.Fatal(err)
		}
		set, err := loadSettings([]string{"--config", file, "--data-dir", t.TempDir()}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "- internal_addr: the services of one process") ||
			strings.Count(err.Error(), "  - ") != 1 {
			t.Errorf("got %v", err)
		}
		if set.AuthAddr != "127.0.0.1:7" || set.analytics.RetentionDays != 7 {
			t.Errorf("the file's settings are not in force: %q %d", set.AuthAddr, set.analytics.RetentionDays)
		}
	})
}

// TestHelpShowsEverySetting: what the program takes is in --help, what it refuses is not.
func TestHelpShowsEverySetting(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, setting := range taken(program) {
		if shown := regexp.MustCompile(`\b` + setting + `\b`).
			MatchString(out.String()); shown == (unusableSettings()[setting] != "") {
			t.Errorf("%s is shown: %v", setting, shown)
		}
	}
}

// TestSettingsReachTheServices: what is set for the process is what each service gets.
func TestSettingsReachTheServices(t *testing.T) {
	setEnvironment(t, program)
	for setting, value := range map[string]string{
		"LATCHKEY_TRUSTED_PROXIES": "10.0.0.0/8", "LATCHKEY_ADDRESS_LIMITS": "false", "LATCHKEY_METRICS_PUBLIC": "true",
		"LATCHKEY_EVENT_LOG_DAYS": "7", "LATCHKEY_RATE_LIMIT_SHARED": "true", "LATCHKEY_START_TIMEOUT": "7s",
		"LATCHKEY_DATABASE_MAX_CONNS": "7", "LATCHKEY_DRAIN_DELAY": "7s",
	} {
		t.Setenv(setting, value)
	}
	set, err := loadSettings([]string{"--data-dir", t.TempDir()}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	made := newSecrets()
	if err := set.complete(&made); err != nil {
		t.Fatal(err)
	}
	want := set.auth.Base
	if want.Env != app.Production || len(want.TrustedProxies) != 1 || *want.AddressLimits || !*want.MetricsPublic ||
		want.EventLogDays != 7 || want.StartTimeout.Seconds() != 7 ||
		want.DatabaseMaxConns != 7 || want.DatabaseURL != goodSettings["LATCHKEY_DATABASE_URL"] ||
		set.DrainDelay.Seconds() != 7 {
		t.Errorf("auth got %+v", want)
	}
	for name, got := range map[string]app.Base{
		"license":   set.license.Base,
		"analytics": set.analytics.Base,
		"admin":     set.admin.Base,
	} {
		if got.InternalKey == want.InternalKey {
			t.Errorf("%s has the private key of auth", name)
		}
		got.InternalKey = want.InternalKey
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s got %+v, auth %+v", name, got, want)
		}
	}
	if !set.auth.RateLimitShared || !set.license.RateLimitShared || !set.analytics.RateLimitShared {
		t.Error("rate_limit_shared did not reach all")
	}
	for setting, got := range map[string]string{
		"LATCHKEY_ADMIN_SECRET": made.AdminSecret, "LATCHKEY_ADMIN_API_KEY": set.admin.AdminAPIKey.Reveal(),
		"LATCHKEY_MASTER_KEY": made.MasterKey,
	} {
		if got != goodSettings[setting] {
			t.Errorf("%s is not in force", setting)
		}
	}
}

func TestMistypedSettingIsRefused(t *testing.T) {
	t.Setenv("LATCHKEY_DATABASE_ULR", "postgres://x")
	err := run(t.Context(), anyPort(t.TempDir()), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "LATCHKEY_DATABASE_URL") {
		t.Errorf("a typing error: %v", err)
	}
}

// The services share an environment: what one takes must not be a typing error to another.
func TestNamesKnowEverySetting(t *testing.T) {
	for _, name := range []string{"auth", "license", "analytics", "admin"} {
		for _, setting := range taken(name) {
			if !slices.Contains(app.Names(), setting) {
				t.Errorf("app.Names lacks %s of %s", setting, name)
			}
		}
	}
}
