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
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
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

// The secrets of these tests are random: production refuses those that are in the source.
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

// TestMain lets a test run Main, or Tune alone, in a separate process.
func TestMain(m *testing.M) {
	if os.Getenv("LATCHKEY_TEST_TUNE") != "" {
		debug.SetMemoryLimit(tuneFrom)
		Tune()
		fmt.Print(debug.SetMemoryLimit(-1))
		os.Exit(0)
	}
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
