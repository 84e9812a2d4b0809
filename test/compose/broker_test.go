//go:build unix

package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	busamqp "github.com/latchkey-dev/latchkey/pkg/bus/amqp"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/test/brokerdefs"
	"github.com/latchkey-dev/latchkey/test/servers"
	"github.com/latchkey-dev/latchkey/test/servers/serverstest"
)

// watched are the types that each service watches.
var watched = watchedBy(brokerdefs.Users())

func watchedBy(users []busamqp.User) map[string][]string {
	watched := map[string][]string{}
	for _, u := range users {
		watched[u.Name] = u.Watches
	}
	return watched
}

const (
	events        = "latchkey.events"
	invalidations = "latchkey.invalidations"
)

// attempt is something that a user tries on a channel of its own, and whether the broker may let it.
type attempt struct {
	what    string
	allowed bool
	try     func(ch *amqp.Channel) error
}

// TestEachUserDoesItsOwnOnly tries everything that a service could do to the bus of the others, as each user of the
// definitions, and what it needs itself.
func TestEachUserDoesItsOwnOnly(t *testing.T) {
	c, _ := newBroker(t)
	for _, user := range suiteServices {
		t.Run(user, func(t *testing.T) {
			conn := c.dial(t, user)
			var attempts []attempt
			attempts = append(attempts, publishes(user)...)
			attempts = append(attempts, queueUses(user)...)
			attempts = append(attempts, declarations(user)...)
			attempts = append(attempts, watches(user)...)
			for _, a := range attempts {
				if got := permitted(t, conn, a); got != a.allowed {
					t.Errorf("%s: allowed is %v, want %v", a.what, got, a.allowed)
				}
			}
		})
	}
}

// newBroker starts RabbitMQ as docker-compose.yml has it, with the secrets of deploy/make-secrets.
func newBroker(t *testing.T) (c *composition, rabbit *servers.RabbitMQ) {
	t.Helper()
	c = newSettings(t)
	rabbit = serverstest.RabbitMQ(t)
	c.broker = rabbit.Host()
	c.importDefinitions(t, rabbit)
	return c, rabbit
}

// amqpURL is the URL that docker-compose.yml gives a service, or one for the operator.
func (c *composition) amqpURL(t *testing.T, user string) string {
	t.Helper()
	if user == "operator" {
		return "amqp://operator:" + readSecret(t, c.compose, "rabbitmq_operator_password") + "@" + c.broker +
			"/latchkey"
	}
	return strings.Replace(readSecret(t, c.compose, user+"_amqp_url"), "rabbitmq:5672", c.broker, 1)
}

func (c *composition) dial(t *testing.T, user string) *amqp.Connection {
	t.Helper()
	conn, err := amqp.Dial(c.amqpURL(t, user))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// permitted reports whether an attempt succeeds. Whatever else the broker says is an answer to it; a lost connection is
// none.
func permitted(t *testing.T, conn *amqp.Connection, a attempt) bool {
	t.Helper()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ch.Close() }()
	var refusal *amqp.Error
	if err := a.try(ch); err != nil && (!errors.As(err, &refusal) || conn.IsClosed()) {
		t.Fatalf("%s: %v", a.what, err)
	}
	return refusal == nil
}

// publishing publishes a message and waits for the broker's word on it.
func publishing(exchange, key string) func(ch *amqp.Channel) error {
	return func(ch *amqp.Channel) error {
		closed := ch.NotifyClose(make(chan *amqp.Error, 1))
		if err := ch.Confirm(false); err != nil {
			return err
		}
		confirm, err := ch.PublishWithDeferredConfirm(exchange, key, false, false, amqp.Publishing{Body: []byte("{}")})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if taken, err := confirm.WaitContext(ctx); err != nil || taken {
			return err
		}
		return <-closed
	}
}

