package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

func TestCommands(t *testing.T) {
	tests := map[string]struct {
		args string
		env  map[string]string
		code int
		out  []string
		logs []string
	}{
		"version":      {args: "version", out: []string{"test ", "(commit ", "go1."}},
		"version flag": {args: "--version", out: []string{"test ", "(commit ", "go1."}},
		"help": {args: "--help", out: []string{"serve", "migrate", "config", "version", "healthcheck",
			"LATCHKEY_DATABASE_URL", "_FILE", "--addr", "--config"}},
		"no command": {args: "", out: []string{"Available Commands"}},
		"unknown command": {args: "sevre", code: exitUsage,
			logs: []string{"unknown command", "Did you mean", "serve", "test --help"}},
		"unknown flag": {args: "serve --adr x", code: exitUsage, logs: []string{"unknown flag: --adr"}},
		"too many":     {args: "serve now", code: exitUsage, logs: []string{"unknown command \"now\""}},
		"check":        {args: "config check", out: []string{"the settings of test are fine"}},
		"check tells all": {args: "config check --addr 5001 --log-level loud", env: map[string]string{
			"LATCHKEY_DATABASE_URL": "", "LATCHKEY_AMQP_URL": "", "LATCHKEY_MASTER_KEY": "abc",
			"LATCHKEY_INTERNAL_KEY": "hush"}, code: exitUsage, logs: []string{
			"- LATCHKEY_ADDR (addr): must be host:port",
			"- LATCHKEY_LOG_LEVEL (log_level): must be debug, info, warn or error",
		}},
		"check tells all that is missing": {args: "config check", env: map[string]string{"LATCHKEY_DATABASE_URL": "",
			"LATCHKEY_AMQP_URL": "", "LATCHKEY_MASTER_KEY": "abc", "LATCHKEY_INTERNAL_KEY": "hush"}, code: exitUsage,
			logs: []string{
				"- LATCHKEY_DATABASE_URL (database_url): is missing", "- LATCHKEY_AMQP_URL (amqp_url): is missing",
				"- LATCHKEY_MASTER_KEY (master_key): must be base64 of 32 bytes",
				"- LATCHKEY_INTERNAL_KEY (internal_key): ",
			}},
		"a setting of another program": {args: "config check",
			env: map[string]string{"LATCHKEY_DATA_DIR": "/x", "LATCHKEY_AUTH_ADDR": ":1"}, code: exitUsage,
			logs: []string{
				"- LATCHKEY_DATA_DIR: is for the suite in one process",
				"- LATCHKEY_AUTH_ADDR: is for the suite in one process (latchkey); set LATCHKEY_ADDR",
			}},
		"key that peers do not know": {args: "config check",
			env:  map[string]string{"LATCHKEY_INTERNAL_KEY": rpc.FormatKey(rpc.NewIdentity("test").Key)},
			code: exitUsage, logs: []string{"LATCHKEY_INTERNAL_KEY", "LATCHKEY_INTERNAL_PEERS", "add test:"}},
		"peers without the service itself": {args: "config check",
			env: map[string]string{"LATCHKEY_INTERNAL_PEERS": rpc.NewIdentity("auth").PeerEntry()}, code: exitUsage,
			logs: []string{"LATCHKEY_INTERNAL_KEY", "add test:"}},
		"peers with a typing slip": {args: "config check",
			env: map[string]string{"LATCHKEY_INTERNAL_PEERS": rpc.NewIdentity("licence").PeerEntry()}, code: exitUsage,
			logs: []string{`LATCHKEY_INTERNAL_PEERS`, `names "licence", not a service; there are auth, license`}},
		"an unknown subcommand": {args: "config foo", code: exitUsage, logs: []string{`unknown command "foo"`}},
		"new key": {args: "internal-key",
			out: []string{"private, LATCHKEY_INTERNAL_KEY of test: ", "test:"}},
		"check, unknown variable": {args: "config check", env: map[string]string{"LATCHKEY_ADRR": "x"}, code: exitUsage,
			logs: []string{"LATCHKEY_ADRR: there is no such setting; did you mean LATCHKEY_ADDR?"}},
		"variables of other services": {args: "config check", env: map[string]string{"LATCHKEY_ADMIN_SECRET": "x",
			"LATCHKEY_ADMIN_API_KEY_FILE": "/x"}, out: []string{"fine", "LATCHKEY_ADMIN_SECRET has no effect",
			"LATCHKEY_ADMIN_API_KEY_FILE has no effect"}},
		"variables of other services at the start": {args: "serve --start-timeout 1ms",
			env: map[string]string{"LATCHKEY_RETENTION_DAYS": "9"}, code: exitFailed,
			logs: []string{"LATCHKEY_RETENTION_DAYS", "LATCHKEY_START_TIMEOUT of 1ms is over"}},
		"print": {args: "config print --addr :9",
			out: []string{"***", "postgres://ann:xxxxx@127.0.0.1:1/x", "LATCHKEY_MASTER_KEY", "--addr", "default"}},
		"serve without settings": {args: "serve", env: map[string]string{"LATCHKEY_DATABASE_URL": "",
			"LATCHKEY_AMQP_URL": ""}, code: exitUsage,
			logs: []string{"LATCHKEY_DATABASE_URL", "LATCHKEY_AMQP_URL", "config print"}},
		"migrate needs database": {args: "migrate", env: map[string]string{"LATCHKEY_DATABASE_URL": "",
			"LATCHKEY_AMQP_URL": "", "LATCHKEY_MASTER_KEY": ""}, code: exitUsage,
			logs: []string{"LATCHKEY_DATABASE_URL (database_url): is missing"}},
		"health of nobody":     {args: "healthcheck --addr 127.0.0.1:1", code: exitFailed, logs: []string{"not alive"}},
		"database never comes": {args: "serve --start-timeout 300ms", code: exitFailed, logs: []string{"127.0.0.1:1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			goodEnv(t)
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			var out, logs buffer
			if code := Execute(t.Context(), service(), strings.Fields(tt.args), &out, &logs); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, want := range tt.out {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in the output\n%s", want, out.String())
				}
			}
			for _, want := range tt.logs {
				if !strings.Contains(logs.String(), want) {
					t.Errorf("no %q in the log\n%s", want, logs.String())
				}
			}
			if told := out.String() + logs.String(); strings.Contains(told, "hush") ||
				strings.Contains(told, password) {
				t.Errorf("tells a secret:\n%s%s", out.String(), logs.String())
			}
		})
	}
}

