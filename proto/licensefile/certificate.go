package licensefile

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"time"
)

// What a signing key may sign.
const (
	UseLicenses    = "licenses"
	UseRevocations = "revocations"
	// UseDelegated signs the tokens of docs/dialects/delegated-keys.md, and no file.
	UseDelegated = "delegated-keys"
)

func (k Kind) use() string {
	switch k {
	case KindLicense, KindEncryptedLicense, KindStatement:
		return UseLicenses
	case KindRevocations:
		return UseRevocations
	}
	return ""
}

// certificatePrefix is what the message begins with that the root signs.
const certificatePrefix = "latchkey-certificate-v1\n"

// Certificate is what the root says of a signing key. In a file it stands behind the 64 bytes of the root's signature.
type Certificate struct {
	// PublicKey is the base64 of the key in DER (SubjectPublicKeyInfo, RFC 8410). It comes first, where a shell finds
	// it.
	PublicKey string `json:"public_key"`
	// KID is the first 16 hexadecimal digits of the SHA-256 of the key in DER.
	KID string `json:"kid"`
	Use string `json:"use"`
	// Product is the code of the only product whose licenses the key signs; empty for other uses.
	Product   string    `json:"product,omitempty"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
}

// Certify has the root certify a signing key. Members of c about the key are filled in.
func Certify(root ed25519.PrivateKey, key ed25519.PublicKey, c Certificate) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	c.PublicKey, c.KID = base64.StdEncoding.EncodeToString(der), KID(key)
	body, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return append(ed25519.Sign(root, append([]byte(certificatePrefix), body...)), body...), nil
}

// KID names a public key.
func KID(key ed25519.PublicKey) string {
	der, _ := x509.MarshalPKIXPublicKey(key) // cannot fail for this type
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8])
}

// PublicPEM is a public key as openssl reads it.
func PublicPEM(key ed25519.PublicKey) string {
	der, _ := x509.MarshalPKIXPublicKey(key) // cannot fail for this type
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// ParsePublicPEM reads what PublicPEM wrote.
func ParsePublicPEM(text []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("licensefile: not a public key in PEM")
	}
	return parseKey(block.Bytes)
}

func parseKey(der []byte) (ed25519.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("licensefile: not an Ed25519 key")
	}
	return key, nil
}

func openCertificate(root ed25519.PublicKey, signed []byte) (*Certificate, ed25519.PublicKey, error) {
	if len(root) != ed25519.PublicKeySize || len(signed) <= ed25519.SignatureSize {
		return nil, nil, ErrAltered
	}
	signature, body := signed[:ed25519.SignatureSize], signed[ed25519.SignatureSize:]
	if !ed25519.Verify(root, append([]byte(certificatePrefix), body...), signature) {
		return nil, nil, ErrAltered
	}
	var c Certificate
	if json.Unmarshal(body, &c) != nil {
		return nil, nil, ErrAltered
	}
	der, err := base64.StdEncoding.DecodeString(c.PublicKey)
	if err != nil {
		return nil, nil, ErrAltered
	}
	key, err := parseKey(der)
	if err != nil {
		return nil, nil, ErrAltered
	}
	return &c, key, nil
}
