package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

type testConfig struct {
	Base
	MasterKey secret.Secret `key:"master_key" secret:"true" help:"a key"`
}

func (c *testConfig) Validate() error {
	return errors.Join(c.Base.Validate(), c.CheckMasterKey(c, &c.MasterKey))
}

// testService is as small as a service can be.
type testService struct {
	*Health
	engine *gin.Engine
	work   func(ctx context.Context) error
	url    string
}

func (s *testService) Handler() http.Handler         { return s.engine }
func (s *testService) InternalHandler() http.Handler { return s.engine }
func (s *testService) Run(ctx context.Context) error { return s.work(ctx) }

func newTestService(cfg *testConfig, d Deps) *testService {
	s := &testService{Health: NewHealth(d, nil), engine: httpx.NewEngine(cfg.HTTP("test", d))}
	httpx.Meta(s.engine, httpx.MetaOptions{Service: "test", Ready: s.Ready, Metrics: d.Metrics.Handler()})
	s.work = func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	return s
}

func service(commands ...*cobra.Command) Service {
	cfg := &testConfig{Base: Base{Addr: "127.0.0.1:0", InternalAddr: "127.0.0.1:0"}}
	return Service{
		Name: "test", Short: "Does nothing.", Config: cfg, Commands: commands,
		Migrations: []db.Migrations{{Name: "test", FS: fstest.MapFS{
			"postgres/00001_a.sql": {Data: []byte("-- +goose Up\nCREATE TABLE things (id int);\n")},
			"sqlite/00001_a.sql":   {Data: []byte("-- +goose Up\nCREATE TABLE things (id int);\n")},
		}}},
		New: func(d Deps) (Running, error) { return newTestService(cfg, d), nil },
	}
}

// The secrets of these tests are random: production refuses those that stand in the source.
var (
	goodKey  = secret.Secret(rpc.FormatKey(rpc.NewIdentity("test").Key))
	password = secret.New("")
)

// goodEnv is what a service needs; database and broker exist only where a test says so.
func goodEnv(t *testing.T) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "LATCHKEY_") &&
			!strings.HasPrefix(name, "LATCHKEY_TEST_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("LATCHKEY_DATABASE_URL", "postgres://ann:"+password+"@127.0.0.1:1/x")
	t.Setenv("LATCHKEY_AMQP_URL", "amqp://ann:"+password+"@127.0.0.1:1/")
	id := rpc.NewIdentity("test")
	t.Setenv("LATCHKEY_INTERNAL_KEY", rpc.FormatKey(id.Key))
	t.Setenv("LATCHKEY_INTERNAL_PEERS", id.PeerEntry()+","+rpc.NewIdentity("license").PeerEntry())
	t.Setenv("LATCHKEY_MASTER_KEY", goodKey.Reveal())
}

// buffer is a bytes.Buffer for two goroutines.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestCommands(t *testing.T) {
	tests := map[string]struct {
		args string
		env  map[string]string
		code int
		out  []string
		logs []string
	}{
		"version": {args: "version", out: []string{"test ", "go1."}},
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
			logs: []string{`LATCHKEY_INTERNAL_PEERS`, `names "licence", which is no service; there are auth, license`}},
		"an unknown subcommand": {args: "config foo", code: exitUsage, logs: []string{`unknown command "foo"`}},
		"new key": {args: "internal-key",
			out: []string{"private, LATCHKEY_INTERNAL_KEY of test: ", "test:"}},
		"check, unknown variable": {args: "config check", env: map[string]string{"LATCHKEY_ADRR": "x"}, code: exitUsage,
			logs: []string{"LATCHKEY_ADRR: there is no such setting; did you mean LATCHKEY_ADDR?"}},
		"variables of other services": {args: "config check", env: map[string]string{"LATCHKEY_ADMIN_SECRET": "x",
			"LATCHKEY_ADMIN_API_KEY_FILE": "/x"}, out: []string{"fine"}},
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

// runServer runs a test service without database and broker, and returns how it ended.
func runServer(t *testing.T, ctx context.Context, svc *testService) chan error {
	t.Helper()
	l, err := server.Listen(server.Server{Name: "public", Addr: "127.0.0.1:0", Handler: svc.Handler()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, l, svc, Options{Log: testkit.Log(t)}) }()
	svc.url = l.URL("public")
	return ended
}

