package amqp_test

import (
	"fmt"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/bustest"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// smuggled are ways to bring an event to consumers that the routing key does not announce. The broker, which allows
// users to publish by routing key, lets all of them pass.
var smuggled = map[string]func(t *testing.T, ch *amqp091.Channel, exchange string, e event.Event){
	"in the body": func(t *testing.T, ch *amqp091.Channel, exchange string, e event.Event) {
		send(t, ch, exchange, "license.updated", amqp091.Publishing{Body: encoded(t, e)})
	},
	"second in a batch": func(t *testing.T, ch *amqp091.Channel, exchange string, e event.Event) {
		send(t, ch, exchange, "license.activated",
			amqp091.Publishing{Body: encoded(t, bustest.Activations(t, 1)[0], e)})
	},
	"by a second key": func(t *testing.T, ch *amqp091.Channel, exchange string, e event.Event) {
		headers := amqp091.Table{"CC": []any{e.Type}}
		send(t, ch, exchange, "anomaly.detected", amqp091.Publishing{Headers: headers, Body: encoded(t, e)})
	},
	"as a dead letter": func(t *testing.T, ch *amqp091.Channel, exchange string, e event.Event) {
		q, err := ch.QueueDeclare("", false, true, true, false, amqp091.Table{
			"x-dead-letter-exchange": exchange, "x-dead-letter-routing-key": e.Type, "x-message-ttl": 0,
		})
		if err != nil {
			t.Fatal(err)
		}
		send(t, ch, "", q.Name, amqp091.Publishing{Body: encoded(t, e)})
	},
}

func send(t *testing.T, ch *amqp091.Channel, exchange, key string, p amqp091.Publishing) {
	t.Helper()
	p.MessageId = "smuggled"
	if err := ch.PublishWithContext(t.Context(), exchange, key, false, false, p); err != nil {
		t.Fatal(err)
	}
}

func encoded(t *testing.T, events ...event.Event) []byte {
	t.Helper()
	body, err := event.EncodeBatch(events)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestAQueueBelievesOnlyTheRoutingKey(t *testing.T) {
	for how, smuggle := range smuggled {
		t.Run(how, func(t *testing.T) {
			address := testkit.AMQP(t)
			b, sink := dial(t, address, everything), &bustest.Sink{}
			bustest.Consume(t, b, everything, sink.Handle)
			smuggle(t, channel(t, address), "latchkey.events",
				bustest.Event(t, &eventsv1.LicenseDeactivated{}, "smuggled"))
			for range 2 { // a replay makes it no better
				if l := bustest.DeadLetters(t, b, everything.Name, 1)[0]; l.ID != "smuggled" ||
					!strings.Contains(l.Reason, "the message ") {
					t.Errorf("got %+v", l)
				}
				if n, err := b.DeadLetters(everything.Name).Replay(t.Context()); n != 1 || err != nil {
					t.Fatalf("replayed %d: %v", n, err)
				}
			}
			last := bustest.Activations(t, 1)
			bustest.Publish(t, b, last...)()
			sink.Await(t, last)
		})
	}
}

func TestAWatchBelievesOnlyTheRoutingKey(t *testing.T) {
	for how, smuggle := range smuggled {
		t.Run(how, func(t *testing.T) {
			address := testkit.AMQP(t)
			b, seen := dial(t, address), &bustest.Seen{Link: bus.NewLink()}
			bustest.Watch(t, b, seen.Watch("license.*"))
			seen.AwaitAlive(t)
			gaps := seen.Gaps()
			smuggle(t, channel(t, address), "latchkey.invalidations",
				bustest.Event(t, &eventsv1.LicenseDeactivated{}, "smuggled"))
			testkit.Eventually(t, patience, func() error {
				if seen.Gaps() == gaps {
					return fmt.Errorf("the watch has not forgotten what it cannot trust any more")
				}
				return nil
			})
			if got := seen.Events(); len(got) != 0 {
				t.Errorf("the watch believes %v", got)
			}
		})
	}
}
