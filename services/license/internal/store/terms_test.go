package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// TestActivationOfTermsThatAreNotPlain: the rules judge them under the lock, and the seat counts as any other.
func TestActivationOfTermsThatAreNotPlain(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		for name, tc := range map[string]struct {
			terms licensing.Terms
			want  error
		}{
			"started":     {licensing.Terms{MaxDevices: 1, StartsAt: noon}, nil},
			"not started": {licensing.Terms{MaxDevices: 1, StartsAt: noon.Add(time.Second)}, licensing.ErrNotStarted},
			"in grace":    {licensing.Terms{MaxDevices: 1, ExpiresAt: noon, GraceHours: 1}, nil},
			"grace is over": {licensing.Terms{MaxDevices: 1, ExpiresAt: noon.Add(-time.Hour), GraceHours: 1},
				licensing.ErrExpired},
		} {
			l := licensing.License{
				ID:        uuid.NewString(),
				Product:   "p",
				Terms:     tc.terms,
				IsActive:  true,
				Version:   1,
				CreatedAt: noon,
				UpdatedAt: noon,
			}
			if _, err := r.store.Create(t.Context(), []licensing.NewRow{{License: l, Key: name + " key"}}); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Activate(t.Context(), name+" key", client("pc")); !errors.Is(err, tc.want) {
				t.Errorf("%s: %v, want %v", name, err, tc.want)
			}
			seats := 1
			if tc.want != nil {
				seats = 0
			} else if v, err := r.Validate(t.Context(), name+" key", client("pc")); err != nil || !v.Valid {
				t.Errorf("%s: validated as %+v, %v", name, v, err)
			}
			if got := check(t, r, l.ID); got != seats {
				t.Errorf("%s: %d devices, want %d", name, got, seats)
			}
		}
	})
}
