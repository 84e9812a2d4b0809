package rpc

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/secret"
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
	if s.id.Secret == "" || s.id.Service == "" {
		return "", errors.New("rpc: an identity needs a service and a secret")
	}
	claims := jwt.RegisteredClaims{
		Issuer:    s.id.Service,
		Audience:  jwt.ClaimStrings{s.audience},
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(tokenLife)),
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(s.id.Secret.Reveal()))
	if err != nil {
		return "", fmt.Errorf("rpc: sign service token: %w", err)
	}
	s.cached, s.made = signed, now
	return signed, nil
}

// verifier checks the service tokens meant for one service.
type verifier struct {
	parser *jwt.Parser
	keys   jwt.VerificationKeySet
}

func newVerifier(audience string, secrets []secret.Secret, c clock.Clock) *verifier {
	v := &verifier{parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(skew),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(c.Now),
	)}
	for _, s := range secrets {
		if s != "" { // an absent previous secret must not open the door
			v.keys.Keys = append(v.keys.Keys, []byte(s.Reveal()))
		}
	}
	return v
}

// verify returns the calling service's name.
func (v *verifier) verify(authorization []string) (string, error) {
	if len(authorization) != 1 || len(v.keys.Keys) == 0 {
		return "", errors.New("exactly one service token is needed")
	}
	raw, ok := strings.CutPrefix(authorization[0], "Bearer ")
	if !ok {
		return "", errors.New("a service token is needed")
	}
	var claims jwt.RegisteredClaims
	_, err := v.parser.ParseWithClaims(raw, &claims, func(*jwt.Token) (any, error) { return v.keys, nil })
	if err != nil {
		return "", err
	}
	if claims.Issuer == "" {
		return "", errors.New("the service token names no caller")
	}
	return claims.Issuer, nil
}
