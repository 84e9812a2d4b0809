package app

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/bus"
)

// DeadLetters is the command to look after what the consumer of a queue could not take in.
func DeadLetters(queue string) *cobra.Command {
	list := &cobra.Command{
		Use:   "list",
		Short: "List them, oldest first, and leave them where they are",
		Args:  cobra.NoArgs,
	}
	limit := list.Flags().Int("limit", 100, "how many to show at most")
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		return WithDeps(cmd, func(ctx context.Context, d Deps) error {
			return listLetters(ctx, cmd, d.Bus.DeadLetters(queue), *limit)
		})
	}
	replay := &cobra.Command{
		Use: "replay [id ...]", Short: "Give them another chance: those named, or all",
		RunE: func(cmd *cobra.Command, ids []string) error {
			return WithDeps(cmd, func(ctx context.Context, d Deps) error {
				return replayLetters(ctx, cmd, d.Bus.DeadLetters(queue), ids)
			})
		},
	}
	drop := &cobra.Command{
		Use: "drop {id ... | --all}", Short: "Delete them for good: those named, or all",
	}
	all := drop.Flags().Bool("all", false, "delete every dead letter")
	drop.RunE = func(cmd *cobra.Command, ids []string) error {
		if *all == (len(ids) > 0) {
			return &ArgumentError{errors.New("dead-letters drop wants the ids that list shows, or --all")}
		}
		return WithDeps(cmd, func(ctx context.Context, d Deps) error {
			return dropLetters(ctx, cmd, d.Bus.DeadLetters(queue), ids)
		})
	}
	return commandGroup("dead-letters", "Events that could not be taken in", list, replay, drop)
}

func listLetters(ctx context.Context, cmd *cobra.Command, letters bus.DeadLetters, limit int) error {
	found, err := letters.List(ctx, limit)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tTYPE\tEVENT\tDIED\tATTEMPTS\tREASON")
	for _, l := range found {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", l.ID, l.Event.Type, l.Event.ID, l.DiedAt.UTC().Format(time.RFC3339),
			l.Attempts, l.Reason)
	}
	return w.Flush()
}

func replayLetters(ctx context.Context, cmd *cobra.Command, letters bus.DeadLetters, ids []string) error {
	n, err := letters.Replay(ctx, ids...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d back in the queue\n", n)
	return err
}

func dropLetters(ctx context.Context, cmd *cobra.Command, letters bus.DeadLetters, ids []string) error {
	n, err := letters.Drop(ctx, ids...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d deleted\n", n)
	return err
}
