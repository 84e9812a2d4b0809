package credential

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/refusal"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/proto/claims"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// TokenDeps is what Tokens works with.
type TokenDeps struct {
	Clock    clock.Clock
	Keys     *SigningKeys
	Families FamilyStore
	Devices  Devices
	// Refusals notes refused tokens.
	Refusals *refusal.Recorder
	// AdmitRefresh counts a call of refresh against the limit of its family, or fails.
	AdmitRefresh func(ctx context.Context, familyID string) error
}

// Tokens issues, refreshes and verifies the access and refresh tokens of devices. How long they live is in family.go;
// whether a device may have them is decided by license (Devices; licensing/verdict.go there). It is safe for concurrent
// use.
type Tokens struct {
	TokenDeps
	access *token.Verifier
}

// NewTokens is the rules over d.
func NewTokens(d TokenDeps) *Tokens {
	return &Tokens{TokenDeps: d, access: token.NewVerifier(d.Keys, d.Clock, claims.AudienceAccess)}
}

// Issue begins a family for a device that may act on the license. Otherwise it fails as Devices.CheckDevice does.
// once is nil where the caller sent no Idempotency-Key.
func (s *Tokens) Issue(ctx context.Context, from Caller, d Device, once Once) (Pair, error) {
	if err := d.validate(); err != nil {
		return Pair{}, err
	}
	f := Family{HardwareID: d.HardwareID, CreatedAt: s.Clock.Now()}
	if err := s.checkNamed(ctx, &f, from, d); err != nil {
		return Pair{}, s.noteRefusal(err, from, f)
	}
	id, err := newID()
	if err != nil {
		return Pair{}, err
	}
	f.ID = id
	pair, next, err := s.mint(ctx, f)
	if err != nil {
		return Pair{}, err
	}
	if once == nil {
		once = direct
	}
	device := sha256.Sum256([]byte(d.LicenseID + "\x00" + d.HardwareID))
	return once(ctx, "device "+hex.EncodeToString(device[:]), func(ctx context.Context) (Pair, error) {
		if err := s.Families.CreateFamily(ctx, f, next); err != nil {
			return Pair{}, fmt.Errorf("create token family: %w", err)
		}
		return pair, nil
	})
}

// direct is Once for a call without an Idempotency-Key.
func direct(ctx context.Context, _ string, fn func(ctx context.Context) (Pair, error)) (Pair, error) {
	return fn(ctx)
}

// standing asks how the device stands on its license, and makes any refusal one of the token. address is
// empty where it is not the device that asks.
func (s *Tokens) standing(ctx context.Context, f Family, address string) (Standing, error) {
	now, err := s.Devices.CheckFamily(ctx, f, address)
	var refusal *apierr.Error
	if errors.As(err, &refusal) && isRefusal(refusal.Kind) && !ofInstallation(refusal) {
		return now, token.RefusedWith(refusal).WithCause(err)
	}
	return now, err
}

// ofInstallation tells a refusal of everything, while the installation itself is not licensed: it says nothing of the
// token, which is as good as before afterwards.
func ofInstallation(refusal *apierr.Error) bool { return refusal.Code == errcode.ApplianceNotLicensed }

func isRefusal(k apierr.Kind) bool { return k == apierr.Forbidden || k == apierr.NotFound }

// checkNamed makes the id of the license that a client named canonical, asks about the device, and notes how it
// stands.
func (s *Tokens) checkNamed(ctx context.Context, f *Family, from Caller, d Device) (err error) {
	id, ok := uid.Parse(d.LicenseID)
	if !ok {
		return errLicenseNotFound
	}
	f.LicenseID, d.LicenseID = id, id
	f.Standing, err = s.Devices.CheckDevice(ctx, from, d)
	return err
}

// mint signs an access token of the family and makes a refresh token that is yet to be stored.
func (s *Tokens) mint(ctx context.Context, f Family) (Pair, RefreshToken, error) {
	id, err := newID()
	if err != nil {
		return Pair{}, RefreshToken{}, err
	}
	now := s.Clock.Now()
	access, err := s.Keys.sign(ctx, &claims.Access{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: claims.Issuer, Audience: jwt.ClaimStrings{claims.AudienceAccess}, Subject: f.LicenseID, ID: id,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(AccessFor)),
		},
		HardwareID: f.HardwareID, FamilyID: f.ID, LicenseVersion: f.LicenseVersion,
	})
	if err != nil {
		return Pair{}, RefreshToken{}, err
	}
	refresh := secret.New(RefreshPrefix)
	next := RefreshToken{
		Hash:      secret.Hash(refresh),
		FamilyID:  f.ID,
		AccessID:  id,
		CreatedAt: now,
		ExpiresAt: now.Add(refreshFor),
	}
	return Pair{Access: access, Refresh: refresh, ExpiresIn: AccessFor}, next, nil
}

func (d *Device) validate() error {
	wrong := apierr.Fields{}
	if strings.TrimSpace(d.LicenseID) == "" {
		wrong.Add("license_id", "is required: send the license_id that validate answers, not the license key")
	}
	for name, value := range map[string]string{"license_id": d.LicenseID, "hardware_id": d.HardwareID} {
		wrong.Require(name, value)
		wrong.MaxLen(name, value, maxName)
	}
	wrong.MaxLen("app_version", d.AppVersion, maxName)
	wrong.MaxLen("user_token", d.UserToken, maxName)
	return wrong.Err()
}

// noteRefusal notes the refusal of a token of family f, which has no ID where the token is not known to be ours, and
// returns err.
func (s *Tokens) noteRefusal(err error, from Caller, f Family) error {
	if e := (*apierr.Error)(nil); errors.As(err, &e) && ofInstallation(e) {
		return err
	}
	return s.Refusals.Note(err, refusal.Token{
		Chain:      f.ID,
		LicenseID:  f.LicenseID,
		HardwareID: f.HardwareID,
		Origin:     from.Origin,
	})
}
