package amqp_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/bustest"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// deleteExchange deletes an exchange, as an operator would.
func deleteExchange(t *testing.T, address, name string) {
	t.Helper()
	conn, err := amqp091.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.ExchangeDelete(name, false, false); err != nil {
		t.Fatal(err)
	}
}

// What is refused is named, and what is missing comes back with its bindings.
func TestAMissingExchangeIsNamedAndMadeAgain(t *testing.T) {
	address := testkit.AMQP(t)
	b, sink := dial(t, address, everything), &bustest.Sink{}
	bustest.Consume(t, b, everything, sink.Handle)
	events := bustest.Activations(t, 2)
	bustest.Publish(t, b, events[0])()
	sink.Await(t, events[:1])
	deleteExchange(t, address, "latchkey.events")
	if err := b.Publish(t.Context(), events[1:]); err == nil || !strings.Contains(err.Error(), "'latchkey.events'") {
		t.Errorf("got %v", err)
	}
	if got := b.State().Refused; got != "NOT_FOUND - no exchange 'latchkey.events'" {
		t.Errorf("the state shows %q", got)
	}
	testkit.Eventually(t, patience, func() error { return b.Publish(t.Context(), events[1:]) })
	sink.Await(t, events)
}

// Types that the permissions of the user lack are named, all of them and no others, which are taken.
func TestARefusedTypeIsNamed(t *testing.T) {
	address := testkit.AMQP(t)
	const most = "^(license.activated|license.updated|audit.recorded|license.validated)$"
	testkit.AMQPTopics(t, address, "latchkey.events", most)
	testkit.AMQPTopics(t, address, "latchkey.invalidations", "^(license.activated|audit.recorded|license.deactivated)$")
	b, sink := dial(t, address, everything), &bustest.Sink{}
	bustest.Consume(t, b, everything, sink.Handle)
	taken := bustest.Activations(t, 2)
	taken = append(taken, bustest.Event(t, &eventsv1.LicenseValidated{}, "lic"))
	events := slices.Concat(taken[:1], []event.Event{
		bustest.Event(t, &eventsv1.LicenseUpdated{}, "lic"),
		bustest.Event(t, &eventsv1.LicenseDeactivated{}, "lic"),
	}, taken[1:])
	for range 2 {
		var refused *bus.RefusedError
		if err := b.Publish(t.Context(), events); !errors.As(err, &refused) ||
			!slices.Equal(refused.Types, []string{"license.deactivated", "license.updated"}) {
			t.Fatalf("got %v", err)
		}
	}
	if got := b.State().Refused; !strings.HasPrefix(got, "ACCESS_REFUSED") {
		t.Errorf("the state shows %q", got)
	}
	if err := b.Publish(t.Context(), taken); err != nil {
		t.Error(err)
	}
	testkit.Eventually(t, patience, func() error {
		for _, want := range taken {
			if !slices.ContainsFunc(sink.Events(), func(e event.Event) bool { return e.ID == want.ID }) {
				return fmt.Errorf("%s did not arrive", want.Type)
			}
		}
		return nil
	})
}

// What a service publishes is tried without any of it arriving.
func TestTryPublish(t *testing.T) {
	address := testkit.AMQP(t)
	b, sink := dial(t, address, everything), &bustest.Sink{}
	bustest.Consume(t, b, everything, sink.Handle)
	if err := b.TryPublish(t.Context(), "license"); err != nil {
		t.Error(err)
	}
	events := bustest.Activations(t, 1)
	bustest.Publish(t, b, events...)()
	sink.Await(t, events)
	bustest.DeadLetters(t, b, everything.Name, 0)
	deleteExchange(t, address, "latchkey.invalidations")
	err := b.TryPublish(t.Context(), "license")
	if err == nil || !strings.Contains(err.Error(), "'latchkey.invalidations'") {
		t.Errorf("got %v", err)
	}
}

// An exchange that was deleted and made again has no bindings, and its watches hear nothing until they bind again.
func TestAWatchBindsAgainToAnExchangeThatWasMadeAnew(t *testing.T) {
	address := testkit.AMQP(t)
	b, seen := dial(t, address, everything), &bustest.Seen{Link: bus.NewLink()}
	bustest.Watch(t, b, seen.Watch("license.*"))
	seen.AwaitAlive(t)
	deleteExchange(t, address, "latchkey.invalidations")
	dial(t, address, everything) // makes what is missing
	gaps := seen.Gaps()
	testkit.Eventually(t, patience, func() error {
		if seen.Link.Alive() || seen.Gaps() == gaps {
			return errors.New("the watch has not noticed")
		}
		return nil
	})
	seen.AwaitAlive(t)
	events := bustest.Activations(t, 1)
	bustest.Publish(t, b, events...)()
	testkit.Eventually(t, patience, func() error {
		if n := len(seen.Events()); n != 1 {
			return fmt.Errorf("the watch was shown %d events", n)
		}
		return nil
	})
}
