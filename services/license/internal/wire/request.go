package wire

import (
	"crypto/ed25519"
	"encoding/base64"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
)

// What follows reads members that calls of devices have, and explain has with them.

// DevicePublicKey is the key of the member device_public_key; nil for none, and for a wrong one, which it notes.
func DevicePublicKey(bad apierr.Fields, text string) ed25519.PublicKey {
	if text == "" {
		return nil
	}
	der, err := base64.StdEncoding.DecodeString(text)
	var key ed25519.PublicKey
	if err == nil {
		key, err = file.ParsePublicKey(der)
	}
	if err != nil {
		bad.Add("device_public_key", "must be the base64 of an Ed25519 public key, its 32 bytes or in DER")
	}
	return key
}

// CounterProblems notes what is wrong with the members that say what is consumed.
func CounterProblems(bad apierr.Fields, counter, entitlement string) {
	switch {
	case counter == "" && entitlement == "":
		bad.Add("counter", "counter or entitlement is required")
	case counter != "" && entitlement != "":
		bad.Add("counter", "must not be sent with entitlement, which has a counter of its own")
	}
}
