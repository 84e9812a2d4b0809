package licensefile

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// Format is the value of Payload.Format.
const Format = "latchkey-license/1"

// Payload is what a license file says, in JSON.
type Payload struct {
	Format  string  `json:"format"`
	FileID  string  `json:"file_id"`
	License License `json:"license"`
	// Machines are the hardware ids that may use the file; null for any.
	Machines Machines `json:"machines"`
	// Nonce is that of the request which the file answers.
	Nonce     string    `json:"nonce,omitempty"`
	IssuedAt  time.Time `json:"issued_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// License is a license as a file shows it.
type License struct {
	LicenseID  string `json:"license_id"`
	CustomerID string `json:"customer_id"`
	Product    string `json:"product"`
	Policy     string `json:"policy,omitempty"`
	Status     string `json:"status"`
	// Version is that of the license when the file was issued.
	Version int `json:"version"`
	// Terms are those of the license by their public names.
	Terms map[string]any `json:"terms"`
}

// Machines are hardware ids, in JSON a list; nil is any machine, in JSON "any".
type Machines []string

// MarshalJSON implements json.Marshaler.
func (m Machines) MarshalJSON() ([]byte, error) {
	if m == nil {
		return []byte(`"any"`), nil
	}
	return json.Marshal([]string(m))
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Machines) UnmarshalJSON(raw []byte) error {
	if string(raw) == `"any"` {
		*m = nil
		return nil
	}
	list := []string{}
	err := json.Unmarshal(raw, &list)
	if list == nil {
		return errors.New(`licensefile: machines must be a list or "any"`)
	}
	*m = list
	return err
}

// The reasons why a good file is refused.
var (
	ErrKind    = errors.New("licensefile: this is not a license file")
	ErrProduct = errors.New("licensefile: the file is for another product")
	ErrMachine = errors.New("licensefile: the file is for other machines")
	ErrExpired = errors.New("licensefile: the file has expired; ask for a new one")
	ErrEarly   = errors.New("licensefile: the file is from the future; set the clock of this machine")
	ErrRevoked = errors.New("licensefile: the license was revoked")
	ErrKey     = errors.New("licensefile: the file is encrypted for another license key")
)

// Check is what a file has to agree with.
type Check struct {
	// Root is the public key that the application pins.
	Root ed25519.PublicKey
	// Product is the code of the application's product.
	Product    string
	HardwareID string
	// LicenseKey opens an encrypted file; others need none.
	LicenseKey string
	Now        time.Time
	// Revoked is the latest revocation list that the machine has, nil for none.
	Revoked *Revocations
}

// slowClock is how far the clock of a machine may be behind.
const slowClock = 5 * time.Minute

// Verify reads a license file and reports whether it lets the machine run the product now. HardwareID and LicenseKey of
// c are compared as the server does, by Identifier and NormalizeKey. Errors: ErrAltered, ErrKind and ErrKey, for which
// there is no payload, and the others above, which come with it.
func Verify(file []byte, c Check) (*Payload, error) {
	opened, err := Open(c.Root, file)
	if err != nil {
		return nil, err
	}
	body := opened.Payload
	switch opened.Kind {
	case KindLicense:
	case KindEncryptedLicense:
		if body, err = decrypt(body, c.LicenseKey); err != nil {
			return nil, err
		}
	default:
		return nil, ErrKind
	}
	var p Payload
	if json.Unmarshal(body, &p) != nil || p.Format != Format {
		return nil, ErrAltered
	}
	return &p, p.check(c, opened.Certificate)
}

func (p *Payload) check(c Check, of Certificate) error {
	hardwareID := Identifier(c.HardwareID)
	switch {
	case p.License.Product != of.Product, p.IssuedAt.Before(of.NotBefore), p.IssuedAt.After(of.NotAfter):
		return ErrAltered // signed by a key that may not sign this
	case p.License.Product != c.Product:
		return ErrProduct
	case p.Machines != nil && !slices.Contains(p.Machines, hardwareID):
		return ErrMachine
	case c.Now.Add(slowClock).Before(p.IssuedAt):
		return ErrEarly
	case !c.Now.Before(p.ExpiresAt):
		return ErrExpired
	case c.Revoked.has(p.License.LicenseID, hardwareID):
		return ErrRevoked
	}
	return nil
}
