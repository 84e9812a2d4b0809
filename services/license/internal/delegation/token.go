package delegation

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
)

// TokenFormat is what the format of a token's payload says.
const TokenFormat = "latchkey-delegated-token-v1"

// payload is what a token says. It has no end: a token is good forever.
type payload struct {
	Format          string `json:"format"`
	KID             string `json:"kid"`
	LicenseID       string `json:"license_id"`
	Product         string `json:"product"`
	OperatingSystem string `json:"operating_system"`
	RuntimeKey      string `json:"runtime_key"`
}

// sign makes the token of a device: the base64 of the 64 bytes of an Ed25519 signature, and of what is signed, behind
// them. The key signs nothing but tokens.
func sign(key *licensefile.Key, a *Activated) (string, error) {
	signed, err := json.Marshal(payload{
		Format:          TokenFormat,
		KID:             key.KID,
		LicenseID:       a.LicenseID,
		Product:         a.Product,
		OperatingSystem: a.OperatingSystem,
		RuntimeKey:      a.RuntimeKey,
	})
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(append(ed25519.Sign(key.Private, signed), signed...)), nil
}
