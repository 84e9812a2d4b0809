package credential

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const (
	// AccessFor is the life of an access token.
	AccessFor     = time.Hour
	refreshFor    = 30 * 24 * time.Hour
	refreshPrefix = "rt_"
)

var (
	// ErrTokenUnknown says that the store has no such refresh token.
	ErrTokenUnknown    = errors.New("credential: unknown refresh token")
	errLicenseNotFound = apierr.New(apierr.NotFound, errcode.LicenseNotFound, "no license has this license_id; check it")
)

// Family is the chain of tokens that began with one call of auth/token for a device on a license.
type Family struct {
	ID, LicenseID, HardwareID string
	// LicenseVersion is the license's when the family began; license tells from it whether the device has left its seat since.
	LicenseVersion int
	CreatedAt      time.Time
	// RevokedAt zero: in force.
	RevokedAt time.Time
}

// RefreshToken is one link of the chain, good for one use.
type RefreshToken struct {
	Hash      [32]byte
	FamilyID  string
	CreatedAt time.Time
	ExpiresAt time.Time
	// UsedAt zero: not yet.
	UsedAt time.Time
}

// Pair is what a client gets.
type Pair struct {
	Access, Refresh string
	ExpiresIn       time.Duration
}

// Caller is where a request comes from, for what is observed.
type Caller struct {
	// IP is empty where it is not known for certain.
	IP string
}

