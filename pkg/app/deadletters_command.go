package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/bus"
)

// DeadLetters is the command of analytics, admin, auth and the suite in one process to look after what the consumers of
// queues could not take in: those of the first queue, unless --queue names another.
func DeadLetters(queues ...string) *cobra.Command {
	queue := queues[0]
	with := func(do func(ctx context.Context, cmd *cobra.Command, letters bus.DeadLetters, ids []string) error) runE {
		return func(cmd *cobra.Command, ids []string) error {
			if !slices.Contains(queues, queue) {
				return &ArgumentError{fmt.Errorf("--queue has to be one of: %s", strings.Join(queues, ", "))}
			}
			return WithDeps(cmd, func(ctx context.Context, d Deps) error {
				if err := checkTakenIn(cmd, d); err != nil {
					return err
				}
				return do(ctx, cmd, d.Bus.DeadLetters(queue), ids)
			})
		}
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "List dead letters, oldest first, without removing them",
		Args:  cobra.NoArgs,
	}
	limit := list.Flags().Int("limit", 100, "how many to show at most")
	list.RunE = with(func(ctx context.Context, cmd *cobra.Command, letters bus.DeadLetters, _ []string) error {
		return listLetters(ctx, cmd, letters, *limit)
	})
	replay := &cobra.Command{
		Use: "replay [id ...]", Short: "Process dead letters again: those named, or all", RunE: with(replayLetters),
	}
	drop := &cobra.Command{
		Use: "drop {id ... | --all}", Short: "Permanently delete dead letters: those named, or all",
	}
	all := drop.Flags().Bool("all", false, "delete every dead letter")
	drop.RunE = func(cmd *cobra.Command, ids []string) error {
		if *all == (len(ids) > 0) {
			return &ArgumentError{errors.New("dead-letters drop requires the ids that list shows, or --all")}
		}
		return with(dropLetters)(cmd, ids)
	}
	group := commandGroup("dead-letters", "Events that could not be processed", list, replay, drop)
	group.PersistentFlags().StringVar(&queue, "queue", queue, "their queue: "+strings.Join(queues, ", "))
	return group
}

// checkTakenIn fails in maintenance mode, in which no consumer of the process takes in what cmd brings about. What only
// lists may go on.
func checkTakenIn(cmd *cobra.Command, d Deps) error {
	if cmd.Name() != "list" && d.DB.ReadOnly() {
		return fmt.Errorf("%s changes something, and LATCHKEY_MAINTENANCE is true: unset it for this command",
			cmd.Name())
	}
	return nil
}

// runE is how cobra runs a command.
type runE = func(cmd *cobra.Command, args []string) error

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
	fmt.Fprintf(cmd.OutOrStdout(), "%d back in the queue\n", n)
	return checkNamed(ids, n)
}

func dropLetters(ctx context.Context, cmd *cobra.Command, letters bus.DeadLetters, ids []string) error {
	n, err := letters.Drop(ctx, ids...)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d deleted\n", n)
	return checkNamed(ids, n)
}

// checkNamed fails when fewer dead letters were there than were named.
func checkNamed(ids []string, there int) error {
	named := len(slices.Compact(slices.Sorted(slices.Values(ids))))
	if there >= named {
		return nil
	}
	return &ArgumentError{fmt.Errorf("%d of the ids that were named are not there; dead-letters list shows those that "+
		"are, of another queue with --queue", named-there)}
}
