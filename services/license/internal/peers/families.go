package peers

import (
	"context"
	"encoding/json"
	"time"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Families implements api.Families by asking auth once per family and once per token; auth's events tell what changes
// afterwards.
type Families struct {
	auth    authv1connect.AuthServiceClient
	revoked *cache.Cache[string, bool]
	// void knows tokens by their ids. What auth says of one is final, so this needs no dropping.
	void *cache.Cache[string, bool]
}

// newFamilies returns families that know nothing yet. link reports whether auth's events arrive. While auth is away,
// what is known is used for cache.PeerAwayFor.
func newFamilies(auth authv1connect.AuthServiceClient, c clock.Clock, link cache.Link) *Families {
	return &Families{
		auth: auth,
		revoked: cache.New[string, bool](cache.Options{
			Capacity: 200_000, TTL: 5 * time.Minute, Stale: cache.PeerAwayFor, Unlinked: cache.UnlinkedFor, Link: link,
		}, c),
		void: cache.New[string, bool](cache.Options{Capacity: 200_000, TTL: time.Hour}, c),
	}
}

// Refused implements api.Families. The answer about a token does not fill in its family, too: an event may have come
// since it was given, and only a Fetch of revoked itself notices that.
func (f *Families) Refused(ctx context.Context, familyID, tokenID string) (bool, error) {
	void, _, err := f.void.Fetch(ctx, tokenID, func(ctx context.Context) (bool, error) {
		state, err := f.ask(ctx, familyID, tokenID)
		return state.GetVoid(), err
	})
	if err != nil || void {
		return void, err
	}
	revoked, _, err := f.revoked.Fetch(ctx, familyID, func(ctx context.Context) (bool, error) {
		state, err := f.ask(ctx, familyID, tokenID)
		return state.GetRevoked(), err
	})
	return revoked, err
}

func (f *Families) ask(ctx context.Context, familyID, tokenID string) (*authv1.CheckAccessTokenResponse, error) {
	resp, err := f.auth.CheckAccessToken(ctx, connect.NewRequest(&authv1.CheckAccessTokenRequest{
		FamilyId: familyID,
		TokenId:  tokenID,
	}))
	if err != nil {
		return nil, err
	}
	return resp.Msg, nil
}

// OnEvent forgets a family that was revoked.
func (f *Families) OnEvent(e event.Event) {
	if e.Type != eventsv1.TypeLicenseTokenReused {
		return
	}
	var reused struct {
		FamilyID string `json:"family_id"`
	}
	if json.Unmarshal(e.Data, &reused) != nil {
		f.revoked.DropAll()
		return
	}
	f.revoked.Drop(reused.FamilyID)
}

// OnGap forgets everything: a revocation may have been missed.
func (f *Families) OnGap() { f.revoked.DropAll() }
