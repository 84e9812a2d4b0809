package app

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

func TestHealth(t *testing.T) {
	for name, tt := range map[string]struct {
		state  bus.State
		closed bool
		ready  bool
		broker string
	}{
		"all well":    {bus.State{Connected: true}, false, true, "ok"},
		"broker away": {bus.State{}, false, true, "degraded: no connection; events wait"},
		"broker full": {bus.State{Connected: true, Blocked: true}, false, true,
			"degraded: it takes no messages at the moment; events wait"},
		"no database":  {bus.State{Connected: true}, true, false, "ok"},
		"nothing left": {bus.State{}, true, false, "degraded: no connection; events wait"},
	} {
		t.Run(name, func(t *testing.T) {
			d := deps(t)
			d.Bus = fakeBus{state: tt.state}
			if tt.closed {
				d.DB.Close()
			}
			r := NewHealth(d, nil).Ready(t.Context())
			if r.Ready != tt.ready || r.Dependencies["broker"] != tt.broker ||
				(r.Dependencies["database"] == "ok") == tt.closed {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// TestHealthOfADatabaseThatCannotBeChanged: a full disk leaves reading possible.
func TestHealthOfADatabaseThatCannotBeChanged(t *testing.T) {
	d := deps(t)
	err := d.DB.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec("PRAGMA query_only = ON").Error
	})
	if err != nil {
		t.Fatal(err)
	}
	r := NewHealth(d, nil).Ready(t.Context())
	if got := r.Dependencies["database"]; r.Ready || got != "away: it takes no changes; is its disk full?" {
		t.Errorf("got %+v", r)
	}
}

// TestHealthAfterADiskHasRoomAgain is good at the next look.
func TestHealthAfterADiskHasRoomAgain(t *testing.T) {
	h := NewHealth(deps(t), nil)
	h.written, h.writeErr = time.Now(), errors.New("full")
	if r := h.Ready(t.Context()); !r.Ready {
		t.Errorf("got %+v", r)
	}
}

// TestHealthOfAReadOnlyServer: after a failover to a standby a service says why it takes no changes, and goes on with
// what only reads. In maintenance mode it makes none.
func TestHealthOfAReadOnlyServer(t *testing.T) {
	address, err := url.Parse(testkit.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	query := address.Query()
	query.Set("default_transaction_read_only", "on")
	address.RawQuery = query.Encode()
	for _, maintenance := range []bool{false, true} {
		d := deps(t)
		d.DB = testkit.Open(t, db.Config{URL: address.String(), ReadOnly: maintenance})
		want := "ok"
		if !maintenance {
			want = "degraded: it takes no changes; it is a standby, or default_transaction_read_only is on"
		}
		r := NewHealth(d, nil).Ready(t.Context())
		if got := r.Dependencies["database"]; !r.Ready || got != want {
			t.Errorf("maintenance %v: got %+v", maintenance, r)
		}
	}
}

func TestHealthOfACallerWhoLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := NewHealth(deps(t), nil).Ready(ctx); !r.Ready {
		t.Errorf("got %+v", r)
	}
}
