// Package testkit gives tests real databases and their own brokers, and ways to wait without sleeping.
//
// A server comes from the environment: LATCHKEY_TEST_DATABASE_URL (a PostgreSQL role that may create databases),
// LATCHKEY_TEST_AMQP_URL, and LATCHKEY_TEST_AMQP_MANAGEMENT_URL for a virtual host per test. Without one the test is
// skipped with a message that starts with "NOT COVERED:"; with LATCHKEY_TEST_REQUIRE_REAL=1 it fails instead.
package testkit

import (
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/testkit/link"
)

// The environment of the tests.
const (
	envDatabase    = "LATCHKEY_TEST_DATABASE_URL"
	envAMQP        = "LATCHKEY_TEST_AMQP_URL"
	envManagement  = "LATCHKEY_TEST_AMQP_MANAGEMENT_URL"
	envRequireReal = "LATCHKEY_TEST_REQUIRE_REAL"
)

// Eventually calls cond until it returns nil, and fails the test with its last error when timeout is over.
func Eventually(t testing.TB, timeout time.Duration, cond func() error) {
	t.Helper()
	const longest = 50 * time.Millisecond
	deadline := time.Now().Add(timeout)
	for pause := time.Millisecond; ; pause = min(2*pause, longest) {
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", timeout, err)
		}
		time.Sleep(pause)
	}
}

// NewLink opens a link to the targets, each host:port, and closes it when the test ends.
func NewLink(t testing.TB, targets ...string) *link.Link {
	t.Helper()
	l, err := link.Open(targets...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// Log returns a logger that is heard only when the test fails or runs verbosely. Unlike t.Log it may be used by a
// goroutine that outlives the test.
func Log(t testing.TB) *slog.Logger {
	out := &output{to: t.Output()}
	t.Cleanup(out.close)
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type output struct {
	mu sync.Mutex
	to io.Writer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.to.Write(p)
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to = io.Discard
}

// server reads the address of a server from the environment, or ends the test.
func server(t testing.TB, env, what string) string {
	t.Helper()
	address := os.Getenv(env)
	if address == "" {
		NotCovered(t, "no %s (set %s)", what, env)
	}
	return address
}

// uniqueName starts with lk_test_, so that what a killed test left behind can be told from everything else.
func uniqueName() string { return "lk_test_" + strings.ToLower(rand.Text()) }
