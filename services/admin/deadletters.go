package admin

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
)

// Commands is what the program can do beside serving: look after the audit entries that could not be taken in.
func Commands() []*cobra.Command {
	parent := &cobra.Command{Use: "dead-letters", Short: "Audit entries that could not be taken in"}
	list := &cobra.Command{
		Use:   "list",
		Short: "List them, oldest first",
		Args:  cobra.NoArgs,
	}
	limit := list.Flags().Int("limit", 100, "how many to show")
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		return app.WithDeps(cmd, func(ctx context.Context, d app.Deps) error {
			return listLetters(ctx, cmd, d.Bus.DeadLetters(auditQueue().Name), *limit)
		})
	}
	replay := &cobra.Command{
		Use:   "replay [id ...]",
		Short: "Try them again: those named, or all",
		RunE: func(cmd *cobra.Command, ids []string) error {
			return app.WithDeps(cmd, func(ctx context.Context, d app.Deps) error {
				return replayLetters(ctx, cmd, d.Bus.DeadLetters(auditQueue().Name), ids)
			})
		},
	}
	parent.AddCommand(list, replay)
	return []*cobra.Command{parent}
}

func listLetters(ctx context.Context, cmd *cobra.Command, letters bus.DeadLetters, limit int) error {
	found, err := letters.List(ctx, limit)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tEVENT\tDIED\tATTEMPTS\tREASON")
	for _, l := range found {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", l.ID, l.Event.ID, l.DiedAt.UTC().Format(time.RFC3339), l.Attempts, l.Reason)
	}
	return w.Flush()
}

func replayLetters(ctx context.Context, cmd *cobra.Command, letters bus.DeadLetters, ids []string) error {
	n, err := letters.Replay(ctx, ids...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d back in %s\n", n, auditQueue().Name)
	return err
}
