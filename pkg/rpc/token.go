package rpc

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
)

// Actor is the person for whom a service calls, as the audit log shows who made a change.
type Actor = rpcv1.Actor

// tokenClaims are what a service token says.
type tokenClaims struct {
	jwt.RegisteredClaims
	// Actor is absent where the caller asks for itself.
	Actor *Actor `json:"actor,omitempty"`
	// Request is the method and path that a token in the name of a person is good for, "" in other tokens.
	Request string `json:"request,omitempty"`
}

const (
	tokenLife = 60 * time.Second
	// renewAt is the age at which a signer makes a new token: what it hands out is good for at least 30 s.
	renewAt = 30 * time.Second
	// skew is how far the clocks of two services may differ.
	skew = 10 * time.Second
)

// signer makes the service tokens of one caller for one audience, and uses each that names nobody for half its life.
type signer struct {
	id       Identity
	audience string
	clock    clock.Clock

	mu     sync.Mutex
	cached string
	made   time.Time
}

func newSigner(id Identity, audience string, c clock.Clock) *signer {
	return &signer{id: id, audience: audience, clock: c}
}

func (s *signer) token() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	if age := now.Sub(s.made); s.cached != "" && age >= 0 && age < renewAt {
		return s.cached, nil
	}
	signed, err := s.sign(now, nil, "")
	if err != nil {
		return "", err
	}
	s.cached, s.made = signed, now
	return signed, nil
}

// sign makes a token in the name of by, nil for nobody's, that is good for one request.
func (s *signer) sign(now time.Time, by *Actor, request string) (string, error) {
	if s.id.Key == nil || s.id.Service == "" {
		return "", errors.New("rpc: an identity needs a service and a key")
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, tokenClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    s.id.Service,
			Audience:  jwt.ClaimStrings{s.audience},
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(tokenLife)),
		},
		Actor:   by,
		Request: request,
	})
	token.Header["kid"] = keyID(s.id.public())
	signed, err := token.SignedString(s.id.Key)
	if err != nil {
		return "", fmt.Errorf("rpc: sign service token: %w", err)
	}
	return signed, nil
}

// verifier checks the service tokens meant for one service.
type verifier struct {
	audience string
	parser   *jwt.Parser
	peers    Peers
	clock    clock.Clock
}

func newVerifier(audience string, peers Peers, c clock.Clock) *verifier {
	return &verifier{audience: audience, peers: peers, clock: c, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(skew),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(c.Now),
	)}
}

// verify returns what a service token says. Its Issuer is the calling service. The error is typed, as Unavailable,
// where the token is refused for its time alone: it is of a peer, and good once its clock is right, or ours.
func (v *verifier) verify(authorization []string) (*tokenClaims, error) {
	if len(authorization) != 1 {
		return nil, errors.New("exactly one service token is needed")
	}
	raw, ok := strings.CutPrefix(authorization[0], "Bearer ")
	if !ok {
		return nil, errors.New("a service token is needed")
	}
	var claims tokenClaims
	_, err := v.parser.ParseWithClaims(raw, &claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		// Only a key of the service that the token names counts: no service can speak for another.
		if key := v.peers.find(claims.Issuer, kid); key != nil {
			return key, nil
		}
		return nil, fmt.Errorf("key %q of service %q is not in LATCHKEY_INTERNAL_PEERS of %s",
			kid, claims.Issuer, v.audience)
	})
	if isOfTime(err) && claims.IssuedAt != nil {
		return nil, apierr.ErrUnavailable.WithCause(v.clocksDiffer(&claims))
	}
	if err != nil {
		return nil, err
	}
	if claims.ExpiresAt.After(v.clock.Now().Add(tokenLife + skew)) {
		return nil, fmt.Errorf("the service token lives longer than %v", tokenLife)
	}
	return &claims, nil
}

// isOfTime reports whether err is that a token with a good signature has ended or not yet begun, and nothing else.
func isOfTime(err error) bool {
	others := []error{jwt.ErrTokenInvalidAudience, jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenNotValidYet}
	for _, other := range others {
		if errors.Is(err, other) {
			return false
		}
	}
	// The claims are looked at after the signature.
	return errors.Is(err, jwt.ErrTokenInvalidClaims) &&
		(errors.Is(err, jwt.ErrTokenExpired) || errors.Is(err, jwt.ErrTokenUsedBeforeIssued))
}

// clocksDiffer says how far; a caller uses its tokens for up to renewAt.
func (v *verifier) clocksDiffer(claims *tokenClaims) error {
	off, where := claims.IssuedAt.Sub(v.clock.Now()), "ahead of"
	if off < 0 {
		off, where = -off, "behind"
	}
	return fmt.Errorf("the clock of %s is %v %s that of %s (to within %v); have both set by NTP",
		claims.Issuer, off.Round(time.Second), where, v.audience, renewAt)
}

func isTyped(err error) bool {
	var typed *apierr.Error
	return errors.As(err, &typed)
}
