package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/admin"
	"github.com/latchkey-dev/latchkey/services/analytics"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// starter is a program with its config check, and with its start as far as that goes without servers and clients.
type starter struct{ check, start func() error }

// starters are the programs with the settings of the environment, on SQLite; dir is for the suite in one process.
func starters(t *testing.T, dir string) map[string]starter {
	a, l, n, m := auth.DefaultConfig(), license.DefaultConfig(), analytics.DefaultConfig(), admin.DefaultConfig()
	return map[string]starter{
		"auth":      serviceStarter(t, auth.Program(&a), &a.Base),
		"license":   serviceStarter(t, license.Program(&l), &l.Base),
		"analytics": serviceStarter(t, analytics.Program(&n), &n.Base),
		"admin":     serviceStarter(t, admin.Program(&m), &m.Base),
		program:     suiteStarter(t, dir),
	}
}

func listen(servers []server.Server) error {
	listening, err := server.Listen(servers...)
	if err == nil {
		listening.Close()
	}
	return err
}

func serviceStarter(t *testing.T, s app.Service, base *app.Base) starter {
	s.Commands = []*cobra.Command{{Use: "start", RunE: func(cmd *cobra.Command, _ []string) error {
		return app.WithDatabase(cmd, func(_ context.Context, d app.Deps) error {
			svc, err := s.New(d)
			if err != nil {
				return err
			}
			return listen(base.Servers(svc))
		})
	}}}
	run := func(args ...string) func() error {
		return func() error {
			var logs bytes.Buffer
			if app.Execute(t.Context(), s, args, io.Discard, &logs) == 0 {
				return nil
			}
			return errors.New(logs.String())
		}
	}
	return starter{check: run("config", "check"), start: run("start")}
}

func suiteStarter(t *testing.T, dir string) starter {
	said := func(err error) error {
		if err == nil {
			return nil
		}
		var logs bytes.Buffer
		app.Fail(&logs, program, err)
		return errors.New(logs.String())
	}
	return starter{
		check: func() error {
			return said(run(t.Context(), []string{"--data-dir", dir, "config", "check"}, io.Discard, io.Discard))
		},
		start: func() error {
			set, err := loadSettings([]string{"--data-dir", dir}, io.Discard)
			if err != nil {
				return said(err)
			}
			return said(withSuite(set, io.Discard, func(s *suite) error {
				if err := s.open(t.Context()); err != nil {
					return err
				}
				return listen(s.servers(func(svc *service) http.Handler { return svc.running.Handler() }))
			}))
		},
	}
}

