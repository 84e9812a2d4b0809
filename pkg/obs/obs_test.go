package obs

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/secret"
)

type login struct{ password string }

func (l login) LogValue() slog.Value {
	return slog.GroupValue(slog.String("user", "ann"), slog.String("password", l.password))
}

func TestLoggerHidesSecrets(t *testing.T) {
	const canary = "c4nary"
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log := NewLogger(&out, "info", format)
		for _, name := range []string{
			"api_key", "X-API-Key", "apiKey", "token", "access_token", "Authorization", "password", "db_password",
			"secret", "internal_secret", "license_key", "LicenseKey", "admin.key", "master-key", "private_key",
			"cookie", "credentials",
		} {
			log.Info("m", name, canary)
			log.Info("m", slog.Group("request", name, canary))
			log.With(name, canary).Info("m")
			log.WithGroup("g").With(slog.Group("h", name, canary)).Info("m")
		}
		log.Info("m", "login", login{canary}, "typed", secret.Secret(canary))
		if strings.Contains(out.String(), canary) {
			t.Errorf("%s: the log tells %s", format, out.String())
		}
		if !strings.Contains(out.String(), "ann") {
			t.Errorf("%s: hid too much: %s", format, out.String())
		}
	}
}

func TestLoggerShowsTheRest(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(&out, "info", "json")
	log.Info("m", "token_id", "a1", "api_key_id", "a2", "key", "a3", "license_id", "a4", "token_type", "a5",
		"password_file", "a6", "err", errors.New("a7"), slog.Group("g", "n", "a8"), "license_key_hash", "a9")
	for i := '1'; i <= '9'; i++ {
		if !strings.Contains(out.String(), "a"+string(i)) {
			t.Errorf("a%c is hidden in %s", i, out.String())
		}
	}
}

func TestLoggerLevels(t *testing.T) {
	for level, want := range map[string]int{"debug": 4, "info": 3, "warn": 2, "error": 1, "": 3, "nonsense": 3} {
		var out bytes.Buffer
		log := NewLogger(&out, level, "json")
		log.Debug("m")
		log.Info("m")
		log.Warn("m")
		log.Error("m")
		if got := strings.Count(out.String(), "\n"); got != want {
			t.Errorf("%q: %d lines, want %d", level, got, want)
		}
	}
}

func TestLoggerKeepsOneLinePerRecord(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		NewLogger(&out, "info", format).Info("a\nb", "k", "c\r\n\x1b[31md")
		if strings.Count(out.String(), "\n") != 1 || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s: %q", format, out.String())
		}
	}
}

// sink tells when something was written to it.
type sink struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	written chan struct{}
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf.Write(p)
	select {
	case s.written <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func TestBufferWritesSoon(t *testing.T) {
	s := &sink{written: make(chan struct{}, 1)}
	b := NewBuffer(s)
	for _, line := range []string{"one\n", "two\n"} { // the timer must work more than once
		if _, err := b.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.written:
		case <-time.After(10 * time.Second):
			t.Fatalf("%q never came", line)
		}
	}
	if s.String() != "one\ntwo\n" {
		t.Errorf("got %q", s.String())
	}
}

func TestBufferFlushesWarnings(t *testing.T) {
	s := &sink{written: make(chan struct{}, 1)}
	b := NewBuffer(s)
	log := NewLogger(b, "info", "json")
	log.Info("quiet")
	log.Warn("loud")
	if !strings.Contains(s.String(), "loud") || !strings.Contains(s.String(), "quiet") {
		t.Errorf("got %q", s.String())
	}
	b.Write([]byte("end"))
	if err := b.Flush(); err != nil || !strings.HasSuffix(s.String(), "end") {
		t.Errorf("got %q %v", s.String(), err)
	}
}

// flaky fails once.
type flaky struct {
	sink
	failed bool
}

func (f *flaky) Write(p []byte) (int, error) {
	if !f.failed {
		f.failed = true
		return 0, errors.New("disk full")
	}
	return f.sink.Write(p)
}

func TestBufferGoesOnAfterAFailure(t *testing.T) {
	f := &flaky{}
	b := NewBuffer(f)
	b.Write([]byte("lost"))
	if b.Flush() == nil {
		t.Error("the failure was hidden")
	}
	b.Write([]byte("kept"))
	if err := b.Flush(); err != nil || f.String() != "kept" {
		t.Errorf("got %q %v", f.String(), err)
	}
}

func TestBufferConcurrently(t *testing.T) {
	s := &sink{written: make(chan struct{}, 1)}
	b := NewBuffer(s)
	log := NewLogger(b, "info", "json")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				log.Info("line")
			}
		})
	}
	wg.Wait()
	b.Flush()
	n := 0
	for line := range strings.Lines(s.String()) {
		if !json.Valid([]byte(line)) {
			t.Fatalf("torn line %q", line)
		}
		n++
	}
	if n != 4000 {
		t.Errorf("%d lines of 4000", n)
	}
}

func TestMetricsOfTwoSuitesInOneProcess(t *testing.T) {
	one, two := NewMetrics("a"), NewMetrics("a")
	one.Requests("GET", "/x", 204).Observe(.001)
	one.Requests("GET", "/x", 299).Observe(.001)
	one.Requests("GET", "/x", 503).Observe(.001)
	const series = `latchkey_http_request_duration_seconds_count{method="GET",route="/x",service="a",status="2xx"} 2`
	for m, want := range map[*Metrics]bool{one: true, two: false} {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if strings.Contains(w.Body.String(), series) != want {
			t.Errorf("want the series: %v; got %s", want, w.Body)
		}
	}
}

// TestBuild: the linker's word counts, then the Go command's, and nothing is left empty.
func TestBuild(t *testing.T) {
	linked := Build{Version: "v1.2.3", Commit: "abc", Date: "2026-01-31T00:00:00Z"}
	vcs := func(modified string) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-1-def"}, Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "def"}, {Key: "vcs.time", Value: "2026-02-01T00:00:00Z"},
			{Key: "vcs.modified", Value: modified},
		}}
	}
	for name, tt := range map[string]struct {
		linked Build
		info   *debug.BuildInfo
		want   string
	}{
		"a release": {linked, vcs("false"), "license v1.2.3 (commit abc of 2026-01-31T00:00:00Z, "},
		"a checkout": {Build{}, vcs("false"),
			"license v0.0.0-1-def (commit def of 2026-02-01T00:00:00Z, "},
		"a changed checkout": {Build{}, vcs("true"),
			"license v0.0.0-1-def (commit def-modified of 2026-02-01T00:00:00Z, "},
		"no git": {Build{}, &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}},
			"license dev (commit unknown of unknown, "},
	} {
		t.Run(name, func(t *testing.T) {
			if got, want := tt.linked.completed(tt.info).Of("license"), tt.want+runtime.Version()+")"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	if b := ReadBuild(); b.Version == "" || b.Commit == "" || b.Date == "" {
		t.Errorf("got %+v", b)
	}
}
