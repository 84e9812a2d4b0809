package licensefile

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"
)

// RevocationsFormat is the value of Revocations.Format.
const RevocationsFormat = "latchkey-revocations/2"

// Revocations is a revocation list, in JSON: the licenses and devices that may not use what they hold for offline use.
type Revocations struct {
	Format string `json:"format"`
	// Number grows with each change; Apply tells which of two lists a machine keeps.
	Number int64 `json:"number"`
	// Since is the number of the list whose changes this is; 0 for a whole list.
	Since    int64        `json:"since"`
	IssuedAt time.Time    `json:"issued_at"`
	Revoked  []Revocation `json:"revoked"`
	// Reinstated are those that left the list after Since.
	Reinstated []Revocation `json:"reinstated"`
	// NextUpdate is when a machine should have a newer list.
	NextUpdate time.Time `json:"next_update"`
}

// Revocation is a license, or one device of it, on a list.
type Revocation struct {
	LicenseID string `json:"license_id"`
	// Device is the DeviceHash of the device, absent where all devices of the license are meant.
	Device string `json:"device_hash,omitempty"`
	// Reason is suspended, deactivated or device_deactivated.
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// DeviceHash is how lists name a device: SHA-256, in lower case hex, of the license id, a newline and the hardware id.
// Everybody with an API key reads lists, and the two ids together are what a device shows to get its tokens.
func DeviceHash(licenseID, hardwareID string) string {
	sum := sha256.Sum256([]byte(licenseID + "\n" + hardwareID))
	return hex.EncodeToString(sum[:])
}

// OpenRevocations reads a signed revocation list. Errors: ErrAltered, ErrKind.
func OpenRevocations(root ed25519.PublicKey, file []byte) (*Revocations, error) {
	opened, err := open(root, file, MaxListSize)
	if err != nil {
		return nil, err
	}
	if opened.Kind != KindRevocations {
		return nil, ErrKind
	}
	var list Revocations
	if json.Unmarshal(opened.Payload, &list) != nil || list.Format != RevocationsFormat {
		return nil, ErrAltered
	}
	c := opened.Certificate
	if list.IssuedAt.Before(c.NotBefore) || list.IssuedAt.After(c.NotAfter) {
		return nil, ErrAltered
	}
	return &list, nil
}

// Apply returns the list after the changes of a later one, or the later one when it is whole. A list of changes since
// another number than the list's, and an older list, change nothing: a server whose database was restored may have lost
// changes between the two, and would never name them again. Later is a list with a higher number; a whole one
// also if it was issued later, whatever its number: a server whose database was restored does not know all numbers that
// it gave out.
func (r *Revocations) Apply(later *Revocations) *Revocations {
	switch {
	case r != nil && later.Number <= r.Number && (later.Since != 0 || !later.IssuedAt.After(r.IssuedAt)):
		return r
	case later.Since == 0:
		return later
	case r == nil || later.Since != r.Number:
		return r
	}
	next := *later
	next.Since, next.Revoked, next.Reinstated = 0, nil, nil
	changed := make(map[revoked]bool, len(later.Revoked)+len(later.Reinstated))
	for _, list := range [][]Revocation{later.Revoked, later.Reinstated} {
		for _, e := range list {
			changed[e.whom()] = true
		}
	}
	for _, e := range r.Revoked {
		if !changed[e.whom()] {
			next.Revoked = append(next.Revoked, e)
		}
	}
	next.Revoked = append(next.Revoked, later.Revoked...)
	return &next
}

// revoked is whom an entry is about.
type revoked struct{ licenseID, device string }

func (e *Revocation) whom() revoked { return revoked{e.LicenseID, e.Device} }

func (r *Revocations) has(licenseID, hardwareID string) bool {
	if r == nil {
		return false
	}
	device := DeviceHash(licenseID, hardwareID)
	return slices.ContainsFunc(r.Revoked, func(e Revocation) bool {
		return e.LicenseID == licenseID && (e.Device == "" || e.Device == device)
	})
}
