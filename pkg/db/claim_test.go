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
	testkit.Eventually(t, 20*time.Second, func() error {
		if lost.Held() {
			return errors.New("a claim that another has counts as held")
		}
		return nil
	})
	_, _ = lost.Close(), taken.Close()
}

// TestClaimShared: any number share it, and none beside one that has it alone.
func TestClaimShared(t *testing.T) {
	cfg := db.Config{URL: testkit.Postgres(t), Log: testkit.Log(t)}
	first, second := testkit.Open(t, cfg), testkit.Open(t, cfg)
	var shared []*db.Claim
	for _, d := range []*db.DB{first, second} {
		c, err := d.ClaimShared(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		shared = append(shared, c)
	}
	_ = shared[0].Close()
	if !claimed(t, first) {
		t.Error("one has it alone beside one that shares it")
	}
	_ = shared[1].Close()
	alone, err := first.Claim(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := second.ClaimShared(ctx, "test"); !errors.Is(err, db.ErrClaimed) {
		t.Errorf("one shares it beside one that has it alone: %v", err)
	}
}

// TestClaimIsHeldByOne: who waited for a claim has it only once the one that lost it unawares does not trust in it.
func TestClaimIsHeldByOne(t *testing.T) {
	defer db.TrustClaimsFor(2 * time.Second)()
	cfg := db.Config{URL: testkit.Postgres(t), Log: testkit.Log(t)}
	first, second := testkit.Open(t, cfg), testkit.Open(t, cfg)
	lost, err := first.Claim(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	kept := make(chan error, 1)
	go func() { kept <- lost.Keep(ctx) }()
	waiting := make(chan struct{})
	var both bool
	go func() {
		defer close(waiting)
		taken, err := second.Claim(t.Context(), "test")
		if err != nil {
			t.Error(err)
			return
		}
		both = lost.Held()
		_ = taken.Close()
	}()
	testkit.Eventually(t, 20*time.Second, func() error {
		if !lost.Held() {
			return errors.New("the one that has the claim does not say so")
		}
		return nil
	})
	stop()
	if err := <-kept; err != nil {
		t.Error(err)
	}
	cutClaim(t, first)
	<-waiting
	if both {
		t.Error("two processes hold the claim")
	}
	_ = lost.Close()
}
