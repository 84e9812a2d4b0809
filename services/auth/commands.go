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
	return []*cobra.Command{rotateSigningKeyCommand(cfg)}
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
				keys, err := MasterKeys(*cfg, d)
				if err != nil {
					return err
				}
				signing := store.New(d.DB, outbox.New(d.DB, source), keys)
				rules := credential.New(credential.Deps{Clock: d.Clock, Signing: signing})
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

// operator is who runs a command on the host, for the audit log.
func operator() *credential.Actor {
	return &credential.Actor{Id: "command-line", Name: "operator at the command line", Role: "owner"}
}
