package analytics

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// letters is a queue's dead letters in memory.
type letters []bus.DeadLetter

// List implements bus.DeadLetters.
func (l letters) List(_ context.Context, limit int) ([]bus.DeadLetter, error) {
	return l[:min(limit, len(l))], nil
}

// Replay implements bus.DeadLetters.
func (l letters) Replay(_ context.Context, ids ...string) (int, error) {
	if len(ids) == 0 {
		return len(l), nil
	}
	return len(ids), nil
}

func TestDeadLetterCommands(t *testing.T) {
	stored := letters{
		{ID: "1", Event: event.Event{ID: "e1", Type: "license.validated"}, Reason: "broken", Attempts: 5, DiedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		{ID: "2", Reason: "not JSON"},
	}
	cmd, out := &cobra.Command{}, &bytes.Buffer{}
	cmd.SetOut(out)
	if err := listLetters(t.Context(), cmd, stored, 10); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"license.validated", "e1", "2026-01-02T03:04:05Z", "broken", "not JSON"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the list lacks %q:\n%s", want, out)
		}
	}
	for _, c := range []struct {
		ids  []string
		want string
	}{{nil, "2 back in the queue analytics.events\n"}, {[]string{"2"}, "1 back in the queue analytics.events\n"}} {
		out.Reset()
		if err := replayLetters(t.Context(), cmd, stored, c.ids); err != nil || out.String() != c.want {
			t.Errorf("replay %v: %q, %v", c.ids, out, err)
		}
	}
	if commands := Commands(); len(commands) != 1 || len(commands[0].Commands()) != 2 {
		t.Errorf("commands: %v", commands)
	}
}