func TestWorkEndsAfterTheLastRequest(t *testing.T) {
	svc := newTestService(&testConfig{}, deps(t))
	started, release := make(chan struct{}), make(chan struct{})
	var order []string
	svc.engine.GET("/slow", func(*gin.Context) {
		close(started)
		<-release
		order = append(order, "request")
	})
	svc.work = func(ctx context.Context) error {
		<-ctx.Done()
		order = append(order, "work")
		return nil
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := runServer(t, ctx, svc)
	answered := make(chan struct{})
	go func() { get(t, svc.url+"/slow"); close(answered) }()
	<-started
	stop()
	close(release)
	<-answered
	if err := <-ended; err != nil || strings.Join(order, " ") != "request work" {
		t.Errorf("ended with %v after %v", err, order)
	}
	if r := svc.Ready(t.Context()); r.Ready {
		t.Error("still ready")
	}
}

func TestWorkThatFailsEndsTheService(t *testing.T) {
	svc := newTestService(&testConfig{}, deps(t))
	broken := errors.New("broken")
	svc.work = func(context.Context) error { return broken }
	if err := <-runServer(t, t.Context(), svc); !errors.Is(err, broken) {
		t.Errorf("ended with %v", err)
	}
}

func TestHealth(t *testing.T) {
	for name, tt := range map[string]struct {
		state  bus.State
		closed bool
		ready  bool
		broker string
	}{
		"all well":    {bus.State{Connected: true}, false, true, "ok"},
		"broker away": {bus.State{}, false, true, "degraded: no connection; events wait"},
		"broker full": {bus.State{Connected: true, Blocked: true}, false, true,
			"degraded: it takes no messages at the moment; events wait"},
		"no database":  {bus.State{Connected: true}, true, false, "ok"},
		"nothing left": {bus.State{}, true, false, "degraded: no connection; events wait"},
	} {
		t.Run(name, func(t *testing.T) {
			d := deps(t)
			d.Bus = fakeBus{state: tt.state}
			if tt.closed {
				d.DB.Close()
			}
			r := NewHealth(d, nil).Ready(t.Context())
			if r.Ready != tt.ready || r.Dependencies["broker"] != tt.broker ||
				(r.Dependencies["database"] == "ok") == tt.closed {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// TestHealthOfADatabaseThatCannotBeChanged: a full disk leaves reading possible.
func TestHealthOfADatabaseThatCannotBeChanged(t *testing.T) {
	d := deps(t)
	err := d.DB.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec("PRAGMA query_only = ON").Error
	})
	if err != nil {
		t.Fatal(err)
	}
	r := NewHealth(d, nil).Ready(t.Context())
	if got := r.Dependencies["database"]; r.Ready || got != "away: it takes no changes; is its disk full?" {
		t.Errorf("got %+v", r)
	}
}

func TestHealthOfACallerWhoLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := NewHealth(deps(t), nil).Ready(ctx); !r.Ready {
		t.Errorf("got %+v", r)
	}
}

// TestMain lets a test run Main in a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("LATCHKEY_TEST_MAIN") != "" {
		Main(service())
	}
	os.Exit(m.Run())
}

func TestSignals(t *testing.T) {
	goodEnv(t)
	t.Setenv("LATCHKEY_DATABASE_URL", testkit.Postgres(t))
	t.Setenv("LATCHKEY_AMQP_URL", testkit.AMQP(t))
	var logs buffer
	cmd := exec.Command(os.Args[0], "serve")
	cmd.Env = append(os.Environ(), "LATCHKEY_TEST_MAIN=1")
	cmd.Stderr = &logs
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 30*time.Second, func() error {
		if !strings.Contains(logs.String(), `"ready"`) {
			return errors.New("not ready:\n" + logs.String())
		}
		return nil
	})
	t.Logf("ready after %v", time.Since(start))
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, logs.String())
	}
	if !strings.Contains(logs.String(), `"stopped"`) {
		t.Errorf("the last lines were lost:\n%s", logs.String())
	}
}

// deps are on SQLite and a bus that does nothing.
func deps(t *testing.T) Deps {
	t.Helper()
	return Deps{
		Log: testkit.Log(t), DB: testkit.SQLite(t), Bus: fakeBus{state: bus.State{Connected: true}},
		Clock: clock.System{}, Metrics: obs.NewMetrics("test"),
	}
}

func get(t *testing.T, url string) (int, string) {
	res, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

// fakeBus has a state and nothing else.
type fakeBus struct {
	bus.Bus
	state bus.State
}

func (b fakeBus) State() bus.State { return b.state }
