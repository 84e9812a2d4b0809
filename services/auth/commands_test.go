package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/auth/internal/store"
)

// silentBus takes no events, as when the broker is away.
type silentBus struct{ bus.Bus }

func (silentBus) Publish(context.Context, []event.Event) error { return errors.New("no broker") }

// heardBus takes all events.
type heardBus struct {
	bus.Bus
	types []string
}

func (b *heardBus) Publish(_ context.Context, events []event.Event) error {
	for _, e := range events {
		b.types = append(b.types, e.Type)
	}
	return nil
}

// The commands change the keys whether the broker is there or not, and say what others know of it.
func TestCommandsWithAndWithoutABroker(t *testing.T) {
	testkit.EachEngineInBubble(t, auth.Migrations, func(t *testing.T, d *db.DB) {
		cfg := auth.DefaultConfig()
		cfg.MasterKey = secret.Secret(base64.StdEncoding.EncodeToString(masterKey(1)))
		deps := app.Deps{DB: d, Clock: clock.System{}, Log: testkit.Log(t)}
		run := func(b bus.Bus, command func(deps app.Deps, out io.Writer) error, says ...string) {
			t.Helper()
			deps.Bus = b
			var out strings.Builder
			if err := command(deps, &out); err != nil {
				t.Fatal(err)
			}
			for _, part := range says {
				if !strings.Contains(out.String(), part) {
					t.Errorf("%q is not in: %s", part, out.String())
				}
			}
		}
		rotate := func(deps app.Deps, out io.Writer) error { return auth.RotateSigningKey(t.Context(), cfg, deps, out) }
		revoke := func(kid string) func(deps app.Deps, out io.Writer) error {
			return func(deps app.Deps, out io.Writer) error {
				return auth.RevokeSigningKey(t.Context(), cfg, deps, out, kid)
			}
		}
		run(silentBus{}, rotate, "is published and signs from", "cannot be reached from here", "five seconds")
		ring, err := keyring.New(auth.Name, masterKey(1))
		if err != nil {
			t.Fatal(err)
		}
		keys, err := store.New(d, outbox.New(d, "latchkey/auth"), masterkey.New(d, ring)).SigningKeys(t.Context())
		if err != nil || len(keys) != 2 {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		heard := &heardBus{}
		run(heard, revoke(keys[0].ID), keys[0].ID+" is revoked", "signs at once", "within a second")
		run(nil, revoke(keys[1].ID), keys[1].ID+" is revoked", "still signs")
		if !slices.Contains(heard.types, "signing_key.rotated") ||
			!slices.Contains(heard.types, "signing_key.revoked") {
			t.Errorf("heard of %v", heard.types)
		}
		var wrong *app.ArgumentError
		if err := revoke("x")(deps, io.Discard); !errors.As(err, &wrong) ||
			!strings.Contains(err.Error(), keys[1].ID+"  revoked at") {
			t.Errorf("an unknown key: %v", err)
		}
	})
}
