package rpc

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

const (
	tokenLife = 60 * time.Second
	// renewAt is the age at which a signer makes a new token: what it hands out is good for at least 30 s.
	renewAt = 30 * time.Second
	// skew is how far the clocks of two services may differ.
	skew = 10 * time.Second
)

// signer makes the service tokens of one caller for one audience, and uses each for half its life.
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
	if s.id.Key == nil || s.id.Service == "" {
		return "", errors.New("rpc: an identity needs a service and a key")
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.RegisteredClaims{
		Issuer:    s.id.Service,
		Audience:  jwt.ClaimStrings{s.audience},
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(tokenLife)),
	})
	token.Header["kid"] = keyID(s.id.public())
	signed, err := token.SignedString(s.id.Key)
	if err != nil {
		return "", fmt.Errorf("rpc: sign service token: %w", err)
	}
	s.cached, s.made = signed, now
	return signed, nil
}

// verifier checks the service tokens meant for one service.
type verifier struct {
	parser *jwt.Parser
	peers  Peers
	clock  clock.Clock
}

func newVerifier(audience string, peers Peers, c clock.Clock) *verifier {
	return &verifier{peers: peers, clock: c, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(skew),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(c.Now),
	)}
}

// verify returns the calling service's name.
func (v *verifier) verify(authorization []string) (string, error) {
	if len(authorization) != 1 {
		return "", errors.New("exactly one service token is needed")
	}
	raw, ok := strings.CutPrefix(authorization[0], "Bearer ")
	if !ok {
		return "", errors.New("a service token is needed")
	}
	var claims jwt.RegisteredClaims
	_, err := v.parser.ParseWithClaims(raw, &claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		// Only a key of the service that the token names counts: no service can speak for another.
		if key := v.peers.find(claims.Issuer, kid); key != nil {
			return key, nil
		}
		return nil, fmt.Errorf("key %q of service %q is not among LATCHKEY_INTERNAL_PEERS", kid, claims.Issuer)
	})
	if err != nil {
		return "", err
	}
	if claims.ExpiresAt.After(v.clock.Now().Add(tokenLife + skew)) {
		return "", fmt.Errorf("the service token lives longer than %v", tokenLife)
	}
	return claims.Issuer, nil
}