// publishes are every event type on both exchanges, and all other exchanges that there are.
func publishes(user string) (attempts []attempt) {
	try := func(exchange, key string, allowed bool) {
		attempts = append(attempts, attempt{"publish " + key + " to " + exchange, allowed, publishing(exchange, key)})
	}
	for _, eventType := range event.Types() {
		own := slices.Contains(event.Publishers(eventType), user)
		try(events, eventType, own)
		try(invalidations, eventType, own && !event.IsTelemetry(eventType))
	}
	for _, other := range suiteServices {
		try(invalidations, "tick."+other, other == user)
		try(events, "tick."+other, false)
		try(invalidations, "tick."+other+".amq.gen-x", other == user && watched[user] != nil)
		try(events, "tick."+other+".amq.gen-x", false)
	}
	for _, q := range bus.AllQueues() {
		for _, key := range []string{q.Name, q.Name + ".dead"} {
			try("latchkey.dead."+q.Name, key, owns(user, q.Name))
			try("", key, false)
			try("amq.topic", key, false)
			try("amq.direct", key, false)
			try(events, key, false)
		}
	}
	for _, key := range []string{"", "#", "license.unheard_of", "x.license.created", "license.created.x"} {
		try(events, key, false)
		try(invalidations, key, false)
	}
	return attempts
}

func owns(user, queue string) bool { return strings.HasPrefix(queue, user+".") }

// queueUses are what can be done to the queues that there are, and to their dead letters.
func queueUses(user string) (attempts []attempt) {
	for _, q := range bus.AllQueues() {
		for _, name := range []string{q.Name, q.Name + ".dead"} {
			own := owns(user, q.Name)
			locked := q.SingleActive && name == q.Name // RabbitMQ hands single messages to nobody then
			attempts = append(attempts,
				attempt{"consume " + name, own, func(ch *amqp.Channel) error {
					_, err := ch.Consume(name, "", false, false, false, false, nil)
					return err
				}},
				attempt{"get from " + name, own && !locked, func(ch *amqp.Channel) error {
					_, _, err := ch.Get(name, false)
					return err
				}},
				attempt{"purge " + name, own, func(ch *amqp.Channel) error {
					_, err := ch.QueuePurge(name, false)
					return err
				}},
				attempt{"delete " + name, false, func(ch *amqp.Channel) error {
					_, err := ch.QueueDelete(name, false, false, false)
					return err
				}},
				attempt{"bind " + name, false, func(ch *amqp.Channel) error {
					return ch.QueueBind(name, "license.#", events, false, nil)
				}},
				attempt{"unbind " + name, false, func(ch *amqp.Channel) error {
					return ch.QueueUnbind(name, "license.#", events, nil)
				}},
			)
		}
	}
	return attempts
}

// declarations are what a user could make or delete.
func declarations(user string) (attempts []attempt) {
	exchanges := []string{events, invalidations}
	for _, q := range bus.AllQueues() {
		exchanges = append(exchanges, "latchkey.dead."+q.Name)
	}
	for _, x := range exchanges {
		attempts = append(attempts, attempt{"delete " + x, false, func(ch *amqp.Channel) error {
			return ch.ExchangeDelete(x, false, false)
		}})
	}
	names := append([]string{"x", "amq.gen-x", user, user + ".x", user + ".events.x", "latchkey.x"}, exchanges...)
	for _, q := range bus.AllQueues() {
		names = append(names, q.Name, q.Name+".dead")
	}
	for _, name := range names {
		attempts = append(attempts,
			attempt{"declare the exchange " + name, false, func(ch *amqp.Channel) error {
				return ch.ExchangeDeclare(name, "fanout", true, false, false, false, nil)
			}},
			attempt{"declare the queue " + name, false, func(ch *amqp.Channel) error {
				_, err := ch.QueueDeclare(name, true, false, false, false, nil)
				return err
			}},
			attempt{"bind " + name + " in front of " + events, false, func(ch *amqp.Channel) error {
				return ch.ExchangeBind(events, "audit.recorded", name, false, nil)
			}},
			attempt{"bind " + name + " behind " + events, false, func(ch *amqp.Channel) error {
				return ch.ExchangeBind(name, "audit.recorded", events, false, nil)
			}},
		)
	}
	return attempts
}

