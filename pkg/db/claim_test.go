package db_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// cutClaim ends the connection that has the claim, as a server does that goes away, and says how many there were.
func cutClaim(t *testing.T, d *db.DB) (n int) {
	t.Helper()
	err := d.Read(t.Context()).Raw(`SELECT count(pg_terminate_backend(pid)) FROM pg_locks
		WHERE locktype = 'advisory' AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n).Error
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// claimed says whether d cannot have the claim.
func claimed(t *testing.T, d *db.DB) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	c, err := d.Claim(ctx, "test")
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, db.ErrClaimed)
}

// TestClaim: one process has it, until its end, and takes it again when it was lost with its connection.
func TestClaim(t *testing.T) {
	cfg := db.Config{URL: testkit.Postgres(t), Log: testkit.Log(t)}
	first, second := testkit.Open(t, cfg), testkit.Open(t, cfg)
	c, err := first.Claim(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if !claimed(t, second) {
		t.Fatal("two have the claim")
	}
	ctx, stop := context.WithCancel(t.Context())
	kept := make(chan error, 1)
	go func() { kept <- c.Keep(ctx) }()
	if n := cutClaim(t, second); n != 1 {
		t.Fatalf("%d connections had the claim", n)
	}
	testkit.Eventually(t, 20*time.Second, func() error {
		if !claimed(t, second) {
			return errors.New("the claim was not taken again")
		}
		return nil
	})
	stop()
	if err := <-kept; err != nil {
		t.Errorf("keep: %v", err)
	}
	_ = c.Close()
	testkit.Eventually(t, 20*time.Second, func() error {
		if claimed(t, second) {
			return errors.New("the claim was not given back")
		}
		return nil
	})
}

// TestClaimThatAnotherHasTaken meanwhile ends the work of who had it.
func TestClaimThatAnotherHasTaken(t *testing.T) {
	cfg := db.Config{URL: testkit.Postgres(t), Log: testkit.Log(t)}
	first, second := testkit.Open(t, cfg), testkit.Open(t, cfg)
	lost, err := first.Claim(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	cutClaim(t, second)
	taken, err := second.Claim(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	lost.Impatient()
	if err := lost.Keep(t.Context()); !errors.Is(err, db.ErrClaimed) {
		t.Errorf("keep: %v", err)
	}
	_, _ = lost.Close(), taken.Close()
}
