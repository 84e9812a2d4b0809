package license_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/proto/claims"
)

// addon makes a license with one entitlement that ends in an hour and one that does not, and activates pc on it.
func (w *world) addon() (id, key string, end time.Time) {
	w.t.Helper()
	end = w.clock.Now().Add(time.Hour).Truncate(time.Second)
	id, key = w.with(fmt.Sprintf(`"expires_in_days":30,"floating":{"slots":5,"borrow_max_hours":100},
		"features":["base"],"entitlements":[{"code":"soon","expires_at":%q}]`, end.Format(time.RFC3339)))
	w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
	return id, key, end
}

// claimed reads the claims of a token, whose signature others try.
func claimed[T jwt.Claims](w *world, raw any, c T) T {
	w.t.Helper()
	if _, _, err := jwt.NewParser().ParseUnverified(raw.(string), c); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) ends(what string, got claims.Ends, want time.Time) {
	w.t.Helper()
	if len(got) != 1 || got["soon"] == nil || !got["soon"].Equal(want) {
		w.t.Errorf("%s ends its features at %v, want soon at %v", what, got, want)
	}
}

// TestALeaseEndsWithItsEntitlement: also one that is borrowed, which nothing calls back.
func TestALeaseEndsWithItsEntitlement(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key, end := w.addon()
		far := fmt.Sprintf(`"borrow_until":%q`, w.clock.Now().Add(90*time.Hour).Format(time.RFC3339))
		lease := w.checkOut(key, "pc", `"entitlement":"soon"`, far)
		w.want(lease, http.StatusCreated, "")
		at := end.Format(time.RFC3339)
		if lease.body["expires_at"] != at || lease.body["borrowed_until"] != at {
			t.Errorf("%s, want the end %s", lease.raw, at)
		}
		if c := claimed(w, lease.body["lease_token"], &claims.Lease{}); !c.ExpiresAt.Equal(end) ||
			!c.BorrowedUntil.Equal(end) || len(c.FeaturesUntil) > 0 {
			t.Errorf("%+v", c)
		}
		// Without the entitlement it is borrowed for longer; claiming it later takes no slot back that goes on offline.
		other := w.checkOut(key, "pc", `"session_id":"2"`, far)
		w.want(other, http.StatusCreated, "")
		w.ends("a lease", claimed(w, other.body["lease_token"], &claims.Lease{}).FeaturesUntil, end)
		claiming := w.checkOut(key, "pc", `"session_id":"2"`, `"entitlement":"soon"`)
		w.want(claiming, http.StatusOK, "")
		if claiming.body["borrowed_until"] != other.body["borrowed_until"] {
			t.Errorf("a slot that is used until %v is free at %v", other.body["borrowed_until"],
				claiming.body["borrowed_until"])
		}
		if c := claimed(w, claiming.body["lease_token"], &claims.Lease{}); !c.ExpiresAt.Equal(end) ||
			!c.BorrowedUntil.Equal(end) {
			t.Errorf("the token outlives the entitlement: %+v", c)
		}
		w.clock.Advance(time.Hour)
		w.want(w.renew(lease), http.StatusConflict, "LEASE_EXPIRED")
	})
}

// TestAnOfflineTokenNamesTheEndsOfItsFeatures: whoever checks it knows them without the server, and so does the server.
func TestAnOfflineTokenNamesTheEndsOfItsFeatures(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _, end := w.addon()
		issued := w.call(http.MethodPost, "/api/v1/license/offline-token", `{"duration_hours":48}`,
			w.bearer(id, "pc")...)
		w.want(issued, http.StatusCreated, "")
		c := claimed(w, issued.body["token"], &claims.Offline{})
		slices.Sort(c.Features)
		if diff := cmp.Diff([]string{"base", "soon"}, c.Features); diff != "" {
			t.Error(diff)
		}
		w.ends("an offline token", c.FeaturesUntil, end)
		check := func(want ...any) {
			t.Helper()
			got := w.post("validate-offline", fmt.Sprintf(`{"token":%q}`, issued.body["token"]))
			w.want(got, http.StatusOK, "")
			if diff := cmp.Diff(want, got.body["features"]); diff != "" {
				t.Error(diff)
			}
		}
		check("base", "soon")
		w.want(w.manage(http.MethodPut, "/"+id+"/entitlements/soon", `{"expires_at":null}`), http.StatusOK, "")
		check("base", "soon")
		w.clock.Advance(time.Hour)
		check("base") // as without the server; a new token has it
	})
}
