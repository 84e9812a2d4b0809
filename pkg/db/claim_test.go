package db_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

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

// TestALostClaimIsNotHeld from the moment on at which the server ends its connection: another process may have it, one
// that has just started and never waited too. Those who wait for that learn of it, and when it was taken again.
func TestALostClaimIsNotHeld(t *testing.T) {
	defer db.TrustClaimsFor(time.Hour)()
	cfg := db.Config{URL: testkit.Postgres(t), Log: testkit.Log(t)}
	first, second := testkit.Open(t, cfg), testkit.Open(t, cfg)
	c, err := first.Claim(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	kept := make(chan error, 1)
	go func() { kept <- c.Keep(ctx) }()
	giveBack := inherit(t, second)
	patient, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cutClaim(t, second)
	if !c.Await(patient, false) {
		t.Error("a claim whose connection has ended counts as held")
	}
	giveBack()
	if !c.Await(patient, true) {
		t.Error("a claim that was taken again does not count as held")
	}
	stop()
	if err := <-kept; err != nil {
		t.Errorf("keep: %v", err)
	}
	_ = c.Close()
	if c.Held() {
		t.Error("a claim that was given back counts as held")
	}
}

// inherit has another connection wait for the lock of the claim, so that it has it next, until giveBack.
func inherit(t *testing.T, d *db.DB) (giveBack func()) {
	t.Helper()
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			err := tx.Exec("SELECT pg_advisory_xact_lock(?)", db.ClaimLock("test")).Error
			<-done
			return err
		})
	}()
	testkit.Eventually(t, 20*time.Second, func() error {
		var waiting int
		err := d.Read(t.Context()).Raw("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted " +
			"AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&waiting).Error
		if err == nil && waiting != 1 {
			err = fmt.Errorf("%d wait for the claim", waiting)
		}
		return err
	})
	return func() {
		close(done)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestClaimIsHeldByOne: who waited for a claim has it only once the one that lost it unawares does not trust in it.
func TestClaimIsHeldByOne(t *testing.T) {
	defer db.TrustClaimsFor(2 * time.Second)()
	cfg := db.Config{URL: testkit.Postgres(t), Log: testkit.Log(t)}
	first := testkit.Open(t, cfg)
	waits := &warning{given: make(chan struct{})}
	cfg.Log = slog.New(slog.NewTextHandler(waits, &slog.HandlerOptions{Level: slog.LevelWarn}))
	second := testkit.Open(t, cfg)
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
	<-waits.given
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

// TestClaimThatIsLostWhileItSettles is taken anew: its connection was not looked at meanwhile.
func TestClaimThatIsLostWhileItSettles(t *testing.T) {
	defer db.TrustClaimsFor(time.Millisecond)()
	cfg := db.Config{URL: testkit.Postgres(t), Log: testkit.Log(t)}
	first, second := testkit.Open(t, cfg), testkit.Open(t, cfg)
	lost, err := first.Claim(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	cutClaim(t, second)
	if err := lost.Settle(t.Context()); !errors.Is(err, db.ErrClaimed) {
		t.Errorf("settle: %v", err)
	}
}

// warning is a log that tells of its first line.
type warning struct {
	once  sync.Once
	given chan struct{}
}

func (w *warning) Write(line []byte) (int, error) {
	w.once.Do(func() { close(w.given) })
	return len(line), nil
}
