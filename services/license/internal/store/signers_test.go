package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// alive is a link that tells of nothing.
type alive struct{}

func (alive) Alive() bool { return true }

func (alive) Prompt() bool { return true }

// TestNewKeysOfAnIntegrationAreFound by a process that has not learned of them yet; those that strangers make up have
// it look once a second, however many there are.
func TestNewKeysOfAnIntegrationAreFound(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		ring := keys(t, d, 1)
		s := store.New(store.Deps{DB: d, Outbox: r.outbox, Keys: ring, Clock: r.clock})
		signers := store.NewSigners(d, ring.Ring, r.clock, alive{})
		add := func() (apiKey, clientID string) {
			t.Helper()
			apiKey, clientID = uuid.NewString(), uuid.NewString()
			i := integration.Integration{
				ID:        uuid.NewString(),
				Kind:      "licensespring",
				Name:      "x",
				CreatedAt: r.clock.Now(),
			}
			err := s.AddIntegration(t.Context(), i, integration.Key{
				ID: uuid.NewString(), IntegrationID: i.ID, APIKeyHash: secret.Hash(apiKey), SharedKey: "s",
				ClientID: clientID, ClientSecret: "c", CreatedAt: r.clock.Now(),
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return apiKey, clientID
		}
		want := func(what string, known bool, apiKey, clientID string) {
			t.Helper()
			byKey, err := signers.ByAPIKey(t.Context(), apiKey)
			byID, again := signers.ByClientID(t.Context(), clientID)
			if err != nil || again != nil || (byKey != nil) != known || (byID != nil) != known {
				t.Errorf("%s: %v, %v and %v, %v, want known %v", what, byKey, err, byID, again, known)
			}
		}
		key, id := add()
		want("read at first", true, key, id)
		key, id = add()
		want("made since", true, key, id)
		key, id = add()
		want("made in the same second", false, key, id)
		r.clock.Advance(time.Second)
		want("a second later", true, key, id)
		r.clock.Advance(time.Second)
		want("made up", false, "a\x00b", strings.Repeat("\xff", 300))
		key, id = add()
		want("after a stranger", false, key, id)
		r.clock.Advance(time.Second)
		want("a second after the stranger", true, key, id)
	})
}
