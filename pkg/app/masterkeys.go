package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// MasterKeys is the settings of a service that hashes or encrypts what it keeps; its Config embeds it. A new key is
// accepted before it is used: it is the next one everywhere before it becomes the current one anywhere.
type MasterKeys struct {
	MasterKey         secret.Secret `key:"master_key" secret:"true" help:"base64 of 32 bytes; license keys, signing keys and kept answers are hashed and encrypted with keys made from it"`
	MasterKeyNext     secret.Secret `key:"master_key_next" secret:"true" help:"the next master key: decrypts what other replicas already encrypt with it"`
	MasterKeyPrevious secret.Secret `key:"master_key_previous" secret:"true" help:"the previous master key: decrypts what it encrypted, until rotate-master-key has run"`
}

// masterKeySetting is one of the settings, by its environment name.
type masterKeySetting struct {
	env   string
	value *secret.Secret
}

// given are the settings that are set; the current key is always among them.
func (m *MasterKeys) given() []masterKeySetting {
	given := []masterKeySetting{{"LATCHKEY_MASTER_KEY", &m.MasterKey}}
	for _, other := range []masterKeySetting{
		{"LATCHKEY_MASTER_KEY_NEXT", &m.MasterKeyNext},
		{"LATCHKEY_MASTER_KEY_PREVIOUS", &m.MasterKeyPrevious},
	} {
		if *other.value != "" {
			given = append(given, other)
		}
	}
	return given
}

// Check joins all problems of the keys, each a *config.Problem that names its setting.
func (m MasterKeys) Check(b Base) error {
	var problems []error
	before := map[string]string{} // settings by the key in them
	for _, s := range m.given() {
		rules := b
		if s.value == &m.MasterKeyPrevious {
			rules.Env = Development // who has been using a sample must be able to rotate it away
		}
		err := rules.CheckMasterKey(&m, s.value)
		if raw, unreadable := keyring.ParseKey(s.value.Reveal()); unreadable == nil {
			if same := before[string(raw)]; same != "" {
				err = config.Problemf(&m, s.value, "is the same key as %s; leave it out", same)
			}
			before[string(raw)] = s.env
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// Keyring derives the keys of a service.
func (m MasterKeys) Keyring(service string) (*keyring.Ring, error) {
	var raw [][]byte
	for _, s := range m.given() {
		key, err := keyring.ParseKey(s.value.Reveal())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.env, err)
		}
		raw = append(raw, key)
	}
	return keyring.New(service, raw[0], raw[1:]...)
}

// StartMasterKeys refuses to start without a master key that rows are under: that is a *config.Problem.
func (s Service) StartMasterKeys(ctx context.Context, d Deps) error {
	if s.MasterKeys == nil {
		return nil
	}
	keys, err := s.MasterKeys(d)
	if err == nil {
		err = keys.Start(ctx)
	}
	return MasterKeyError(err)
}

// MasterKeyError is err, as a *config.Problem where rows are under a master key that is missing.
func MasterKeyError(err error) error {
	if missing := new(masterkey.MissingError); errors.As(err, &missing) {
		m := &MasterKeys{}
		return config.Problemf(m, &m.MasterKey, "%v", missing)
	}
	return err
}

func (p *program) masterKeyError(err error) error {
	err = MasterKeyError(err)
	if problem := new(config.Problem); errors.As(err, &problem) {
		return p.settingsError(problem)
	}
	return err
}

func (p *program) rotateMasterKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate-master-key",
		Short: "Move data protected by the previous master key to the current one",
		Long: `Run this when every replica has the new key as LATCHKEY_MASTER_KEY and the old one as
LATCHKEY_MASTER_KEY_PREVIOUS. It may be stopped and run again, and the services keep running.
When it has succeeded, nothing uses the previous key any more: remove that.
docs/operations.md has all steps.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return WithDatabase(cmd, func(ctx context.Context, d Deps) error {
				p := cmd.Context().Value(programKey{}).(*program) // WithDatabase found it
				keys, err := p.MasterKeys(d)
				if err != nil {
					return err
				}
				moved, err := keys.Rotate(ctx, func(what string, done int) {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d\n", what, done)
				})
				if err != nil {
					return p.masterKeyError(err)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d rows were moved; everything is under master key %s now\n",
					moved, keys.Ring.Name())
				return err
			})
		},
	}
}