// TestConfigCheckOfCertificates: config check refuses one that clients refuse.
func TestConfigCheckOfCertificates(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		from, until time.Time
		code        int
		want        string
	}{
		"good":    {now.Add(-time.Hour), now.Add(time.Hour), 0, ""},
		"expired": {now.Add(-time.Hour), now.Add(-time.Minute), exitUsage, "LATCHKEY_TLS_CERT_FILE (tls_cert_file): "},
		"not yet": {now.Add(time.Hour), now.Add(2 * time.Hour), exitUsage, "it begins at"},
	} {
		t.Run(name, func(t *testing.T) {
			goodEnv(t)
			cert, key := certificate(t, tt.from, tt.until)
			t.Setenv("LATCHKEY_TLS_CERT_FILE", cert)
			t.Setenv("LATCHKEY_TLS_KEY_FILE", key)
			var logs buffer
			code := Execute(t.Context(), service(), []string{"config", "check"}, io.Discard, &logs)
			if code != tt.code || !strings.Contains(logs.String(), tt.want) {
				t.Errorf("exit code %d: %s", code, logs.String())
			}
		})
	}
}

func TestMigrateAndServeOnTheRealThing(t *testing.T) {
	goodEnv(t)
	t.Setenv("LATCHKEY_DATABASE_URL", testkit.Postgres(t))
	t.Setenv("LATCHKEY_AMQP_URL", testkit.AMQP(t))
	var logs buffer
	if code := Execute(t.Context(), service(), []string{"migrate"}, io.Discard, &logs); code != 0 {
		t.Fatalf("migrate ended with %d\n%s", code, logs.String())
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- Execute(ctx, service(), []string{"serve"}, io.Discard, &logs) }()
	var public string
	testkit.Eventually(t, 30*time.Second, func() error {
		_, after, ok := strings.Cut(logs.String(), `"public":"`)
		public, _, _ = strings.Cut(after, `"`)
		if !ok {
			return errors.New("not announced:\n" + logs.String())
		}
		return nil
	})
	if status, body := get(t, public+"/readyz"); status != 200 || !strings.Contains(body, `"database":"ok"`) ||
		!strings.Contains(body, `"status":"ready"`) {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if code := Execute(t.Context(), service(), []string{"healthcheck", "--addr", strings.TrimPrefix(public, "http://")},
		io.Discard, &logs); code != 0 {
		t.Errorf("healthcheck ended with %d", code)
	}
	other := Execute(t.Context(), service(), []string{"serve", "--addr", strings.TrimPrefix(public, "http://")},
		io.Discard, &logs)
	if other != exitFailed || !strings.Contains(logs.String(), "LATCHKEY_ADDR") {
		t.Errorf("a second one on the address ended with %d\n%s", other, logs.String())
	}
	stop()
	if code := <-ended; code != 0 || !strings.Contains(logs.String(), `"stopped"`) {
		t.Errorf("serve ended with %d\n%s", code, logs.String())
	}
}

func TestStopWhileWaiting(t *testing.T) {
	goodEnv(t)
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, stop)
	if code := Execute(ctx, service(), []string{"serve"}, io.Discard, io.Discard); code != 0 {
		t.Errorf("ended with %d", code)
	}
}

func TestExtraCommand(t *testing.T) {
	goodEnv(t)
	t.Setenv("LATCHKEY_DATABASE_URL", testkit.Postgres(t))
	t.Setenv("LATCHKEY_AMQP_URL", testkit.AMQP(t))
	extra := &cobra.Command{Use: "extra", RunE: func(cmd *cobra.Command, _ []string) error {
		return WithDeps(cmd, func(ctx context.Context, d Deps) error {
			fmt.Fprint(cmd.OutOrStdout(), d.DB.Ping(ctx), d.Bus.State().Connected)
			return nil
		})
	}}
	var out, logs buffer
	if code := Execute(t.Context(), service(extra), []string{"extra"}, &out, &logs); code != 0 ||
		out.String() != "<nil> true" {
		t.Errorf("ended with %d: %s\n%s", code, out.String(), logs.String())
	}
}

// A command that has to be possible without a broker does not wait for one, and one whose argument is wrong ends with
// exit code 2.
func TestCommandWithoutABroker(t *testing.T) {
	goodEnv(t)
	t.Setenv("LATCHKEY_DATABASE_URL", testkit.Postgres(t))
	extra := &cobra.Command{Use: "extra", RunE: func(cmd *cobra.Command, _ []string) error {
		return WithDatabase(cmd, func(ctx context.Context, d Deps) error {
			return &ArgumentError{Err: fmt.Errorf("database: %v, bus: %v", d.DB.Ping(ctx),
				d.Bus.Publish(ctx, make([]event.Event, 1)) == nil)}
		})
	}}
	var logs buffer
	code := Execute(t.Context(), service(extra), []string{"extra"}, io.Discard, &logs)
	if code != 2 || !strings.Contains(logs.String(), "database: <nil>, bus: false") {
		t.Errorf("ended with %d: %s", code, logs.String())
	}
}
