package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

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
		r.clock.Advance(-24 * time.Hour)
		want("after the clock was set back", true, key, id)
		key, id = add()
		want("made after the clock was set back", true, key, id)
	})
}

// TestKeysThatHaveEndedAreForgotten, those of integrations that were deleted, too, so that there is always room.
func TestKeysThatHaveEndedAreForgotten(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		key := func(of string) integration.Key {
			return integration.Key{
				ID: uuid.NewString(), IntegrationID: of, APIKeyHash: secret.Hash(uuid.NewString()), SharedKey: "s",
				ClientID: uuid.NewString(), ClientSecret: "c", CreatedAt: r.clock.Now(),
			}
		}
		none := func(*integration.Integration) []proto.Message { return nil }
		add := func() (id string) {
			t.Helper()
			id = uuid.NewString()
			i := integration.Integration{ID: id, Kind: "licensespring", Name: "x", CreatedAt: r.clock.Now()}
			if err := r.store.AddIntegration(t.Context(), i, key(id), nil); err != nil {
				t.Fatal(err)
			}
			return id
		}
		rotated, deleted := add(), add()
		rotate := func(want int64) {
			t.Helper()
			var kept int64
			_, err := r.store.RotateIntegrationKey(t.Context(), key(rotated), r.clock.Now().Add(time.Hour), none)
			again := d.Read(t.Context()).Table("integration_keys").Count(&kept).Error
			if err != nil || again != nil || kept != want {
				t.Errorf("%d keys are kept, want %d (%v, %v)", kept, want, err, again)
			}
		}
		if err := r.store.DeleteIntegration(t.Context(), deleted, r.clock.Now(), none); err != nil {
			t.Fatal(err)
		}
		rotate(3)
		r.clock.Advance(integration.EndedKept)
		rotate(3) // that of the deleted one has gone
		r.clock.Advance(2 * time.Hour)
		rotate(3) // the first has
	})
}
