package license

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// ExportRootKey writes the private root key of license files to out, in PEM (PKCS #8); it is made where there is none.
func ExportRootKey(ctx context.Context, cfg Config, deps app.Deps, out io.Writer) error {
	keys, err := fileKeys(ctx, cfg, deps)
	if err != nil {
		return err
	}
	root, err := keys.Root(ctx)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(root.Private)
	if err != nil {
		return err
	}
	return pem.Encode(out, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// ImportRootKey makes what ExportRootKey wrote to file the root key of an installation that has none, and says so on
// out.
func ImportRootKey(ctx context.Context, cfg Config, deps app.Deps, file string, out io.Writer) error {
	private, err := readPrivateKey(file)
	if err != nil {
		return err
	}
	keys, err := fileKeys(ctx, cfg, deps)
	if err != nil {
		return err
	}
	root, err := keys.ImportRoot(ctx, private)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "the root key of license files is %s\n", root.KID)
	return err
}

func readPrivateKey(file string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s is not a private key in PEM; export-root-key writes one", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s is not an Ed25519 private key; export-root-key writes one", file)
	}
	return private, nil
}

func fileKeys(ctx context.Context, cfg Config, deps app.Deps) (*licensefile.Keys, error) {
	register, err := MasterKeys(cfg, deps)
	if err != nil {
		return nil, err
	}
	if err := register.Start(ctx); err != nil {
		return nil, err
	}
	s := store.New(store.Deps{
		DB: deps.DB, Outbox: outbox.New(deps.DB, licensing.Source), Keys: register, Clock: deps.Clock,
	})
	return &licensefile.Keys{Store: s, Clock: deps.Clock}, nil
}

func exportRootKeyCommand(cfg *Config) *cobra.Command {
	return &cobra.Command{
		Use:   "export-root-key",
		Short: "Print the private root key of license files, for cold storage",
		Long: "Print the private root key of license files (PEM, PKCS #8). Whoever has it can make files that every " +
			"client accepts.",
		Example: "  license export-root-key > root-private.pem",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.WithDatabase(cmd, func(ctx context.Context, d app.Deps) error {
				return ExportRootKey(ctx, *cfg, d, cmd.OutOrStdout())
			})
		},
	}
}

func importRootKeyCommand(cfg *Config) *cobra.Command {
	return &cobra.Command{
		Use:     "import-root-key FILE",
		Short:   "Import a root key of license files from cold storage, before the first file is issued",
		Example: "  license import-root-key root-private.pem",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &app.ArgumentError{Err: errors.New("import-root-key requires the file with the key")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.WithDatabase(cmd, func(ctx context.Context, d app.Deps) error {
				return ImportRootKey(ctx, *cfg, d, args[0], cmd.OutOrStdout())
			})
		},
	}
}
