package app

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/inproc"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func TestDeadLettersAreListedAndReplayed(t *testing.T) {
	q := bus.Queue{Name: "test.letters", Types: []string{"#"}}
	b, err := inproc.New(inproc.Config{
		DB:     testkit.SQLite(t, inproc.Migrations),
		Queues: []bus.Queue{q},
		Log:    testkit.Log(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan event.Event, 1)
	mended := false
	go func() {
		_ = b.Consume(t.Context(), q, func(_ context.Context, events []event.Event) error {
			if !mended {
				mended = true
				return bus.Rejected{0: errors.New("no such thing")}
			}
			seen <- events[0]
			return nil
		})
	}()
	e, err := event.New("latchkey/test", "", time.Now(), &eventsv1.AuditRecorded{Action: "x.y"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), []event.Event{e}); err != nil {
		t.Fatal(err)
	}

	letters, cmd, out := b.DeadLetters(q.Name), &cobra.Command{}, &bytes.Buffer{}
	cmd.SetOut(out)
	if err := listLetters(t.Context(), cmd, letters, 10); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{e.ID, "audit.recorded", "no such thing"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the list lacks %q:\n%s", want, out)
		}
	}
	out.Reset()
	if err := replayLetters(t.Context(), cmd, letters, nil); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got.ID != e.ID || out.String() != "1 back in the queue\n" {
		t.Errorf("replayed %s: %s", got.ID, out)
	}
}

// A dead letter is seen in the metrics of whichever service consumes the queue, and still after it was replayed.
func TestDeadLettersAreCounted(t *testing.T) {
	q := bus.Queue{Name: "test.letters", Types: []string{"#"}}
	b, err := inproc.New(inproc.Config{
		DB:     testkit.SQLite(t, inproc.Migrations),
		Queues: []bus.Queue{q},
		Log:    testkit.Log(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	d := Deps{Bus: b, Metrics: obs.NewMetrics("test")}
	d.ObserveDeadLetters(q.Name)
	shows := func(lying, made string) {
		t.Helper()
		answer := httptest.NewRecorder()
		d.Metrics.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		for metric, want := range map[string]string{
			"latchkey_dead_letters":            lying,
			"latchkey_dead_letters_made_total": made,
		} {
			if line := metric + `{queue="test.letters",service="test"} ` + want +
				"\n"; !strings.Contains(answer.Body.String(), line) {
				t.Errorf("the metrics lack %s in\n%s", line, answer.Body)
			}
		}
	}
	shows("0", "0")
	var mended atomic.Bool
	go func() {
		_ = b.Consume(t.Context(), q, func(context.Context, []event.Event) error {
			if mended.Load() {
				return nil
			}
			return bus.Rejected{0: errors.New("no such thing")}
		})
	}()
	e, err := event.New("latchkey/test", "", time.Now(), &eventsv1.AuditRecorded{Action: "x.y"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), []event.Event{e}); err != nil {
		t.Fatal(err)
	}
	shows("1", "1")
	mended.Store(true)
	if _, err := b.DeadLetters(q.Name).Replay(t.Context()); err != nil {
		t.Fatal(err)
	}
	shows("0", "1")
}

// Nobody deletes all dead letters by forgetting to name some, or those of another queue.
func TestDroppingAllIsSaid(t *testing.T) {
	for _, args := range [][]string{{"drop"}, {"drop", "--all", "an-id"}, {"drop", "--all", "--queue", "r"}} {
		cmd := DeadLetters("q", "p")
		cmd.SetArgs(args)
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		if err := cmd.ExecuteContext(t.Context()); !errors.As(err, new(*ArgumentError)) {
			t.Errorf("%v: %v, want an argument error", args, err)
		}
	}
}

func TestDeadLetterCommands(t *testing.T) {
	var names []string
	for _, c := range DeadLetters("q").Commands() {
		names = append(names, c.CommandPath())
	}
	if got := strings.Join(names, ", "); got != "dead-letters drop, dead-letters list, dead-letters replay" {
		t.Error(got)
	}
}
