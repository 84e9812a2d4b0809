package app

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// slowFiles are migrations that take until wait returns.
type slowFiles struct {
	fs.FS
	wait func()
}

func (f slowFiles) Open(name string) (fs.File, error) {
	f.wait()
	return f.FS.Open(name)
}

// TestMigrationsTakeTheirTime: LATCHKEY_START_TIMEOUT is over long before they are done.
func TestMigrationsTakeTheirTime(t *testing.T) {
	const timeout = 2 * time.Second
	for engine, url := range map[string]func(t testing.TB) string{
		"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") },
		"postgres": testkit.Postgres,
	} {
		t.Run(engine, func(t *testing.T) {
			goodEnv(t)
			t.Setenv("LATCHKEY_DATABASE_URL", url(t))
			s := service()
			s.Migrations[0].FS = slowFiles{s.Migrations[0].FS, sync.OnceFunc(func() {
				late, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				<-late.Done() // begun after the wait for the database, it ends after LATCHKEY_START_TIMEOUT
			})}
			var out, logs buffer
			args := []string{"migrate", "--start-timeout", timeout.String()}
			if code := Execute(t.Context(), s, args, &out, &logs); code != 0 {
				t.Errorf("exit code %d\n%s", code, logs.String())
			}
		})
	}
}

// TestProbesWhileAMigrationRuns: whoever starts processes does not end one that migrates, and sends it no requests.
func TestProbesWhileAMigrationRuns(t *testing.T) {
	free, err := server.Listen(server.Server{Name: "internal", Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(free.URL("internal"), "http://")
	free.Close()
	probes := []server.Server{{Name: "internal", Addr: address, Handler: Base{}.MigratingHandler("test", deps(t))}}
	stop := answerProbes(t.Context(), 0, testkit.Log(t), probes)
	testkit.Eventually(t, 10*time.Second, func() error {
		_, err := http.Get("http://" + address + "/healthz")
		return err
	})
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/api/v1/things": 503} {
		answer, err := http.Get("http://" + address + path)
		if err != nil || answer.StatusCode != want {
			t.Fatalf("%s: %v, %v; want %d", path, answer, err, want)
		}
		var told struct{ Dependencies map[string]string }
		err = json.NewDecoder(answer.Body).Decode(&told)
		if path == "/readyz" && !strings.Contains(told.Dependencies["database"], "migration runs") {
			t.Errorf("/readyz says %v (%v)", told, err)
		}
		answer.Body.Close()
	}
	stop()
	listening, err := server.Listen(server.Server{Addr: address})
	if err != nil {
		t.Fatalf("the address is not free for the service: %v", err)
	}
	listening.Close()
}
