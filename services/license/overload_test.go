package license_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license"
)

// soon is many times the two seconds after which a call that waits for the database is refused.
const soon = 15 * time.Second

// refusedSoon wants a 503 that says when to try again, before long.
func (w *world) refusedSoon(what string, call func() answer) {
	w.t.Helper()
	answered := make(chan answer, 1)
	go func() { answered <- call() }()
	select {
	case got := <-answered:
		w.want(got, http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE")
		if got.header.Get("Retry-After") == "" {
			w.t.Errorf("%s: no Retry-After", what)
		}
	case <-time.After(soon):
		w.t.Errorf("%s: no answer", what)
	}
}

// TestASilentDatabase: while PostgreSQL swallows everything, as behind a link that is half open, clients and admin are
// refused before long and are told to come again. Who is known is answered from memory, and afterwards all is well.
func TestASilentDatabase(t *testing.T) {
	address, err := url.Parse(testkit.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	link := testkit.NewLink(t, address.Host)
	address.Host = link.Addr
	w := newWorld(t, testkit.Open(t, db.Config{URL: address.String(), Schema: "license"}, license.Migrations...))
	w.unlimitedCalls()
	_, key := w.create(9, 0)
	w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
	w.warm(func() answer { return w.post("validate", device(key, "pc")) })
	link.Silence()
	defer link.Heal()
	w.refusedSoon("activate", func() answer { return w.post("activate", device(key, "other")) })
	w.refusedSoon("admin", func() answer { return w.manage(http.MethodPost, "", `{"customer_id":"acme"}`) })
	w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
	link.Heal()
	w.want(w.persist(func() answer { return w.post("activate", device(key, "third")) }), http.StatusCreated, "")
}

// TestActivationsBeyondWhatTheDatabaseCarries: while nothing can be changed, of many activations at once each is
// refused with a 503 that says when to try again, and validations from memory are answered beside them.
func TestActivationsBeyondWhatTheDatabaseCarries(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		w.unlimitedCalls()
		id, key := w.create(1000, 0)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		w.warm(func() answer { return w.post("validate", device(key, "pc")) })
		locked, release, held := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			held <- w.db.Tx(context.WithoutCancel(w.t.Context()), func(_ context.Context, tx *gorm.DB) error {
				err := tx.Exec("UPDATE licenses SET version = version WHERE id = ?", id).Error
				close(locked)
				<-release
				return err
			})
		}()
		<-locked
		var crowd sync.WaitGroup
		for i := range 200 {
			crowd.Go(func() {
				w.refusedSoon("activate", func() answer { return w.post("activate", device(key, fmt.Sprint(i))) })
			})
		}
		for range 20 {
			w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
		}
		crowd.Wait()
		w.nobodyWaits()
		close(release)
		if err := <-held; err != nil {
			w.t.Fatal(err)
		}
		w.want(w.persist(func() answer { return w.post("activate", device(key, "late")) }), http.StatusCreated, "")
		w.inUse(id, 2)
	})
}

// nobodyWaits waits until the database knows that those who wait for a lock have given up: what they asked for would be
// done when they get it.
func (w *world) nobodyWaits() {
	w.t.Helper()
	if w.db.Engine() != db.Postgres {
		return
	}
	testkit.Eventually(w.t, patience, func() error {
		var waiting int
		err := w.db.Read(w.t.Context()).Raw("SELECT count(*) FROM pg_stat_activity " +
			"WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting).Error
		if err == nil && waiting > 0 {
			err = fmt.Errorf("%d statements wait for a lock", waiting)
		}
		return err
	})
}

// TestDevicesThatLeftLongAgoAreForgotten by the service itself, while it runs.
func TestDevicesThatLeftLongAgoAreForgotten(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		before := newStillWorld(t, d)
		before.build()
		id, key := before.create(1, 0)
		before.want(before.post("activate", device(key, "old")), http.StatusCreated, "")
		before.want(before.post("deactivate", device(key, "old")), http.StatusOK, "")
		before.exec("UPDATE devices SET deactivated_at = ? WHERE license_id = ?",
			before.clock.Now().AddDate(-2, 0, 0), id)
		newWorld(t, d)
		testkit.Eventually(t, patience, func() error {
			var left int64
			err := d.Read(t.Context()).Table("devices").Count(&left).Error
			if err == nil && left > 0 {
				err = fmt.Errorf("%d devices are left", left)
			}
			return err
		})
	})
}
