package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
)

func (p *program) configCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Report everything that is wrong with the settings; --database compares them with the database, too",
		Args:  cobra.NoArgs,
	}
	withDatabase := cmd.Flags().Bool("database", false,
		"open the database and report whether it answers, its schema versions, and whether any master key that its "+
			"rows need is missing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := p.loadChecked(cmd); err != nil {
			return err
		}
		if err := p.settingsError(p.base().CheckCertificate(time.Now())); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "the settings of %s are fine\n", p.Name)
		for _, name := range p.unused {
			fmt.Fprintf(cmd.OutOrStdout(), "%s has no effect: only other services take it\n", name)
		}
		if !*withDatabase {
			return nil
		}
		return p.checkDatabase(cmd.Context(), cmd.OutOrStdout())
	}
	return cmd
}

// checkTimeout is what a check waits for a database that does not answer.
const checkTimeout = 10 * time.Second

// checkDatabase changes nothing.
func (p *program) checkDatabase(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	d, err := p.openDB(ctx, db.Config{Log: p.base().Logger(p.logs)})
	if err != nil {
		return err
	}
	defer d.Close()
	fmt.Fprintln(out, "the database answers")
	versions, err := d.Versions(ctx, p.Migrations...)
	if err != nil {
		return err
	}
	for _, v := range versions {
		fmt.Fprintf(out, "schema %s: version %d of %d\n", v.Name, v.Current, v.Known)
	}
	if p.MasterKeys == nil || !hasRegister(versions) {
		return nil
	}
	return p.checkMasterKeys(ctx, d, out)
}

func (p *program) checkMasterKeys(ctx context.Context, d *db.DB, out io.Writer) error {
	keys, err := p.MasterKeys(Deps{DB: d, Clock: clock.System{}})
	if err != nil {
		return err
	}
	usages, err := keys.Usage(ctx)
	if err != nil {
		return err
	}
	for _, u := range usages {
		fmt.Fprintf(out, "master key %s: %s\n", u, map[bool]string{true: "configured", false: "missing"}[u.Configured])
	}
	return p.masterKeyError(keys.RequireKeys(usages))
}

// hasRegister is false for a database that no service has migrated yet.
func hasRegister(versions []db.Version) bool {
	return slices.ContainsFunc(versions, func(v db.Version) bool {
		return v.Name == masterkey.Migrations.Name && v.Current > 0
	})
}
