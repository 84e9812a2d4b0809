package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/pkg/telemetry"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
	"github.com/latchkey-dev/latchkey/services/auth/internal/store"
)

// Migrations is everything that the service keeps in its schema.
var Migrations = []db.Migrations{
	store.Migrations, outbox.Migrations, telemetry.Migrations, idempotency.Migrations, ratelimit.Migrations,
	masterkey.Migrations,
}

// Program is the service as a program. cfg is filled when a command runs.
func Program(cfg *Config) app.Service {
	return app.Service{
		Name:       Name,
		Short:      "API keys, access and refresh tokens, and the keys that sign them",
		Config:     cfg,
		Migrations: Migrations,
		Queues:     bus.AllQueues(),
		Peers:      func() []string { return []string{"license"} },
		MasterKeys: func(d app.Deps) (*masterkey.Register, error) { return MasterKeys(*cfg, d) },
		New:        func(d app.Deps) (app.Running, error) { return New(*cfg, d) },
		Commands: []*cobra.Command{
			rotateSigningKeyCommand(cfg), revokeSigningKeyCommand(cfg), app.DeadLetters(erasureQueue().Name),
		},
	}
}

// MasterKeys is the register of what the service keeps under master keys.
func MasterKeys(cfg Config, deps app.Deps) (*masterkey.Register, error) {
	ring, err := cfg.Keyring(Name)
	if err != nil {
		return nil, err
	}
	return masterkey.New(deps.DB, ring, store.SigningKeyRows(deps.DB, ring),
		idempotency.Rows(deps.DB, ring, deps.Clock)), nil
}

func rotateSigningKeyCommand(cfg *Config) *cobra.Command {
	return &cobra.Command{
		Use:   "rotate-signing-key",
		Short: "Add a key to sign tokens with; it signs after ten minutes, when everybody knows it",
		Long: `Add a signing key. It is published at once and signs from ten minutes later on, so that every holder
of the key set has it by then. The key before it stays published until the last token that it signed
has ended. Nothing has to be restarted.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.WithDatabase(cmd, func(ctx context.Context, d app.Deps) error {
				return RotateSigningKey(ctx, *cfg, d, cmd.OutOrStdout())
			})
		},
	}
}

// RotateSigningKey is the command rotate-signing-key: it adds a key, and writes to out what it did and what happens
// next.
func RotateSigningKey(ctx context.Context, cfg Config, d app.Deps, out io.Writer) error {
	return changeSigningKeys(ctx, cfg, d, out, func(keys *credential.SigningKeys) (string, error) {
		k, err := keys.Rotate(ctx, operator())
		return fmt.Sprintf("key %s is published and signs from %s on\n", k.ID, k.SignsFrom.Format(time.RFC3339)), err
	})
}

func revokeSigningKeyCommand(cfg *Config) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke-signing-key KID",
		Short: "Refuse every token of a signing key from now on, because its private half may have leaked",
		Long: `Withdraw a signing key at once. It leaves the published key set and signs nothing more; every access
token and offline token that it signed is refused. If it was the key that signs, a new one is made
and signs at once. Refresh tokens are not signed: devices get new access tokens for them as usual.
Nothing has to be restarted, and the broker may be away.

KID is the key's name in /.well-known/jwks.json, and in the header of its tokens. Revoking a key
again changes nothing. For a key that has not leaked, rotate-signing-key replaces it without any
token being refused.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.WithDatabase(cmd, func(ctx context.Context, d app.Deps) error {
				return RevokeSigningKey(ctx, *cfg, d, cmd.OutOrStdout(), args[0])
			})
		},
	}
}

// RevokeSigningKey is the command revoke-signing-key: it withdraws a key, and writes to out what it did and what
// happens next. A kid that no key has is an *app.ArgumentError, which lists the keys.
func RevokeSigningKey(ctx context.Context, cfg Config, d app.Deps, out io.Writer, kid string) error {
	return changeSigningKeys(ctx, cfg, d, out, func(keys *credential.SigningKeys) (string, error) {
		r, err := keys.Revoke(ctx, operator(), kid)
		if errors.Is(err, credential.ErrNoSigningKey) {
			err = &app.ArgumentError{Err: err}
		}
		return explain(r), err
	})
}

// explain says what a revocation did and what happens next.
func explain(r credential.Revocation) string {
	revoked := r.Key.RevokedAt.UTC().Format(time.RFC3339)
	if r.Before {
		return fmt.Sprintf("key %s was revoked at %s already; nothing was changed\n", r.Key.ID, revoked)
	}
	text := fmt.Sprintf("key %s is revoked; its tokens are refused\n", r.Key.ID)
	if r.New {
		text += fmt.Sprintf("key %s was made and signs at once\n", r.Signer.ID)
	} else {
		text += fmt.Sprintf("key %s still signs\n", r.Signer.ID)
	}
	return text + "devices get new access tokens by their refresh tokens; " +
		"offline tokens of the key have to be asked for again\n" +
		"anyone who keeps a copy of /.well-known/jwks.json must fetch it again: " +
		"until then the copy accepts the revoked key\n"
}

// announceFor bounds the wait for a broker to tell the running processes by.
const announceFor = 3 * time.Second

// changeSigningKeys makes a change, has the processes that run learn of it, and says how it went. The broker may be
// away: they find out by themselves. Without a bus nothing runs.
func changeSigningKeys(
	ctx context.Context, cfg Config, d app.Deps, out io.Writer, change func(*credential.SigningKeys) (string, error),
) error {
	keys, err := MasterKeys(cfg, d)
	if err != nil {
		return err
	}
	events := outbox.New(d.DB, app.Source(Name))
	said, err := change(credential.NewSigningKeys(store.New(d.DB, events, keys), d.Clock, nil))
	if err != nil {
		return err
	}
	switch {
	case d.Bus == nil:
	case announce(ctx, events, d.Bus) == nil:
		said += "every process knows within a second\n"
	default:
		said += "the broker cannot be reached from here; every process knows within five seconds\n"
	}
	_, err = io.WriteString(out, said)
	return err
}

// announce publishes the events of the change. It is tried again while the connection to the broker is being made.
func announce(ctx context.Context, events *outbox.Outbox, pub bus.Publisher) error {
	ctx, cancel := context.WithTimeout(ctx, announceFor)
	defer cancel()
	for {
		err := events.Flush(ctx, pub)
		if err == nil || clock.Sleep(ctx, 50*time.Millisecond) != nil {
			return err
		}
	}
}

// operator is who runs a command on the host, for the audit log.
func operator() *credential.Actor {
	return &credential.Actor{Id: "command-line", Name: "operator at the command line", Role: "owner"}
}
