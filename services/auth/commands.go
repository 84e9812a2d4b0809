package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
	"github.com/latchkey-dev/latchkey/services/auth/internal/store"
)

// Commands are what the auth binary does besides serving. cfg is filled when a command runs.
func Commands(cfg *Config) []*cobra.Command {
	return []*cobra.Command{rotateSigningKeyCommand(cfg), rotateMasterKeyCommand(cfg)}
}

func rotateSigningKeyCommand(cfg *Config) *cobra.Command {
	return &cobra.Command{
		Use:   "rotate-signing-key",
		Short: "Add a key to sign tokens with; it signs after ten minutes, when everybody knows it",
		Long: `Add a signing key. It is published at once and signs from ten minutes later on, so that every holder of the key set has it
by then. The key before it stays published until the last token that it signed has ended. Nothing has to be restarted.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.WithDeps(cmd, func(ctx context.Context, d app.Deps) error {
				ring, err := cfg.Keyring(Name)
				if err != nil {
					return err
				}
				keys := store.New(d.DB, outbox.New(d.DB, source), ring)
				rules := credential.New(credential.Deps{Clock: d.Clock, Signing: keys})
				k, err := rules.RotateSigningKey(ctx, operator())
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "key %s is published and signs from %s on\n", k.ID, k.SignsFrom.Format(time.RFC3339))
				return err
			})
		},
	}
}

func rotateMasterKeyCommand(cfg *Config) *cobra.Command {
	return &cobra.Command{
		Use:   "rotate-master-key",
		Short: "Encrypt the signing keys anew under the current master key",
		Long: `First give every replica the new key as LATCHKEY_MASTER_KEY and the old one as LATCHKEY_MASTER_KEY_PREVIOUS. Then run this
once; it may be run again, and nothing stands still meanwhile. Answers kept for an Idempotency-Key stay under the old key: take
the previous key away a day later.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.WithDeps(cmd, func(ctx context.Context, d app.Deps) error {
				ring, err := cfg.Keyring(Name)
				if err != nil {
					return err
				}
				n, err := store.New(d.DB, outbox.New(d.DB, source), ring).ResealSigningKeys(ctx)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d signing keys were encrypted anew under master key %s\n", n, ring.Name())
				return err
			})
		},
	}
}

// operator is who runs a command on the host, for the audit log.
func operator() *credential.Actor {
	return &credential.Actor{Id: "command-line", Name: "operator at the command line", Role: "owner"}
}
