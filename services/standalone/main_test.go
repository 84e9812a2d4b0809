package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/standalone/client"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// output is what a run wrote so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// anyPort lets the system choose the four ports.
func anyPort(dir string) []string {
	return []string{"--data-dir", dir, "--auth-addr=127.0.0.1:0", "--license-addr=127.0.0.1:0",
		"--analytics-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0"}
}

// start runs the program until stop, which must end it well, and returns once it has welcomed.
func start(t *testing.T, args []string) (c credentials.Credentials, welcome string, stop func()) {
	t.Helper()
	return startLogging(t, args, testkitWriter{t})
}

// startLogging is start with its own log.
func startLogging(t *testing.T, args []string, logs io.Writer) (
	c credentials.Credentials, welcome string, stop func(),
) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var out output
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, args, &out, logs) }()
	stop = func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the end: %v", err)
		}
	}
	testkit.Eventually(t, 60*time.Second, func() error {
		select {
		case err := <-ended:
			t.Fatalf("ended at once: %v", err)
		default:
		}
		if out.String() == "" {
			return io.ErrNoProgress
		}
		return nil
	})
	if err := credentials.ReadJSON(filepath.Join(args[1], credentials.File), &c); err != nil {
		t.Fatal(err)
	}
	return c, out.String(), stop
}

// testkitWriter shows the log of the program when the test fails.
type testkitWriter struct{ t *testing.T }

func (w testkitWriter) Write(p []byte) (int, error) { return w.t.Output().Write(p) }

func validate(t *testing.T, c credentials.Credentials, endpoint string) int {
	t.Helper()
	body, err := json.Marshal(map[string]string{"license_key": c.LicenseKey, "hardware_id": "my-device"})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.LicenseURL+"/api/v1/license/"+endpoint,
		bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-API-Key", c.APIKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

func TestFirstAndLaterStarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "latchkey-data")
	first, welcome, stop := start(t, anyPort(dir))
	if status := validate(t, first, "activate"); status != http.StatusCreated {
		t.Errorf("activate answers %d", status)
	}
	for _, want := range []string{first.AuthURL + "/docs", first.LicenseURL + "/api/v1/license/validate",
		filepath.Join(dir, credentials.File)} {
		if !strings.Contains(welcome, want) {
			t.Errorf("the welcome lacks %s:\n%s", want, welcome)
		}
	}
	for _, secret := range []string{first.AdminSecret, first.AdminAPIKey, first.APIKey, first.LicenseKey} {
		if strings.Contains(welcome, secret) {
			t.Errorf("what may be a journal shows a secret:\n%s", welcome)
		}
	}
	if calls := firstCalls(first, "file", true); !strings.Contains(calls, first.APIKey) ||
		!strings.Contains(calls, first.LicenseKey) {
		t.Errorf("the calls for a terminal lack the demo's keys:\n%s", calls)
	}
	if err := run(t.Context(), anyPort(dir), io.Discard, io.Discard); err == nil ||
		!strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("a second process on the same data: %v", err)
	}
	stop()

	later, _, stop := start(t, anyPort(dir))
	defer stop()
	if status := validate(t, later, "validate"); status != http.StatusOK {
		t.Errorf("validate after a restart answers %d", status)
	}
	first.AuthURL, first.LicenseURL, first.AnalyticsURL, first.AdminURL =
		later.AuthURL, later.LicenseURL, later.AnalyticsURL, later.AdminURL
	if diff := cmp.Diff(first, later); diff != "" {
		t.Errorf("a later start changed credentials (-first +later):\n%s", diff)
	}
}

func TestCredentialsFile(t *testing.T) {
	dir := t.TempDir()
	_, _, stop := start(t, anyPort(dir))
	stop()
	for _, name := range []string{credentials.File, secretsFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
	}
	var members map[string]string
	if err := credentials.ReadJSON(filepath.Join(dir, credentials.File), &members); err != nil {
		t.Fatal(err)
	}
	want := []string{"admin_api_key", "admin_secret", "admin_url", "analytics_url", "api_key", "auth_url", "license_id",
		"license_key", "license_url"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(members))); diff != "" {
		t.Error(diff)
	}
	for name, value := range members {
		if value == "" {
			t.Errorf("%s is empty", name)
		}
	}
}

// A database that somebody else runs gets no demo license and no key for everything.
func TestNoDemoOnAGivenDatabase(t *testing.T) {
	dir := t.TempDir()
	_, _, stop := start(t, anyPort(dir))
	stop()
	t.Setenv("LATCHKEY_DATABASE_URL", testkit.Postgres(t))
	t.Setenv("LATCHKEY_AMQP_URL", testkit.AMQP(t))
	c, welcome, stop := start(t, anyPort(dir))
	defer stop()
	if c.LicenseID+c.LicenseKey+c.APIKey != "" || !strings.Contains(welcome, "no demo license") {
		t.Errorf("the credentials are of the other database, or were made in this one: %+v\n%s", c, welcome)
	}
	owner := client.Client{
		AuthURL:     c.AuthURL,
		AdminURL:    c.AdminURL,
		AdminSecret: c.AdminSecret,
		AdminAPIKey: c.AdminAPIKey,
	}
	if n := licenses(t, c); n != 0 {
		t.Errorf("%d licenses were made", n)
	}
	if err := makeDemo(t.Context(), owner, &c); err != nil {
		t.Fatal(err)
	}
	if status := validate(t, c, "activate"); status != http.StatusCreated {
		t.Errorf("activate answers %d", status)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "bus*.db-wal")); len(files) > 0 {
		t.Errorf("SQLite in use beside PostgreSQL: %v", files)
	}
}

// licenses is how many there are.
func licenses(t *testing.T, c credentials.Credentials) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.AdminURL+"/api/v1/admin/licenses", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Admin-API-Key", c.AdminAPIKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body struct {
		Total *int `json:"total"`
	}
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil || body.Total == nil {
		t.Fatalf("list licenses: %d %v", response.StatusCode, err)
	}
	return *body.Total
}

func TestTakenPortNamesItsSetting(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	args := append(anyPort(t.TempDir()), "--license-addr="+taken.Addr().String())
	err = run(t.Context(), args, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "LATCHKEY_LICENSE_ADDR") {
		t.Errorf("a taken port: %v", err)
	}
}
