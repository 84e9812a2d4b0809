package app

import (
	"errors"

	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// MasterKeys is the settings of a service that hashes or encrypts what it keeps; its Config embeds it.
type MasterKeys struct {
	MasterKey         secret.Secret `key:"master_key" env:"LATCHKEY_MASTER_KEY" secret:"true" help:"base64 of 32 bytes; license keys, signing keys and kept answers are hashed and encrypted with keys made from it"`
	MasterKeyPrevious secret.Secret `key:"master_key_previous" env:"LATCHKEY_MASTER_KEY_PREVIOUS" secret:"true" help:"still opens what it sealed, until rotate-master-key has run everywhere and a day has passed"`
}

// Check joins all problems of the keys, each a *config.Problem that names its setting.
func (m MasterKeys) Check(b Base) error {
	err := b.CheckMasterKey("master_key", "LATCHKEY_MASTER_KEY", m.MasterKey)
	if m.MasterKeyPrevious == "" {
		return err
	}
	return errors.Join(err, b.CheckMasterKey("master_key_previous", "LATCHKEY_MASTER_KEY_PREVIOUS", m.MasterKeyPrevious))
}

// Keyring derives the keys of a service.
func (m MasterKeys) Keyring(service string) (*keyring.Ring, error) {
	current, err := keyring.ParseKey(m.MasterKey.Reveal())
	if err != nil {
		return nil, err
	}
	if m.MasterKeyPrevious == "" {
		return keyring.New(service, current)
	}
	previous, err := keyring.ParseKey(m.MasterKeyPrevious.Reveal())
	if err != nil {
		return nil, err
	}
	return keyring.New(service, current, previous)
}
