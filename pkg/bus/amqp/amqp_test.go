package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/amqp"
	"github.com/latchkey-dev/latchkey/pkg/bus/bustest"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const patience = 30 * time.Second

var everything = bus.Queue{Name: "test.all", Types: []string{"license.#"}, MaxAttempts: 3, SingleActive: true}

// shared is a queue that a test may get messages from; RabbitMQ refuses that with a single active consumer.
var shared = bus.Queue{Name: "test.shared", Types: []string{"license.#"}}

// dial returns a bus that is connected. It is closed with the test.
func dial(t *testing.T, address string, queues ...bus.Queue) *amqp.Bus {
	t.Helper()
	b, err := amqp.Dial(amqp.Config{URL: address, Name: "test", Queues: queues, Log: testkit.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Await(ctx); err != nil {
		t.Fatal(err)
	}
	return b
}

// channel is a plain channel to the broker, to look behind the bus.
func channel(t *testing.T, address string) *amqp091.Channel {
	t.Helper()
	conn, err := amqp091.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func TestConformance(t *testing.T) {
	bustest.Run(t, func(t *testing.T, queues ...bus.Queue) bus.Bus { return dial(t, testkit.AMQP(t), queues...) })
}

func TestDialRefusesABadURLWithoutQuotingIt(t *testing.T) {
	_, err := amqp.Dial(amqp.Config{URL: "amqp://user:hunter2%zz@host"})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestAwaitSaysWhatWasTried(t *testing.T) {
	bustest.VerifyNoLeak(t)
	b, err := amqp.Dial(amqp.Config{URL: "amqp://user:hunter2@127.0.0.1:1/"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := b.Await(ctx); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") ||
		strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	if err := b.Publish(t.Context(), bustest.Activations(t, 1)); err == nil ||
		!strings.Contains(err.Error(), "no connection") {
		t.Errorf("got %v", err)
	}
}

// TestAwaitEndsWhenTheBrokerRefuses: a wrong password and a wrong virtual host do not mend themselves.
func TestAwaitEndsWhenTheBrokerRefuses(t *testing.T) {
	for name, change := range map[string]func(*url.URL){
		"password":     func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "hunter2") },
		"virtual host": func(u *url.URL) { u.Path = "/nowhere" },
	} {
		t.Run(name, func(t *testing.T) {
			address, err := url.Parse(testkit.AMQP(t))
			if err != nil {
				t.Fatal(err)
			}
			change(address)
			b, err := amqp.Dial(amqp.Config{URL: address.String()})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = b.Close() }()
			err = b.Await(t.Context())
			if err == nil || !strings.Contains(err.Error(), "refuses the connection") ||
				strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestMessagesOnTheWire(t *testing.T) {
	address := testkit.AMQP(t)
	b := dial(t, address, shared)
	events := append(bustest.Activations(t, 1), validations(t, 250)...)
	if err := b.Publish(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	ch := channel(t, address)
	total := 0
	for _, want := range []struct {
		contentType, key string
		events           int
	}{
		{event.ContentType, "license.activated", 1},
		{event.ContentTypeBatch, "license.validated", 100},
		{event.ContentTypeBatch, "license.validated", 100},
		{event.ContentTypeBatch, "license.validated", 50},
	} {
		got, ok, err := ch.Get(shared.Name, true)
		if err != nil || !ok {
			t.Fatalf("got no message: %v", err)
		}
		carried, err := event.Decode(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got.ContentType != want.contentType || got.RoutingKey != want.key || got.Type != want.key ||
			len(carried) != want.events ||
			got.MessageId != events[total].ID || got.DeliveryMode != amqp091.Persistent || got.AppId != "test" ||
			!got.Timestamp.Equal(events[0].Time.Truncate(time.Second)) {
			t.Errorf("got %s %s with %d events: %+v", got.ContentType, got.RoutingKey, len(carried), got)
		}
		total += len(carried)
	}
}

func TestEventsAreKeptForAConsumerThatNeverRan(t *testing.T) {
	address := testkit.AMQP(t)
	publisher := dial(t, address, everything)
	events := bustest.Activations(t, 3)
	if err := publisher.Publish(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	_ = publisher.Close()
	sink := &bustest.Sink{}
	bustest.Consume(t, dial(t, address, everything), everything, sink.Handle)
	sink.Await(t, events)
}

func TestPoisonBecomesADeadLetter(t *testing.T) {
	address := testkit.AMQP(t)
	b, sink, ch := dial(t, address, everything), &bustest.Sink{}, channel(t, address)
	bodies := []string{"", "{", "null", "[]", `{"specversion":"1.0"}`, "\xff", strings.Repeat("[", 200_000),
		"{}" + strings.Repeat(" ", event.MaxEncoded)}
	for _, body := range bodies {
		err := ch.PublishWithContext(t.Context(), "latchkey.events", "license.activated", true, false,
			amqp091.Publishing{Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
	}
	events := bustest.Activations(t, 3)
	bustest.Publish(t, b, events...)()
	bustest.Consume(t, b, everything, sink.Handle)
	sink.Await(t, events)
	for i, l := range bustest.DeadLetters(t, b, everything.Name, len(bodies)) {
		if string(l.Raw) != bodies[i] || l.Reason == "" || l.Attempts != 1 || l.ID == "" || l.Event.ID != "" {
			t.Errorf("letter %d of %d bytes: %s %q after %d", i, len(l.Raw), l.ID, l.Reason, l.Attempts)
		}
	}
}

// What the broker itself gave up carries no header of ours.
func TestLettersOfTheBroker(t *testing.T) {
	address := testkit.AMQP(t)
	b, ch := dial(t, address, shared), channel(t, address)
	events := bustest.Activations(t, 1)
	bustest.Publish(t, b, events...)()
	got, ok, err := ch.Get(shared.Name, false)
	if err != nil || !ok {
		t.Fatalf("got no message: %v", err)
	}
	if err := got.Reject(false); err != nil {
		t.Fatal(err)
	}
	l := bustest.DeadLetters(t, b, shared.Name, 1)[0]
	if l.ID != events[0].ID || l.Event.ID != events[0].ID || l.Reason != "the broker gave it up: rejected" ||
		time.Since(l.DiedAt) > time.Hour {
		t.Errorf("got %+v", l)
	}
}

func TestAReturnIsAnErrorOnlyForKnownQueues(t *testing.T) {
	address := testkit.AMQP(t)
	b := dial(t, address, everything)
	unrouted := bustest.Event(t, &eventsv1.ApiKeyCreated{ApiKeyId: "k"}, "k")
	if err := b.Publish(t.Context(), []event.Event{unrouted}); err != nil {
		t.Fatalf("nobody wants the event, and that is an error: %v", err)
	}
	if _, err := channel(t, address).QueueDelete(everything.Name, false, false, false); err != nil {
		t.Fatal(err)
	}
	events := bustest.Activations(t, 600)
	if err := b.Publish(t.Context(), events); err == nil {
		t.Fatal("the queue has gone and its events were confirmed")
	}
	if got := b.State().Refused; !strings.HasPrefix(got, "no queue is bound for license.") {
		t.Errorf("the state shows %q", got)
	}
	sink := &bustest.Sink{}
	if err := b.Publish(t.Context(), events); err != nil {
		t.Fatalf("the queue was not declared again: %v", err)
	}
	bustest.Consume(t, b, everything, sink.Handle)
	sink.Await(t, events)
}

func TestAConsumerSurvivesTheLossOfItsQueue(t *testing.T) {
	address := testkit.AMQP(t)
	b, sink := dial(t, address, everything), &bustest.Sink{}
	bustest.Consume(t, b, everything, sink.Handle)
	events := bustest.Activations(t, 2)
	bustest.Publish(t, b, events[0])()
	sink.Await(t, events[:1])
	if _, err := channel(t, address).QueueDelete(everything.Name, false, false, false); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, func() error { return b.Publish(t.Context(), events[1:]) })
	sink.Await(t, events)
}

func TestAQueueWithOtherSettingsIsUsed(t *testing.T) {
	address := testkit.AMQP(t)
	if _, err := channel(t, address).
		QueueDeclare(everything.Name, true, false, false, false, amqp091.Table{"x-queue-type": "quorum"}); err != nil {
		t.Fatal(err)
	}
	b, sink := dial(t, address, everything), &bustest.Sink{}
	bustest.Consume(t, b, everything, sink.Handle)
	events := bustest.Activations(t, 2)
	bustest.Publish(t, b, events...)()
	sink.Await(t, events)
}

func TestAFullQueueRefuses(t *testing.T) {
	q := everything
	q.MaxBytes = 20_000
	b, sink := dial(t, testkit.AMQP(t), q), &bustest.Sink{}
	var sent []event.Event
	testkit.Eventually(t, patience, func() error {
		events := bustest.Activations(t, 20)
		if err := b.Publish(t.Context(), events); err != nil {
			return nil
		}
		sent = append(sent, events...)
		return errors.New("the queue takes more than it may")
	})
	bustest.Consume(t, b, q, sink.Handle)
	testkit.Eventually(t, patience, func() error {
		got := map[string]bool{}
		for _, e := range sink.Events() {
			got[e.ID] = true
		}
		for _, e := range sent {
			if !got[e.ID] {
				return fmt.Errorf("a confirmed event of %d is missing", len(sent))
			}
		}
		return nil
	})
	more := bustest.Activations(t, 1)
	testkit.Eventually(t, patience, func() error { return b.Publish(t.Context(), more) })
}

// TestAReturnBesideARefusal: what came back is said by the call that published it, also where another queue is full,
// and by no later one.
func TestAReturnBesideARefusal(t *testing.T) {
	address := testkit.AMQP(t)
	full, gone := everything, bus.Queue{Name: "test.gone", Types: []string{"apikey.#"}}
	full.MaxBytes = 20_000
	b := dial(t, address, full, gone)
	testkit.Eventually(t, patience, func() error {
		if b.Publish(t.Context(), bustest.Activations(t, 20)) != nil {
			return nil
		}
		return errors.New("the queue takes more than it may")
	})
	if _, err := channel(t, address).QueueDelete(gone.Name, false, false, false); err != nil {
		t.Fatal(err)
	}
	both := append(bustest.Activations(t, 1), bustest.Event(t, &eventsv1.ApiKeyCreated{ApiKeyId: "k"}, "k"))
	var refused *bus.RefusedError
	if err := b.Publish(t.Context(), both); !errors.As(err, &refused) ||
		!slices.Equal(refused.Types, []string{"apikey.created"}) {
		t.Errorf("a full queue and one that has gone: %v", err)
	}
	for range 8 { // calls take turns on a few channels
		unwanted := bustest.Event(t, &eventsv1.AnomalyDetected{AnomalyId: "a"}, "a")
		if err := b.Publish(t.Context(), []event.Event{unwanted}); err != nil {
			t.Errorf("an event that has nothing to do with both: %v", err)
		}
	}
}

// What watches hear is packed, in the order of publishing, and without telemetry.
func TestInvalidationsOnTheWire(t *testing.T) {
	address := testkit.AMQP(t)
	b := dial(t, address, shared)
	ch := channel(t, address)
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(q.Name, "#", "latchkey.invalidations", false, nil); err != nil {
		t.Fatal(err)
	}
	revoked := bustest.Event(t, &eventsv1.ApiKeyRevoked{}, "key")
	events := slices.Concat(bustest.Activations(t, 101), []event.Event{revoked}, validations(t, 3),
		bustest.Activations(t, 1))
	if err := b.Publish(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	var got []event.Event
	for _, size := range []int{100, 1, 1, 1} {
		d, ok, err := ch.Get(q.Name, true)
		if err != nil || !ok {
			t.Fatalf("got no message: %v", err)
		}
		carried, err := event.Decode(d.Body)
		if err != nil || len(carried) != size || d.RoutingKey != carried[0].Type {
			t.Fatalf("%s with %d events, want %d (%v)", d.RoutingKey, len(carried), size, err)
		}
		got = append(got, carried...)
	}
	want := slices.DeleteFunc(events, func(e event.Event) bool { return event.IsTelemetry(e.Type) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkPublish is per event, in calls as the outbox makes them.
func BenchmarkPublish(b *testing.B) {
	for name, events := range map[string][]event.Event{
		"state":     bustest.Activations(b, 1000),
		"telemetry": validations(b, 500),
	} {
		b.Run(name, func(b *testing.B) {
			bus, err := amqp.Dial(amqp.Config{URL: testkit.AMQP(b), Name: "bench", Queues: []bus.Queue{shared}})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = bus.Close() }()
			if err := bus.Await(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for n := 0; n < b.N; n += len(events) {
				if err := bus.Publish(b.Context(), events); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func validations(t testing.TB, n int) []event.Event {
	t.Helper()
	events := make([]event.Event, n)
	for i := range events {
		events[i] = bustest.Event(t, &eventsv1.LicenseValidated{LicenseId: fmt.Sprint(i)}, "v")
	}
	return events
}

func host(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func through(t *testing.T, address string, p *proxy) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.address()
	return u.String()
}
