//go:build unix

// Package serverstest gives tests private servers, and says what a test does not cover where their programs are
// missing.
package serverstest

import (
	"errors"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/test/servers"
)

// PostgreSQL starts a server, which ends with the test.
func PostgreSQL(t *testing.T) *servers.PostgreSQL {
	t.Helper()
	p, err := servers.StartPostgreSQL(t.Context(), servers.Options{})
	Require(t, err)
	t.Cleanup(func() { _ = p.Stop() })
	return p
}

// RabbitMQ starts a node, which ends with the test.
func RabbitMQ(t *testing.T) *servers.RabbitMQ {
	t.Helper()
	r, err := servers.StartRabbitMQ(t.Context())
	Require(t, err)
	t.Cleanup(func() { _ = r.Stop() })
	return r
}

// Require ends a test whose server did not start: as not covered when it is not installed.
func Require(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, servers.ErrNotInstalled) {
		testkit.NotCovered(t, "%v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}
