package config

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/latchkey-dev/latchkey/pkg/secret"
)

type shared struct {
	URL     string        `key:"database_url" secret:"url" help:"where the data is"`
	Timeout time.Duration `key:"start_timeout" default:"60s" help:"how long to wait"`
}

type sample struct {
	shared
	Addr    string        `key:"addr" default:":1" help:"host:port | of the service"`
	Secret  secret.Secret `key:"internal_secret" secret:"true" help:"a secret"`
	Proxies []string      `key:"trusted_proxies" help:"a list"`
	Conns   int           `key:"max_conns" default:"16" help:"a number"`
	Ratio   float64       `key:"ratio" default:"0.5" help:"a share"`
	Shared  bool          `key:"shared" default:"true" help:"a switch"`
	Public  *bool         `key:"metrics_public" help:"a switch that can be unset"`
}

var no = false

// defaults is what an empty environment gives.
func defaults() sample {
	return sample{shared: shared{Timeout: time.Minute}, Addr: ":1", Conns: 16, Ratio: .5, Shared: true}
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// clean takes the LATCHKEY_ variables of anyone who runs the tests away.
func clean(t *testing.T) {
	t.Helper()
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, prefix) {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
}

func TestLoad(t *testing.T) {
	tests := map[string]struct {
		env    map[string]string
		file   string
		args   []string
		start  sample
		change func(*sample)
	}{
		"defaults": {change: func(*sample) {}},
		"the program's defaults": {start: sample{Addr: ":5001", shared: shared{Timeout: time.Second}},
			change: func(s *sample) { s.Addr, s.Timeout = ":5001", time.Second }},
		"environment": {env: map[string]string{"ADDR": ":2", "START_TIMEOUT": "1m30s", "MAX_CONNS": " 8 ", "RATIO": "1",
			"SHARED": "false", "METRICS_PUBLIC": "0", "TRUSTED_PROXIES": "a, b,,"}, change: func(s *sample) {
			s.Addr, s.Timeout, s.Conns, s.Ratio, s.Shared, s.Public, s.Proxies =
				":2", 90*time.Second, 8, 1, false, &no, []string{"a", "b"}
		}},
		"empty is not set": {env: map[string]string{"ADDR": "", "MAX_CONNS": "", "METRICS_PUBLIC": ""},
			change: func(*sample) {}},
		"file": {file: "addr: ':3'\nmax_conns: 4\nratio: 0.25\nshared: false\ntrusted_proxies: [a, " +
			"b]\nstart_timeout: 5s\n", change: func(s *sample) {
			s.Addr, s.Conns, s.Ratio, s.Shared, s.Proxies, s.Timeout =
				":3", 4, .25, false, []string{"a", "b"}, 5*time.Second
		}},
		"list as text in a file": {file: "trusted_proxies: a,b\n", change: func(s *sample) {
			s.Proxies = []string{"a", "b"}
		}},
		"digits in quotes": {file: "internal_secret: '0012'\n", change: func(s *sample) { s.Secret = "0012" }},
		"environment beats file": {env: map[string]string{"ADDR": ":2"}, file: "addr: ':3'\nmax_conns: 4\n",
			change: func(s *sample) { s.Addr, s.Conns = ":2", 4 }},
		"flag beats environment": {env: map[string]string{"ADDR": ":2", "SHARED": "false"},
			args: []string{"--addr", ":4", "--shared", "--trusted-proxies=x,y"}, change: func(s *sample) {
				s.Addr, s.Proxies = ":4", []string{"x", "y"}
			}},
		"foreign variables": {
			env: map[string]string{"AUTH_PORT_5001_TCP_ADDR": "10.0.0.1", "AUTH_SERVICE_HOST": "x",
				"AUTH_SERVICE_PORT_HTTP": "1", "AUTH_PORT": "tcp://x", "TEST_ANYTHING": "x", "SUITE_API_KEY": "x",
				"PEER": "x", "PEER_FILE": "/x", "NOTHING": ""}, change: func(*sample) {}},
		"signs in secrets": {env: map[string]string{"INTERNAL_SECRET": "a,b=c$d #e"}, change: func(s *sample) {
			s.Secret = "a,b=c$d #e"
		}},
		"file named by the env": {env: map[string]string{"CONFIG": "-"}, file: "addr: ':3'\n",
			change: func(s *sample) { s.Addr = ":3" }},
		"secret from a file": {env: map[string]string{"INTERNAL_SECRET_FILE": "hush\n",
			"DATABASE_URL_FILE": "postgres://x\r\n"}, change: func(s *sample) {
			s.Secret, s.URL = "hush", "postgres://x"
		}},
		"secret file beats file": {env: map[string]string{"INTERNAL_SECRET_FILE": "hush"},
			file: "internal_secret: other\n", change: func(s *sample) { s.Secret = "hush" }},
		"blanks around are taken": {env: map[string]string{"ADDR": " :2 "}, change: func(s *sample) { s.Addr = ":2" }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			clean(t)
			for k, v := range tt.env {
				if strings.HasSuffix(k, "_FILE") && v != "/x" {
					v = write(t, v)
				}
				t.Setenv(prefix+k, v)
			}
			if tt.file != "" {
				path := write(t, tt.file)
				if tt.env["CONFIG"] != "" {
					t.Setenv(envConfig, path)
				} else {
					tt.args = append(tt.args, "--config", path)
				}
			}
			got := tt.start
			if _, err := Load("test", Options{Args: tt.args, Known: []string{"LATCHKEY_PEER"}}, &got); err != nil {
				t.Fatal(err)
			}
			want := defaults()
			tt.change(&want)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(sample{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		file string
		want []string
	}{
		"a typing error": {env: map[string]string{"DATABSE_URL": "x"},
			want: []string{"LATCHKEY_DATABSE_URL: there is no such setting; did you mean LATCHKEY_DATABASE_URL?"}},
		"nothing like it": {env: map[string]string{"ZZZZZZZZZZ": "x"},
			want: []string{"LATCHKEY_ZZZZZZZZZZ: there is no such setting"}},
		"_FILE of no secret": {env: map[string]string{"ADR_FILE": "x"},
			want: []string{"LATCHKEY_ADR_FILE: there is no such setting"}},
		"unknown key": {file: "adr: x\n",
			want: []string{"adr: there is no such setting in FILE; did you mean addr?"}},
		"unknown section": {file: "addr: {x: 1}\nother: {y: 1}\n",
			want: []string{"other.y: there is no such setting", "LATCHKEY_ADDR (addr): must be a single value"}},
		"values": {
			env: map[string]string{"START_TIMEOUT": "hush", "MAX_CONNS": "1.5", "RATIO": "hush", "SHARED": "hush",
				"METRICS_PUBLIC": "hush"}, want: []string{"LATCHKEY_START_TIMEOUT (start_timeout): must be a " +
				"duration such as 30s, 5m or 24h", "LATCHKEY_MAX_CONNS (max_conns): must be a whole number",
				"LATCHKEY_RATIO (ratio): must be a number", "LATCHKEY_SHARED (shared): must be true or false",
				"LATCHKEY_METRICS_PUBLIC (metrics_public): must be true or false"}},
		"number for text": {file: "internal_secret: 0012\n",
			want: []string{"LATCHKEY_INTERNAL_SECRET (internal_secret): must be text; put it into quotes"}},
		"list for a value": {file: "addr: [a]\n",
			want: []string{"LATCHKEY_ADDR (addr): must be a single value"}},
		"value for a list": {file: "trusted_proxies: {a: 1}\n",
			want: []string{"LATCHKEY_TRUSTED_PROXIES (trusted_proxies): must be a list"}},
		"file that is no YAML": {file: "internal_secret: hush\n\t:::",
			want: []string{"LATCHKEY_CONFIG: FILE is not a YAML document of settings, each once: see line "}},
		"file that says a setting twice": {file: "internal_secret: hush\ninternal_secret: hush",
			want: []string{"LATCHKEY_CONFIG: FILE is not a YAML document of settings, each once: see line "}},
		"missing file": {env: map[string]string{"CONFIG": "/nowhere/x.yaml"},
			want: []string{"LATCHKEY_CONFIG: cannot read /nowhere/x.yaml: no such file or directory"}},
		"secret twice": {env: map[string]string{"INTERNAL_SECRET": "hush", "INTERNAL_SECRET_FILE": "hush"},
			want: []string{"LATCHKEY_INTERNAL_SECRET (internal_secret): is set, and LATCHKEY_INTERNAL_SECRET_FILE " +
				"too; set one of them"}},
		"empty secret file": {env: map[string]string{"INTERNAL_SECRET_FILE": "\n"},
			want: []string{"LATCHKEY_INTERNAL_SECRET_FILE (internal_secret): ", " is empty"}},
		"missing secret file": {env: map[string]string{"INTERNAL_SECRET_FILE": "-"},
			want: []string{"LATCHKEY_INTERNAL_SECRET_FILE (internal_secret): cannot read /nowhere: no such file"}},
		"everything at once": {env: map[string]string{"DATABSE_URL": "x", "RATIO": "x"}, file: "adr: x\n",
			want: []string{"LATCHKEY_DATABSE_URL", "LATCHKEY_RATIO", "adr: "}},
		"a number that overflows": {env: map[string]string{"MAX_CONNS": "99999999999999999999"},
			want: []string{"must be a whole number"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			clean(t)
			for k, v := range tt.env {
				if strings.HasSuffix(k, "SECRET_FILE") {
					if v == "-" {
						v = "/nowhere"
					} else {
						v = write(t, v)
					}
				}
				t.Setenv(prefix+k, v)
			}
			path := ""
			if tt.file != "" {
				path = write(t, tt.file)
				t.Setenv(envConfig, path)
			}
			var dst sample
			_, err := Load("test", Options{}, &dst)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tt.want {
				if want = strings.ReplaceAll(want, "FILE is", path+" is"); !strings.Contains(err.Error(),
					strings.ReplaceAll(want, " FILE;", " "+path+";")) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("%q shows a value", err)
			}
		})
	}
}

func TestSecretsHaveNoFlag(t *testing.T) {
	clean(t)
	for _, flag := range []string{"--internal-secret=x", "--database-url=x", "--nothing=x"} {
		if _, err := Load("test", Options{Args: []string{flag}}, &sample{}); err == nil {
			t.Errorf("%s was accepted", flag)
		}
	}
}

func TestLoadWithFlagsParsedBefore(t *testing.T) {
	clean(t)
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	var dst sample
	Flags(flags, &dst)
	if err := flags.Parse([]string{"--addr=:9"}); err != nil {
		t.Fatal(err)
	}
	if _, err := Load("test", Options{Flags: flags}, &dst); err != nil || dst.Addr != ":9" {
		t.Errorf("got %q %v", dst.Addr, err)
	}
}

func TestDefaults(t *testing.T) {
	got := sample{Addr: ":7"}
	Defaults(&got)
	want := defaults()
	want.Addr = ":7"
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sample{})); diff != "" {
		t.Error(diff)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"LATCHKEY_ADDR", "LATCHKEY_AMQP_URL", "LATCHKEY_AUTH_URL"}
	for written, want := range map[string]string{
		"LATCHKEY_ADR": "; did you mean LATCHKEY_ADDR?", "LATCHKEY_AMPQ_URL": "; did you mean LATCHKEY_AMQP_URL?",
		"LATCHKEY_SOMETHING_ELSE_ENTIRELY": "",
	} {
		if got := suggest(written, known); got != want {
			t.Errorf("%s: got %q, want %q", written, got, want)
		}
	}
}

func TestRules(t *testing.T) {
	type ruled struct {
		Days  int            `key:"days" default:"7" min:"1" max:"30" help:"days"`
		Ratio float64        `key:"ratio" default:"0.5" min:"0" max:"1" help:"a share"`
		Delay *time.Duration `key:"delay" min:"0s" max:"5m" help:"a delay"`
		Level string         `key:"level" default:"info" oneof:"debug info warn" help:"a level"`
		Peer  string         `key:"peer" url:"http:// https://" help:"a URL"`
		Addr  string         `key:"addr" default:":1" form:"address" help:"host:port"`
	}
	for setting, tt := range map[string]struct{ good, bad []string }{
		"LATCHKEY_DAYS":  {[]string{"1", "30"}, []string{"0", "31", "x"}},
		"LATCHKEY_RATIO": {[]string{"0", "1", ".5"}, []string{"-0.1", "1.1", "NaN", "Inf"}},
		"LATCHKEY_DELAY": {[]string{"0s", "5m"}, []string{"-1ns", "5m1s"}},
		"LATCHKEY_LEVEL": {[]string{"debug"}, []string{"DEBUG", "debug info"}},
		"LATCHKEY_PEER": {[]string{"http://h", "https://[::1]:1/"},
			[]string{"h", "ftp://h", "http://", "http:///x", "http://h:65536", "http://h/x", "http://h?x"}},
		"LATCHKEY_ADDR": {[]string{":0", "[::1]:65535", "host:1"}, []string{"1", "h:", "h:65536", "h h:1"}},
	} {
		for _, value := range append(tt.good, tt.bad...) {
			clean(t)
			t.Setenv(setting, value)
			_, err := Load("test", Options{}, &ruled{})
			if fine := slices.Contains(tt.good, value); fine != (err == nil) ||
				!fine && !strings.HasPrefix(err.Error(), setting+" (") {
				t.Errorf("%s=%s: got %v", setting, value, err)
			}
		}
	}
}

// Of settings with the same key the first decides the default, and all get the value.
func TestLoadSeveralStructs(t *testing.T) {
	type first struct {
		Conns int `key:"max_conns" default:"2" help:"fewer"`
	}
	clean(t)
	for _, tt := range []struct {
		args []string
		want int
	}{{nil, 2}, {[]string{"--max-conns=9"}, 9}} {
		var one first
		var two, three sample
		settings, err := Load("test", Options{Args: tt.args}, &one, &two, &three)
		if err != nil || one.Conns != tt.want || two.Conns != tt.want || three.Conns != tt.want {
			t.Errorf("%v: got %d, %d, %d, %v", tt.args, one.Conns, two.Conns, three.Conns, err)
		}
		var out bytes.Buffer
		if err := settings.Print(&out); err != nil || strings.Count(out.String(), "max_conns") != 1 {
			t.Errorf("printed %v\n%s", err, out.String())
		}
	}
}

// A wrong value is told once, by the rule of the first.
func TestLoadSeveralStructsComplainOnce(t *testing.T) {
	type first struct {
		URL string `key:"database_url" url:"postgres://" help:"where"`
	}
	type second struct {
		URL string `key:"database_url" url:"postgres:// sqlite:" help:"where"`
	}
	clean(t)
	_, err := Load("test", Options{Args: []string{"--database-url=mysql://x"}}, &first{}, &second{})
	if err == nil || strings.Count(err.Error(), "postgres://") != 1 || strings.Contains(err.Error(), "sqlite:") {
		t.Errorf("got %v", err)
	}
}

func TestRefusedSettings(t *testing.T) {
	for name, set := range map[string]func() []string{
		"environment": func() []string { t.Setenv("LATCHKEY_ADDR", ":2"); return nil },
		"file":        func() []string { return []string{"--config", write(t, "addr: ':2'\n")} },
		"secret file": func() []string { t.Setenv("LATCHKEY_INTERNAL_SECRET_FILE", "/nowhere"); return nil },
		"flag":        func() []string { return []string{"--addr=:2"} },
	} {
		clean(t)
		got := sample{Addr: ":7"}
		o := Options{Args: set(), Refused: map[string]string{"LATCHKEY_ADDR": "is not for here",
			"LATCHKEY_INTERNAL_SECRET": "is not for here"}}
		if _, err := Load("test", o, &got); err == nil ||
			name != "flag" && !strings.Contains(err.Error(), "is not for here") || got.Addr != ":7" {
			t.Errorf("%s: got %v and %q", name, err, got.Addr)
		}
	}
}
