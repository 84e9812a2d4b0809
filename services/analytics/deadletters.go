package analytics

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
)

// Commands are what the analytics binary does besides serving.
func Commands() []*cobra.Command {
	parent := &cobra.Command{Use: "dead-letters", Short: "Events that could not be taken in"}
	parent.AddCommand(listCommand(), replayCommand())
	return []*cobra.Command{parent}
}

func listCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List them, oldest first, and leave them where they are", Args: cobra.NoArgs}
	limit := cmd.Flags().Int("limit", 100, "how many to show at most")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return app.WithDeps(cmd, func(ctx context.Context, d app.Deps) error {
			return listLetters(ctx, cmd, d.Bus.DeadLetters(queue().Name), *limit)
		})
	}
	return cmd
}

func replayCommand() *cobra.Command {
	return &cobra.Command{
		Use: "replay [id ...]", Short: "Give them another chance: those named, or all",
		RunE: func(cmd *cobra.Command, ids []string) error {
			return app.WithDeps(cmd, func(ctx context.Context, d app.Deps) error {
				return replayLetters(ctx, cmd, d.Bus.DeadLetters(queue().Name), ids)
			})
		},
	}
}

func listLetters(ctx context.Context, cmd *cobra.Command, letters bus.DeadLetters, limit int) error {
	found, err := letters.List(ctx, limit)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tTYPE\tEVENT\tDIED\tATTEMPTS\tREASON")
	for _, l := range found {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", l.ID, l.Event.Type, l.Event.ID, l.DiedAt.UTC().Format(time.RFC3339), l.Attempts, l.Reason)
	}
	return w.Flush()
}

func replayLetters(ctx context.Context, cmd *cobra.Command, letters bus.DeadLetters, ids []string) error {
	n, err := letters.Replay(ctx, ids...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d back in the queue %s\n", n, queue().Name)
	return err
}
