package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
)

// Republish is the command that publishes the event log of a service again; program is what people call.
func Republish(program string) *cobra.Command {
	var since string
	var intoEmpty bool
	cmd := &cobra.Command{
		Use:   "republish --since 2026-01-31",
		Args:  cobra.NoArgs,
		Short: "Publish the event log again, so that consumers can be rebuilt",
		Long: `Publish every change of state since a time again, oldest first. Consumers remember for 400 days what they
have processed and drop repeats, so this is safe at any time. Older events would count twice: they require
--into-empty, which is for consumers that have lost their data. The log goes back LATCHKEY_EVENT_LOG_DAYS. Telemetry
(validations, heartbeats) is not in it.`,
		Example: "  " + program + " republish --since 2026-01-31\n  " +
			program + " republish --since 2026-01-31T08:00:00Z",
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := parseSince(since)
			if err == nil && !intoEmpty && time.Since(from) > event.Remembered {
				err = errors.New("--since is more than 400 days ago, and consumers would count twice what they have " +
					"forgotten; choose a later time, or give --into-empty if they have lost their data")
			}
			if err != nil {
				return &ArgumentError{Err: err}
			}
			return WithDeps(cmd, func(ctx context.Context, d Deps) error {
				if err := checkTakenIn(cmd, d); err != nil {
					return err
				}
				n, err := outbox.New(d.DB, Source(program)).Republish(ctx, d.Bus, from, func(sent, total int) {
					fmt.Fprintf(cmd.ErrOrStderr(), "\r%d of %d events", sent, total)
				})
				fmt.Fprintf(cmd.OutOrStdout(), "\n%d events published again\n", n)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&intoEmpty, "into-empty", false,
		"the consumers have lost their data: publish older events, too")
	cmd.Flags().StringVar(&since, "since", "", "a date or an RFC 3339 time; required")
	return cmd
}

func parseSince(s string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf(
		"--since wants a date such as 2026-01-31 or a time such as 2026-01-31T08:00:00Z, not %q", s)
}