// IssueTokens begins a family for a device that may act on the license. Otherwise it fails as Devices.CheckDevice does.
func (s *Service) IssueTokens(ctx context.Context, from Caller, licenseID, hardwareID string) (Pair, error) {
	if err := validateDevice(licenseID, hardwareID); err != nil {
		return Pair{}, err
	}
	f := Family{LicenseID: licenseID, HardwareID: hardwareID, CreatedAt: s.Clock.Now()}
	if err := s.checkNamed(ctx, &f); err != nil {
		s.refused(err, from, f)
		return Pair{}, err
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
	if err := s.Families.CreateFamily(ctx, f, next); err != nil {
		return Pair{}, fmt.Errorf("create token family: %w", err)
	}
	return pair, nil
}

// RefreshTokens takes a refresh token and gives the next pair of its family. A token used before revokes the family: two
// parties hold it. Every refusal is INVALID_TOKEN.
func (s *Service) RefreshTokens(ctx context.Context, from Caller, raw string) (Pair, error) {
	if raw == "" {
		return Pair{}, apierr.InvalidField("refresh_token", "is required")
	}
	f, pair, err := s.refresh(ctx, from, raw)
	if err != nil {
		s.refused(err, from, f)
		return Pair{}, err
	}
	return pair, nil
}

func (s *Service) refresh(ctx context.Context, from Caller, raw string) (Family, Pair, error) {
	if !secret.WellFormed(refreshPrefix, raw) {
		return Family{}, Pair{}, token.Refused("malformed")
	}
	hash := secret.Hash(raw)
	f, t, err := s.Families.RefreshToken(ctx, hash)
	if errors.Is(err, ErrTokenUnknown) {
		return f, Pair{}, token.Refused("unknown")
	}
	if err != nil {
		return f, Pair{}, fmt.Errorf("find refresh token: %w", err)
	}
	if err := s.AdmitRefresh(ctx, f.ID); err != nil {
		return f, Pair{}, err
	}
	if err := s.admit(ctx, from, f, t); err != nil {
		return f, Pair{}, err
	}
	pair, next, err := s.mint(ctx, f)
	if err != nil {
		return f, Pair{}, err
	}
	first, err := s.Families.UseRefreshToken(ctx, hash, next.CreatedAt, next)
	if err != nil {
		return f, Pair{}, fmt.Errorf("use refresh token: %w", err)
	}
	if !first {
		return f, Pair{}, s.reused(ctx, from, f)
	}
	return f, pair, nil
}

// admit tells whether the token may be used now.
func (s *Service) admit(ctx context.Context, from Caller, f Family, t RefreshToken) error {
	switch {
	case !f.RevokedAt.IsZero():
		return token.Refused("revoked")
	case !t.UsedAt.IsZero():
		return s.reused(ctx, from, f)
	case !s.Clock.Now().Before(t.ExpiresAt):
		return token.Refused("expired")
	}
	return s.standing(ctx, f)
}

// reused revokes the family of a token that was presented twice.
func (s *Service) reused(ctx context.Context, from Caller, f Family) error {
	reused := &eventsv1.LicenseTokenReused{LicenseId: f.LicenseID, HardwareId: f.HardwareID, FamilyId: f.ID, Ip: from.IP}
	if _, err := s.Families.RevokeFamily(ctx, f.ID, s.Clock.Now(), Record{f.LicenseID, reused}); err != nil {
		return fmt.Errorf("revoke token family: %w", err)
	}
	return token.Refused("reused")
}

// Verified is an access token that stands.
type Verified struct {
	LicenseID, HardwareID, TokenID string
	IssuedAt, ExpiresAt            time.Time
}

// VerifyToken tells whether an access token holds now: its signature, its family, and its device on its license. Every
// refusal is INVALID_TOKEN.
func (s *Service) VerifyToken(ctx context.Context, from Caller, raw string) (Verified, error) {
	var c claims.Access
	if err := s.ring.access.Verify(ctx, raw, &c); err != nil {
		s.refused(err, from, Family{})
		return Verified{}, err
	}
	f := Family{ID: c.FamilyID, LicenseID: c.Subject, HardwareID: c.HardwareID, LicenseVersion: c.LicenseVersion}
	if err := s.holds(ctx, f); err != nil {
		s.refused(err, from, f)
		return Verified{}, err
	}
	return Verified{
		LicenseID: c.Subject, HardwareID: c.HardwareID, TokenID: c.ID,
		IssuedAt: c.IssuedAt.UTC(), ExpiresAt: c.ExpiresAt.UTC(),
	}, nil
}

func (s *Service) holds(ctx context.Context, f Family) error {
	revoked, err := s.FamilyRevoked(ctx, f.ID)
	if err != nil {
		return err
	}
	if revoked {
		return token.Refused("revoked")
	}
	return s.standing(ctx, f)
}

// FamilyRevoked tells whether the tokens of a family are refused. Families that are not known are.
func (s *Service) FamilyRevoked(ctx context.Context, id string) (bool, error) {
	id, ok := canonicalID(id)
	if !ok {
		return true, nil
	}
	revoked, err := s.Families.FamilyRevoked(ctx, id)
	if err != nil {
		return false, fmt.Errorf("check token family: %w", err)
	}
	return revoked, nil
}

// standing asks whether the device still stands on its license, and makes any refusal one of the token.
func (s *Service) standing(ctx context.Context, f Family) error {
	err := s.Devices.CheckFamily(ctx, f)
	var refusal *apierr.Error
	if errors.As(err, &refusal) && isRefusal(refusal.Kind) {
		return token.Refused(strings.ToLower(refusal.Code)).Because(err)
	}
	return err
}

func isRefusal(k apierr.Kind) bool { return k == apierr.Forbidden || k == apierr.NotFound }

// checkNamed makes the ids that a client named canonical, asks about them, and notes the version of the license.
func (s *Service) checkNamed(ctx context.Context, f *Family) error {
	id, ok := canonicalID(f.LicenseID)
	if !ok {
		f.LicenseID = ""
		return errLicenseNotFound
	}
	f.LicenseID = id
	version, err := s.Devices.CheckDevice(ctx, f.LicenseID, f.HardwareID)
	f.LicenseVersion = version
	return err
}

// mint signs an access token of the family and makes a refresh token that is yet to be stored.
func (s *Service) mint(ctx context.Context, f Family) (Pair, RefreshToken, error) {
	id, err := newID()
	if err != nil {
		return Pair{}, RefreshToken{}, err
	}
	now := s.Clock.Now()
	access, err := s.ring.sign(ctx, &claims.Access{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: claims.Issuer, Audience: jwt.ClaimStrings{claims.AudienceAccess}, Subject: f.LicenseID, ID: id,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(AccessFor)),
		},
		HardwareID: f.HardwareID, FamilyID: f.ID, LicenseVersion: f.LicenseVersion,
	})
	if err != nil {
		return Pair{}, RefreshToken{}, err
	}
	refresh := secret.New(refreshPrefix)
	next := RefreshToken{Hash: secret.Hash(refresh), FamilyID: f.ID, CreatedAt: now, ExpiresAt: now.Add(refreshFor)}
	return Pair{Access: access, Refresh: refresh, ExpiresIn: AccessFor}, next, nil
}

// refused tells the observer of a refusal; failures of ours are none.
func (s *Service) refused(err error, from Caller, f Family) {
	var e *apierr.Error
	if !errors.As(err, &e) || e.Kind != apierr.Unauthenticated && !isRefusal(e.Kind) {
		return
	}
	licenseID := f.LicenseID
	if e.Code == errcode.LicenseNotFound {
		licenseID = "" // a caller's invention: nobody downstream may take it for a license
	}
	s.Observe(licenseID, s.Clock.Now(), &eventsv1.LicenseTokenRefused{ErrorCode: e.Code, LicenseId: licenseID, HardwareId: f.HardwareID, Ip: from.IP})
}

func validateDevice(licenseID, hardwareID string) error {
	wrong := map[string]string{}
	for name, value := range map[string]string{"license_id": licenseID, "hardware_id": hardwareID} {
		switch {
		case strings.TrimSpace(value) == "":
			wrong[name] = "is required"
		case utf8.RuneCountInString(value) > maxName:
			wrong[name] = fmt.Sprintf("must have at most %d characters", maxName)
		}
	}
	if len(wrong) > 0 {
		return apierr.InvalidFields(wrong)
	}
	return nil
}
