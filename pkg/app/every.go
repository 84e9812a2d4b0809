package app

import (
	"context"
	"log/slog"
	"time"
)

// Every does something at once and then each d until ctx ends. A failure is logged and left to the next time.
func Every(ctx context.Context, log *slog.Logger, d time.Duration, what string, do func(context.Context) error) error {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, what+" failed, will be tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