// lostSecrets is the data directory of a suite whose secrets.json is gone.
func lostSecrets(t *testing.T) string {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, databaseFiles()[0]), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// lostDatabase is the data directory of a suite whose license.db is gone.
func lostDatabase(t *testing.T) string {
	dir := t.TempDir()
	for name, bytes := range map[string]int{
		secretsFile: 0, credentials.File: 0,
		"auth.db": 2 * onePage, "analytics.db": 2 * onePage, "admin.db": 2 * onePage,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, bytes), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// urlKeys are an internal key with its peers and a master key, as tools write them that use the URL alphabet of base64.
func urlKeys() map[string]string {
	id := rpc.NewIdentity("auth")
	for !strings.ContainsAny(rpc.FormatKey(id.Key), "+/") || !strings.ContainsAny(id.PeerEntry(), "+/") {
		id = rpc.NewIdentity("auth")
	}
	var peers []string
	for _, service := range app.Services() {
		peers = append(peers, service+strings.TrimPrefix(id.PeerEntry(), "auth"))
	}
	url := strings.NewReplacer("+", "-", "/", "_", "=", "")
	return map[string]string{
		"LATCHKEY_INTERNAL_KEY":   url.Replace(rpc.FormatKey(id.Key)),
		"LATCHKEY_INTERNAL_PEERS": url.Replace(strings.Join(peers, ",")),
		"LATCHKEY_MASTER_KEY":     url.Replace(rpc.FormatKey(id.Key)),
	}
}

// TestConfigCheckRefusesWhatServeRefuses: what the settings alone make impossible, config check refuses in the words of
// serve, and what it finds fine does not end the start.
func TestConfigCheckRefusesWhatServeRefuses(t *testing.T) {
	const port = "127.0.0.1:5999"
	services := app.Services()
	for name, tt := range map[string]struct {
		settings map[string]string
		dir      string   // that of the suite in one process; "": an empty one
		refused  []string // the programs that cannot start
		want     string   // what they say
	}{
		"nothing is wrong":         {},
		"keys in the URL alphabet": {settings: urlKeys()},
		"one address for both": {
			settings: map[string]string{"LATCHKEY_ADDR": port, "LATCHKEY_INTERNAL_ADDR": port},
			refused:  services, want: "LATCHKEY_INTERNAL_ADDR",
		},
		"one port of all hosts and of one": {
			settings: map[string]string{"LATCHKEY_ADDR": ":5999", "LATCHKEY_INTERNAL_ADDR": "localhost:5999"},
			refused:  services, want: "LATCHKEY_INTERNAL_ADDR",
		},
		"one port of two hosts": {
			settings: map[string]string{"LATCHKEY_ADDR": "127.0.0.2:5999", "LATCHKEY_INTERNAL_ADDR": port},
		},
		"two services at one address": {
			settings: map[string]string{"LATCHKEY_LICENSE_ADDR": port, "LATCHKEY_ADMIN_ADDR": "0.0.0.0:5999"},
			refused:  []string{program}, want: "LATCHKEY_ADMIN_ADDR",
		},
		"no file for the database": {
			settings: map[string]string{"LATCHKEY_DATABASE_URL": "sqlite:"},
			refused:  append([]string{program}, services...), want: "LATCHKEY_DATABASE_URL",
		},
		"a file that is none for the database": {
			settings: map[string]string{"LATCHKEY_DATABASE_URL": "sqlite::memory:"},
			refused:  append([]string{program}, services...), want: "LATCHKEY_DATABASE_URL",
		},
		"data without a database": {
			dir: lostDatabase(t), refused: []string{program}, want: "LATCHKEY_DATA_DIR",
		},
		"data without secrets": {dir: lostSecrets(t), refused: []string{program}, want: "LATCHKEY_DATA_DIR"},
	} {
		for who, p := range starters(t, cmp.Or(tt.dir, t.TempDir())) {
			t.Run(name+" "+who, func(t *testing.T) {
				setStartable(t, who, tt.settings)
				check, start := p.check(), p.start()
				if fmt.Sprint(check) != fmt.Sprint(start) {
					t.Errorf("config check: %v\nstart: %v", check, start)
				}
				if (start != nil) != slices.Contains(tt.refused, who) ||
					start != nil && !strings.Contains(start.Error(), "\n  - "+tt.want) {
					t.Errorf("got %v", start)
				}
			})
		}
	}
}

// setStartable sets what a program can start with here, and changes of it those settings that it takes.
func setStartable(t *testing.T, who string, changes map[string]string) {
	setEnvironment(t, who)
	if who == program {
		t.Setenv("LATCHKEY_DATABASE_URL", "")
		t.Setenv("LATCHKEY_AMQP_URL", "")
	} else {
		t.Setenv("LATCHKEY_DATABASE_URL", "sqlite:"+filepath.Join(t.TempDir(), "a.db"))
	}
	for _, setting := range taken(who) {
		_, no := unusableSettings()[setting]
		switch value, changed := changes[setting]; {
		case who == program && no:
		case changed:
			t.Setenv(setting, value)
		case strings.HasSuffix(setting, "_ADDR"):
			t.Setenv(setting, "127.0.0.1:0")
		}
	}
}
