package credential

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const (
	// AccessFor is the life of an access token.
	AccessFor  = time.Hour
	refreshFor = 30 * 24 * time.Hour
	// RefreshPrefix begins every refresh token.
	RefreshPrefix = "rt_"
	// refreshTimeout bounds a refresh that several callers wait for.
	refreshTimeout = 5 * time.Second
)

// Family is the chain of tokens that began with one call of auth/token for a device on a license.
type Family struct {
	ID, LicenseID, HardwareID string
	// LicenseVersion is the license's when the family began; license tells from it whether the device has left its seat
	// since.
	LicenseVersion int
	CreatedAt      time.Time
	// RevokedAt zero: in force.
	RevokedAt time.Time
	// Current is the hash of the newest refresh token, Previous that of the one it was given for; zero: none.
	Current, Previous [32]byte
	// InUse tells that a token of the current pair was presented: its answer has arrived.
	InUse bool
	// Rotations counts the pairs given, the first one not among them.
	Rotations int
}

// Accepts is the rule of rotation. The current refresh token is good for a new pair. So is its predecessor as long as
// nothing of the current pair was used, since that answer may have been lost; the current pair is void then. Any other
// token of the family, used up or void, is presented by a second party: one of the two has stolen it.
func (f Family) Accepts(hash [32]byte) bool {
	return hash == f.Current || hash == f.Previous && !f.InUse
}

// RefreshToken is one link of the chain.
type RefreshToken struct {
	Hash     [32]byte
	FamilyID string
	// AccessID is the id of the access token that was given with it.
	AccessID  string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Once makes a pair at most once, as the caller's Idempotency-Key asks for. subject is what the pair is for: each has
// keys of its own. It runs fn in a transaction.
type Once func(ctx context.Context, subject string, fn func(ctx context.Context) (Pair, error)) (Pair, error)

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
// once is nil where the caller sent no Idempotency-Key.
func (s *Service) IssueTokens(ctx context.Context, from Caller, licenseID, hardwareID string, once Once) (Pair, error) {
	if err := validateDevice(licenseID, hardwareID); err != nil {
		return Pair{}, err
	}
	f := Family{LicenseID: licenseID, HardwareID: hardwareID, CreatedAt: s.Clock.Now()}
	if err := s.checkNamed(ctx, &f); err != nil {
		return Pair{}, s.refused(err, from, f)
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
	device := sha256.Sum256([]byte(licenseID + "\x00" + hardwareID))
	return once(ctx, "device "+hex.EncodeToString(device[:]), func(ctx context.Context) (Pair, error) {
		if err := s.Families.CreateFamily(ctx, f, next); err != nil {
			return Pair{}, fmt.Errorf("create token family: %w", err)
		}
		return pair, nil
	})
}

// RefreshTokens takes a refresh token and gives the next pair of its family. A token that Family.Accepts does not
// revokes the family: two parties hold it. Every refusal is INVALID_TOKEN. once is nil where the caller sent no
// Idempotency-Key: then calls with one token that come at the same time share a pair, so that an application which
// refreshes twice goes on with either.
func (s *Service) RefreshTokens(ctx context.Context, from Caller, raw string, once Once) (Pair, error) {
	if raw == "" {
		return Pair{}, apierr.InvalidField("refresh_token", "is required")
	}
	if !secret.WellFormed(RefreshPrefix, raw) {
		return Pair{}, s.refused(token.Refused("malformed"), from, Family{})
	}
	hash := secret.Hash(raw)
	if once != nil {
		return s.refresh(ctx, from, hash, once)
	}
	pair, err, _ := s.refreshes.Do(string(hash[:]), func() (any, error) {
		// The caller who came first may go before the others have their answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
		defer cancel()
		return s.refresh(ctx, from, hash, direct)
	})
	return pair.(Pair), err
}

// direct is Once for a call without an Idempotency-Key.
func direct(ctx context.Context, _ string, fn func(ctx context.Context) (Pair, error)) (Pair, error) {
	return fn(ctx)
}

func (s *Service) refresh(ctx context.Context, from Caller, hash [32]byte, once Once) (Pair, error) {
	f, t, err := s.Families.RefreshToken(ctx, hash)
	switch {
	case errors.Is(err, ErrTokenUnknown):
		return Pair{}, s.refused(token.Refused("unknown"), from, f)
	case err != nil:
		return Pair{}, fmt.Errorf("find refresh token: %w", err)
	case !f.RevokedAt.IsZero():
		return Pair{}, s.refused(errRevoked, from, f)
	}
	if err := s.AdmitRefresh(ctx, f.ID); err != nil {
		return Pair{}, err
	}
	// Reuse is checked before once repeats an earlier answer: a client that uses the new pair does not need it again,
	// and anybody else must not get it.
	pair, err := Pair{}, error(errReused)
	if f.Accepts(hash) {
		pair, err = once(ctx, "family "+f.ID, func(ctx context.Context) (Pair, error) { return s.rotate(ctx, f, t) })
	}
	if errors.Is(err, errNotAccepted) {
		err = s.reused(ctx, from, f) // not inside once, which takes back what a refused call has written
	}
	if err != nil {
		return Pair{}, s.refused(err, from, f)
	}
	return pair, nil
}

// rotate gives the next pair for t. It fails with errNotAccepted where the family does not accept t any more.
func (s *Service) rotate(ctx context.Context, f Family, t RefreshToken) (Pair, error) {
	if !s.Clock.Now().Before(t.ExpiresAt) {
		return Pair{}, token.Refused("expired")
	}
	if err := s.standing(ctx, f); err != nil {
		return Pair{}, err
	}
	pair, next, err := s.mint(ctx, f)
	if err != nil {
		return Pair{}, err
	}
	accepted, err := s.Families.Rotate(ctx, t, next)
	if err != nil {
		return Pair{}, fmt.Errorf("rotate refresh token: %w", err)
	}
	if !accepted {
		return Pair{}, errReused
	}
	return pair, nil
}

// reused revokes the family of a token that two parties hold.
func (s *Service) reused(ctx context.Context, from Caller, f Family) error {
	reused := &eventsv1.LicenseTokenReused{
		LicenseId:  f.LicenseID,
		HardwareId: f.HardwareID,
		FamilyId:   f.ID,
		Ip:         from.IP,
	}
	if _, err := s.Families.RevokeFamily(ctx, f.ID, s.Clock.Now(), Record{f.LicenseID, reused}); err != nil {
		return fmt.Errorf("revoke token family: %w", err)
	}
	return errReused
}

// standing asks whether the device still stands on its license, and makes any refusal one of the token.
func (s *Service) standing(ctx context.Context, f Family) error {
	err := s.Devices.CheckFamily(ctx, f)
	var refusal *apierr.Error
	if errors.As(err, &refusal) && isRefusal(refusal.Kind) {
		return token.Refused(strings.ToLower(refusal.Code)).WithCause(err)
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
