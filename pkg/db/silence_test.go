package db_test

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/link"
)

// overLink opens a database through a link that the test can break.
func overLink(t *testing.T, conns int) (*db.DB, *link.Link) {
	t.Helper()
	address, err := url.Parse(testkit.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	link := testkit.NewLink(t, address.Host)
	address.Host = link.Addr
	return testkit.Open(t, db.Config{URL: address.String(), Schema: "test", MaxConns: conns}, notes), link
}

func selectOne(_ context.Context, tx *gorm.DB) error { return tx.Exec("SELECT 1").Error }

// TestSilentServer: while a half-open link swallows everything, each of many calls ends by its own deadline as
// unavailable; afterwards the next one succeeds, whatever became of the connections.
func TestSilentServer(t *testing.T) {
	for name, after := range map[string]func(*link.Link){
		"heals":                    func(l *link.Link) { l.Heal() },
		"heals with cut conns":     func(l *link.Link) { l.Cut(); l.Heal() },
		"cut, and then it is well": func(l *link.Link) { l.Heal(); l.Cut() },
	} {
		t.Run(name, func(t *testing.T) {
			const conns, calls = 4, 40
			d, link := overLink(t, conns)
			if err := d.Tx(t.Context(), selectOne); err != nil {
				t.Fatal(err)
			}
			link.Silence()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var all sync.WaitGroup
			for range calls {
				all.Go(func() {
					if err := d.Tx(ctx, selectOne); !errors.Is(err, apierr.ErrUnavailable) {
						t.Errorf("a call to a silent server: %v", err)
					}
				})
				all.Go(func() {
					if err := db.Error(d.Read(ctx).Exec("SELECT 1").Error); !errors.Is(err, apierr.ErrUnavailable) {
						t.Errorf("a query to a silent server: %v", err)
					}
				})
			}
			all.Wait()
			if d.Load().Waiting != 0 {
				t.Errorf("%d calls still wait", d.Load().Waiting)
			}
			after(link)
			testkit.Eventually(t, 10*time.Second, func() error { return d.Tx(t.Context(), selectOne) })
		})
	}
}

// TestConnectionsThatDiedQuietly: connections that were stranded while idle cost no call: each is tried before it is
// used.
func TestConnectionsThatDiedQuietly(t *testing.T) {
	d, link := overLink(t, 1)
	var backend int
	own := func(_ context.Context, tx *gorm.DB) error {
		return tx.Raw("SELECT pg_backend_pid()").Scan(&backend).Error
	}
	if err := d.Tx(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	before := backend
	awaitIdle(t, backend)
	link.Strand()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := d.Tx(ctx, own); err != nil || backend == before {
		t.Errorf("the first call after the link was replaced used connection %d: %v", backend, err)
	}
}

// awaitIdle waits until a connection has been idle for longer than it is trusted untried.
func awaitIdle(t *testing.T, backend int) {
	t.Helper()
	observer := testkit.Open(t, db.Config{URL: testkit.Postgres(t)})
	testkit.Eventually(t, 20*time.Second, func() error {
		var idle bool
		err := observer.Read(t.Context()).Raw(
			"SELECT now() - state_change > '1.1 seconds' FROM pg_stat_activity WHERE pid = ? AND state = 'idle'",
			backend).Scan(&idle).Error
		if err == nil && !idle {
			err = errors.New("the connection is not idle yet")
		}
		return err
	})
}