// watches are the nameless queue of a watch, what it may listen to, and the messages of others that it may not.
func watches(user string) []attempt {
	attempts := []attempt{
		{"declare a nameless queue", watched[user] != nil, func(ch *amqp.Channel) error {
			_, err := nameless(ch, nil)
			return err
		}},
		{"let a nameless queue die into the queues", false, func(ch *amqp.Channel) error {
			_, err := nameless(ch, amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "admin.audit"})
			return err
		}},
	}
	for _, q := range bus.AllQueues() {
		dead, may := "latchkey.dead."+q.Name, watched[user] != nil && owns(user, q.Name)
		attempts = append(attempts, attempt{"let a nameless queue die into " + dead, may, func(ch *amqp.Channel) error {
			_, err := nameless(ch, amqp.Table{"x-dead-letter-exchange": dead})
			return err
		}})
	}
	try := func(exchange, key string, allowed bool) {
		attempts = append(attempts, attempt{"listen to " + key + " of " + exchange, allowed,
			func(ch *amqp.Channel) error {
				name, err := nameless(ch, nil)
				if err != nil {
					return err
				}
				return ch.QueueBind(name, key, exchange, false, nil)
			}})
	}
	for _, key := range append(event.Types(), "#", "*.*", "license.#", "apikey.*", "") {
		try(events, key, false)
		try(invalidations, key, slices.Contains(watched[user], key))
	}
	for _, other := range suiteServices {
		try(invalidations, "tick."+other+".amq.gen-x", other == user && watched[user] != nil)
		try(invalidations, "tick."+other, watched[user] != nil)
		try(invalidations, "tick."+other+".#", false)
	}
	return attempts
}

// nameless declares a queue that the broker names.
func nameless(ch *amqp.Channel, arguments amqp.Table) (name string, err error) {
	q, err := ch.QueueDeclare("", false, true, true, false, arguments)
	return q.Name, err
}

// TestAMissingQueueIsSaidAndComesBack: a service that may declare nothing says what is missing, and starts when it
// is there.
func TestAMissingQueueIsSaidAndComesBack(t *testing.T) {
	c, rabbit := newBroker(t)
	deleteQueue(t, c.dial(t, "operator"), "analytics.events")
	b, err := busamqp.Dial(busamqp.Config{
		URL: c.amqpURL(t, "license"), Name: "license", Queues: bus.AllQueues(), Log: testkit.Log(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	testkit.Eventually(t, time.Minute, func() error {
		detail := b.State().Detail
		if !strings.Contains(detail, "lacks the queue analytics.events") ||
			!strings.Contains(detail, "import the definitions") {
			return fmt.Errorf("the state says %q", detail)
		}
		return nil
	})
	c.importDefinitions(t, rabbit)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := b.Await(ctx); err != nil {
		t.Error(err)
	}
}

// TestDefinitionsLeaveWhatExists: an upgrade imports the definitions over existing queues, which keep their
// settings and messages.
func TestDefinitionsLeaveWhatExists(t *testing.T) {
	c, rabbit := newBroker(t)
	operator := c.dial(t, "operator")
	deleteQueue(t, operator, "analytics.events")
	ch, err := operator.Channel()
	if err != nil {
		t.Fatal(err)
	}
	before := amqp.Table{"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-max-length-bytes": 1000}
	if _, err := ch.QueueDeclare("analytics.events", true, false, false, false, before); err != nil {
		t.Fatal(err)
	}
	if err := publishing("", "analytics.events")(ch); err != nil {
		t.Fatal(err)
	}
	c.importDefinitions(t, rabbit)
	if err := publishing(events, "license.activated")(ch); err != nil { // by the binding of the definitions
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, func() error {
		q, err := ch.QueueDeclarePassive("analytics.events", true, false, false, false, nil)
		if err == nil && q.Messages != 2 {
			err = fmt.Errorf("%d messages, want the old one and a new one", q.Messages)
		}
		return err
	})
}

func deleteQueue(t *testing.T, conn *amqp.Connection, name string) {
	t.Helper()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDelete(name, false, false, false); err != nil {
		t.Fatal(err)
	}
}
