package admin

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/kubesecrets"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/smoketest"
	"github.com/latchkey-dev/latchkey/services/admin/importer"
	"github.com/latchkey-dev/latchkey/services/admin/internal/store"
)

// Migrations is everything that the service keeps in its schema.
var Migrations = []db.Migrations{outbox.Migrations, idempotency.Migrations, store.Migrations, masterkey.Migrations}

// Program is the service as a program. cfg is filled when a command runs.
func Program(cfg *Config) app.Service {
	return app.Service{
		Name:       Name,
		Short:      "Manages licenses, devices and admin keys, and keeps the audit log",
		Config:     cfg,
		Migrations: Migrations,
		Queues:     bus.AllQueues(),
		Peers:      func() []string { return []string{"auth", "license", "analytics"} },
		MasterKeys: func(d app.Deps) (*masterkey.Register, error) { return MasterKeys(*cfg, d) },
		New:        func(d app.Deps) (app.Running, error) { return New(*cfg, d) },
		Commands: []*cobra.Command{
			app.DeadLetters(auditQueue().Name, erasureQueue().Name), importer.Command(Name),
			kubernetesSecretsCommand(), smokeTestCommand(),
		},
	}
}

// MasterKeys is the register of what the service keeps under master keys.
func MasterKeys(cfg Config, deps app.Deps) (*masterkey.Register, error) {
	ring, err := cfg.Keyring(Name)
	if err != nil {
		return nil, err
	}
	return masterkey.New(deps.DB, ring, idempotency.Rows(deps.DB, ring, deps.Clock)), nil
}

func kubernetesSecretsCommand() *cobra.Command {
	var prefix string
	command := &cobra.Command{
		Use:   "make-kubernetes-secrets",
		Short: "Make the secrets of a suite on Kubernetes once; a Job runs it",
		Long: `Make the Secrets of a suite that runs on Kubernetes together with PostgreSQL and RabbitMQ, in the
namespace of the pod that runs this. Secrets that exist stay as they are. The ServiceAccount of the
pod must be allowed to create and get them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := kubesecrets.InCluster(kubesecrets.AccountDir)
			if err != nil {
				return err
			}
			return kubesecrets.Make(cmd.Context(), cluster, prefix, cmd.OutOrStdout())
		},
	}
	command.Flags().StringVar(&prefix, "prefix", "latchkey",
		"what the names of the Secrets and of the servers begin with")
	return command
}

func smokeTestCommand() *cobra.Command {
	var suite smoketest.Suite
	var secretFile, keyFile string
	command := &cobra.Command{
		Use:   "smoke-test",
		Short: "Create, activate and validate a test license on a suite; for new installations",
		Long: `Call the public ports of a suite as its clients do: make an API key and a test license, activate and
validate that, and end both again. It needs the admin secret and an admin key that may make licenses.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var unreadable [2]error
			suite.AdminSecret, unreadable[0] = readSecret(secretFile)
			suite.AdminAPIKey, unreadable[1] = readSecret(keyFile)
			if err := errors.Join(unreadable[:]...); err != nil {
				return &app.ArgumentError{Err: err}
			}
			if err := suite.Run(cmd.Context()); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "a license was made, activated and validated")
			return err
		},
	}
	flags := command.Flags()
	flags.StringVar(&suite.AuthURL, "suite-auth", "http://127.0.0.1:5001", "public address of auth")
	flags.StringVar(&suite.LicenseURL, "suite-license", "http://127.0.0.1:5002", "public address of license")
	flags.StringVar(&suite.AdminURL, "suite-admin", "http://127.0.0.1:5004", "public address of admin")
	flags.StringVar(&secretFile, "admin-secret-file", "secrets/admin_secret", "file with the admin secret")
	flags.StringVar(&keyFile, "admin-api-key-file", "secrets/admin_api_key", "file with an admin key")
	return command
}

func readSecret(file string) (secret.Secret, error) {
	content, err := os.ReadFile(file)
	return secret.Secret(strings.TrimSpace(string(content))), err
}
