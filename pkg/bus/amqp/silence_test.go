package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/amqp"
	"github.com/latchkey-dev/latchkey/pkg/bus/bustest"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/link"
)

// TestSilentBroker: a broker behind a half-open link, which accepts connections and swallows everything, is noticed by
// its missing heartbeats. From then on a publish fails at once, and when the link works again everything does.
func TestSilentBroker(t *testing.T) {
	for name, after := range map[string]func(*link.Link){
		"heals":                    func(l *link.Link) { l.Heal() },
		"heals with cut conns":     func(l *link.Link) { l.Cut(); l.Heal() },
		"new connections alone do": func(l *link.Link) { l.Strand(); l.Heal() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for heartbeats to be missed
			b, link := overLink(t)
			sink, seen := &bustest.Sink{}, &bustest.Seen{Link: bus.NewLink()}
			bustest.Consume(t, b, everything, sink.Handle)
			bustest.Watch(t, b, seen.Watch("license.*"))
			seen.AwaitAlive(t)
			events := bustest.Activations(t, 2)
			bustest.Publish(t, b, events[0])()
			sink.Await(t, events[:1])

			link.Silence()
			testkit.Eventually(t, time.Minute, func() error {
				if s := b.State(); s.Connected || strings.Count(s.Detail, "no connection") != 2 {
					return fmt.Errorf("the silence of both connections is not noticed: %+v", s)
				}
				return nil
			})
			if err := b.Publish(t.Context(), events[1:]); err == nil ||
				!strings.Contains(err.Error(), "no connection") {
				t.Errorf("a publish to a silent broker does not fail at once: %v", err)
			}
			if seen.Link.Alive() {
				t.Error("the watch counts as alive")
			}

			after(link)
			testkit.Eventually(t, time.Minute, func() error { return b.Publish(t.Context(), events[1:]) })
			sink.AwaitAgain(t, events)
			seen.AwaitAlive(t)
		})
	}
}

// TestSilentFromTheStart: who starts while the broker is silent is told so, and is connected once it answers.
func TestSilentFromTheStart(t *testing.T) {
	address := testkit.AMQP(t)
	link := testkit.NewLink(t, host(t, address))
	link.Silence()
	b, err := amqp.Dial(amqp.Config{
		URL:    over(t, address, link),
		Name:   "test",
		Queues: []bus.Queue{everything},
		Log:    testkit.Log(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := b.Await(ctx); !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "did not answer") {
		t.Errorf("got %v", err)
	}
	link.Heal()
	ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := b.Await(ctx); err != nil {
		t.Error(err)
	}
}

// overLink is a bus whose way to the broker a test can break.
func overLink(t *testing.T) (*amqp.Bus, *link.Link) {
	t.Helper()
	address := testkit.AMQP(t)
	link := testkit.NewLink(t, host(t, address))
	return dial(t, over(t, address, link), everything), link
}

// over is address by way of the link.
func over(t *testing.T, address string, l *link.Link) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = l.Addr
	return u.String()
}
