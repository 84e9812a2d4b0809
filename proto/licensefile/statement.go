package licensefile

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"time"
)

const (
	// StatementFormat is the value of Statement.Format.
	StatementFormat = "latchkey-statement/1"
	// MaxNonce is how many characters a nonce has at most, that of a license file too.
	MaxNonce = 128
)

// Statement is what a server says of a license that a machine may use at an instant, in JSON. It answers one question:
// whoever asks makes a nonce that nobody can foresee, and so knows the answer for one of now, made by the issuer.
type Statement struct {
	Format string `json:"format"`
	Nonce  string `json:"nonce"`
	// HardwareID is that of the seat, which the machine holds.
	HardwareID  string `json:"hardware_id"`
	LicenseID   string `json:"license_id"`
	Product     string `json:"product"`
	LicenseType string `json:"license_type"`
	// Status is active or in_grace.
	Status   string    `json:"status"`
	IssuedAt time.Time `json:"issued_at"`
	// ExpiresAt is the end of the license, UsableUntil that of its grace; absent for none.
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
	UsableUntil time.Time `json:"usable_until,omitzero"`
}

// The reasons why a good statement is no answer to a question.
var (
	ErrNonce   = errors.New("licensefile: the statement answers another question")
	ErrLicense = errors.New("licensefile: the statement is about another license")
)

// Question is what a statement has to answer.
type Question struct {
	Nonce      string
	HardwareID string
	// LicenseID and Product may be empty, for any.
	LicenseID, Product string
	// Now is the time by the clock of whoever asks.
	Now time.Time
}

// oldKey is how long after the end of its certificate a signing key is still taken, for clocks that go wrong.
const oldKey = 24 * time.Hour

// OpenStatement reads a signed statement and reports whether it answers a question. The nonce alone makes it one of
// now: the clocks of the two need not agree, but the certificate must not have ended long ago. Errors: ErrAltered,
// ErrKind, ErrNonce, ErrMachine, ErrLicense, ErrProduct.
func OpenStatement(root ed25519.PublicKey, file []byte, q Question) (*Statement, error) {
	opened, err := Open(root, file)
	if err != nil {
		return nil, err
	}
	if opened.Kind != KindStatement {
		return nil, ErrKind
	}
	var s Statement
	if json.Unmarshal(opened.Payload, &s) != nil || s.Format != StatementFormat {
		return nil, ErrAltered
	}
	return &s, s.answers(q, opened.Certificate)
}

func (s *Statement) answers(q Question, of Certificate) error {
	switch {
	case s.Product != of.Product, s.IssuedAt.Before(of.NotBefore), s.IssuedAt.After(of.NotAfter),
		q.Now.After(of.NotAfter.Add(oldKey)):
		return ErrAltered // signed by a key that may not sign this
	case q.Nonce == "", s.Nonce != q.Nonce:
		return ErrNonce
	case s.HardwareID != Identifier(q.HardwareID):
		return ErrMachine
	case q.LicenseID != "" && s.LicenseID != q.LicenseID:
		return ErrLicense
	case q.Product != "" && s.Product != q.Product:
		return ErrProduct
	}
	return nil
}
