package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
)

func (p *program) configCommand() *cobra.Command {
	return commandGroup("config", "Check or show the settings without starting anything",
		p.configCheckCommand(), &cobra.Command{
			Use:   "print",
			Short: "Show every setting and where its value comes from, secrets masked",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				settings, err := p.load(cmd)
				if printed := settings.Print(cmd.OutOrStdout()); printed != nil {
					return printed
				}
				return err
			},
		})
}

// commandGroup is a command that does nothing by itself; what is none of its commands is an error.
func commandGroup(use, short string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(commands...)
	return group
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), obs.ReadBuild().Of(p.Name))
		},
	}
}

func (p *program) internalKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "internal-key",
		Short: "Generate and print a key pair with which this service signs calls to its peers",
		Long: `Generate a key pair. The private key is only for this service; add the public one to the list
of peers of all services before the private one is used. docs/operations.md has all
steps.`,
		Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			id := rpc.NewIdentity(p.Name)
			fmt.Fprintf(cmd.OutOrStdout(), "private, LATCHKEY_INTERNAL_KEY of %s:   %s\npublic, for "+
				"LATCHKEY_INTERNAL_PEERS of all: %s\n",
				p.Name, rpc.FormatKey(id.Key), id.PeerEntry())
		},
	}
}

func (p *program) healthcheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "healthcheck",
		Short: "Check whether the service that runs with these settings is alive; for containers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, _ = p.load(cmd) // the address is all that matters here
			return alive(cmd.Context(), p.base())
		},
	}
}

// alive asks /healthz of the own public address.
func alive(ctx context.Context, b *Base) error {
	server := server.Server{Addr: b.Addr, TLSCert: b.TLSCertFile}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL()+"/healthz", nil)
	if err != nil {
		return err
	}
	client := loopbackClient()
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("not alive: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("not alive: %s answers %s", req.URL, res.Status)
	}
	return nil
}

// loopbackClient asks programs of this machine. Their certificates are for the names that users call, not for the
// addresses asked here.
func loopbackClient() *http.Client {
	return &http.Client{
		Timeout:   3 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
}

func (p *program) migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Migrate the database to this version's schema and exit; serve does so, too",
		Long: `Bring the schema of the service in the database to this version and end. Any number of processes may
do so at once. It needs LATCHKEY_DATABASE_URL only; the role needs CONNECT on the database, and
CREATE where the schema is missing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := p.load(cmd); err != nil {
				return err
			}
			if err := p.settingsError(p.base().requireDatabase()); err != nil {
				return err
			}
			return p.migrate(cmd.Context())
		},
	}
}
