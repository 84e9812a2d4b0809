package admin

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/inproc"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func TestDeadLettersAreListedAndReplayed(t *testing.T) {
	b, err := inproc.New(inproc.Config{DB: testkit.SQLite(t, inproc.Migrations), Queues: Queues, Log: testkit.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan event.Event, 1)
	mended := false
	go func() {
		_ = b.Consume(t.Context(), auditQueue(), func(_ context.Context, events []event.Event) error {
			if !mended {
				mended = true
				return bus.Permanent(errors.New("no such thing"))
			}
			seen <- events[0]
			return nil
		})
	}()
	e, err := event.New(source, "", time.Now(), &eventsv1.AuditRecorded{Action: "x.y"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), []event.Event{e}); err != nil {
		t.Fatal(err)
	}

	letters := b.DeadLetters(auditQueue().Name)
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetOut(&out)
	if err := listLetters(t.Context(), cmd, letters, 10); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), e.ID) || !strings.Contains(out.String(), "no such thing") {
		t.Errorf("list:\n%s", &out)
	}
	out.Reset()
	if err := replayLetters(t.Context(), cmd, letters, nil); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got.ID != e.ID || out.String() != "1 back in admin.audit\n" {
		t.Errorf("replayed %s: %s", got.ID, &out)
	}
}

func TestCommands(t *testing.T) {
	var names []string
	for _, parent := range Commands() {
		for _, c := range parent.Commands() {
			names = append(names, c.CommandPath())
		}
	}
	if got := strings.Join(names, ", "); got != "dead-letters list, dead-letters replay" {
		t.Error(got)
	}
}
