package credential

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/refusal"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/proto/claims"
)

// Verified is an access token that stands. How long tokens live is in family.go; how long offline tokens do is up to
// the license (licensing/offline.go there).
type Verified struct {
	LicenseID, HardwareID, TokenID string
	IssuedAt, ExpiresAt            time.Time
}

// Verify reports whether an access token holds now: its signature, its family, and its device on its license. Every
// refusal of it is INVALID_TOKEN.
func (s *Tokens) Verify(ctx context.Context, from Caller, raw string) (Verified, error) {
	var c claims.Access
	if err := s.access.Verify(ctx, raw, &c); err != nil {
		return Verified{}, s.Refusals.Note(err, refusal.Verified(err, raw, from.Origin))
	}
	f := Family{ID: c.FamilyID, LicenseID: c.Subject, HardwareID: c.HardwareID,
		Standing: Standing{LicenseVersion: c.LicenseVersion}}
	if err := s.holds(ctx, f, c.ID); err != nil {
		return Verified{}, s.noteRefusal(err, from, f)
	}
	return Verified{
		LicenseID: c.Subject, HardwareID: c.HardwareID, TokenID: c.ID,
		IssuedAt: c.IssuedAt.UTC(), ExpiresAt: c.ExpiresAt.UTC(),
	}, nil
}

func (s *Tokens) holds(ctx context.Context, f Family, accessID string) error {
	state, err := s.UseAccess(ctx, f.ID, accessID)
	if err != nil {
		return err
	}
	if state.Revoked || state.Void {
		return errRevoked
	}
	_, err = s.standing(ctx, f, "") // it is not the device that calls
	return err
}

// UseAccess reports whether an access token is refused, and notes that its pair is in use. Families that are not known
// are revoked.
func (s *Tokens) UseAccess(ctx context.Context, familyID, accessID string) (AccessState, error) {
	familyID, known := uid.Parse(familyID)
	accessID, given := uid.Parse(accessID)
	if !known || !given {
		return AccessState{Revoked: !known, Void: !given}, nil
	}
	state, err := s.Families.UseAccess(ctx, familyID, accessID)
	if err != nil {
		return AccessState{}, fmt.Errorf("check access token: %w", err)
	}
	return state, nil
}
