package amqp

import (
	"context"
	"errors"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
)

const (
	exchange = "latchkey.events"
	// invalidations carries changes of state a second time, packed, for watches alone.
	invalidations = "latchkey.invalidations"
	// deathLimit is how often the broker itself delivers a message again, counting lost links and killed consumers,
	// before it becomes a dead letter. It is only the net under a message that kills its process: failures of a handler
	// are counted in package delivery, since brokers of different versions count differently and an outage must not use
	// attempts up.
	deathLimit = 100
	// noLimit stands for "never" where a broker from 4.0 on would put 20; each look at the dead letters counts on some.
	noLimit = 1<<31 - 1
)

func deadQueue(queue string) string { return queue + ".dead" }

const deadPrefix = "latchkey.dead."

// deadExchange leads to the dead letters of a queue, and for a replay back to the queue; the routing key is the name of
// either. Each queue has one of its own, because RabbitMQ lets a user who may write to an exchange use any routing key,
// unless it is a topic.
func deadExchange(queue string) string { return deadPrefix + queue }

// topology is what must exist on a broker, in the order in which it can be made.
type topology struct {
	exchanges []exchangeDeclaration
	queues    []queueDeclaration
	bindings  []binding
}

type exchangeDeclaration struct{ name, kind string }

// queueDeclaration is of a durable queue. Its arguments never change: a broker refuses to declare a queue that exists
// with others.
type queueDeclaration struct {
	name      string
	arguments amqp091.Table
}

type binding struct{ exchange, queue, key string }

// topologyOf is everything that events for the queues pass through.
func topologyOf(queues ...bus.Queue) topology {
	t := topology{exchanges: []exchangeDeclaration{
		{exchange, amqp091.ExchangeTopic}, {invalidations, amqp091.ExchangeTopic},
	}}
	for _, q := range queues {
		dead, deadLetters := deadExchange(q.Name), deadQueue(q.Name)
		t.exchanges = append(t.exchanges, exchangeDeclaration{dead, amqp091.ExchangeDirect})
		t.queues = append(t.queues, queueDeclaration{deadLetters, deadArguments(q)},
			queueDeclaration{q.Name, arguments(q)})
		t.bindings = append(t.bindings, binding{dead, deadLetters, deadLetters}, binding{dead, q.Name, q.Name})
		for _, pattern := range q.Types {
			t.bindings = append(t.bindings, binding{exchange, q.Name, pattern})
		}
	}
	return t
}

func arguments(q bus.Queue) amqp091.Table {
	return amqp091.Table{
		"x-queue-type":              "quorum",
		"x-delivery-limit":          deathLimit,
		"x-dead-letter-exchange":    deadExchange(q.Name),
		"x-dead-letter-routing-key": deadQueue(q.Name),
		"x-dead-letter-strategy":    "at-least-once",
		"x-overflow":                "reject-publish",
		"x-max-length-bytes":        q.MaxBytes,
		"x-single-active-consumer":  q.SingleActive,
	}
}

func deadArguments(q bus.Queue) amqp091.Table {
	return amqp091.Table{
		"x-queue-type":       "quorum",
		"x-delivery-limit":   noLimit,
		"x-max-length":       q.MaxDeadLetters,
		"x-max-length-bytes": q.MaxDeadLetterBytes,
		"x-overflow":         "drop-head",
	}
}

// ensure makes sure that t exists. A user who may not declare it finds it made by the definitions (see Definitions), or
// gets an error that says so. It runs on every new connection, and when a message came back because a queue was
// missing.
func (b *Bus) ensure(conn *amqp091.Connection, t topology) error {
	err := b.declare(conn, t)
	if !hasCode(err, amqp091.AccessRefused) {
		return err
	}
	return verify(conn, t)
}

func (b *Bus) declare(conn *amqp091.Connection, t topology) error {
	for _, x := range t.exchanges {
		err := onChannel(conn, func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclare(x.name, x.kind, true, false, false, false, nil)
		})
		if err != nil {
			return fmt.Errorf("declare the exchange %s: %w", x.name, err)
		}
	}
	for _, q := range t.queues {
		if err := b.declareQueue(conn, q); err != nil {
			return err
		}
	}
	return onChannel(conn, func(ch *amqp091.Channel) error {
		for _, to := range t.bindings {
			if err := ch.QueueBind(to.queue, to.key, to.exchange, false, nil); err != nil {
				return fmt.Errorf("bind the queue %s to %s of %s: %w", to.queue, to.key, to.exchange, err)
			}
		}
		return nil
	})
}

// declareQueue uses a queue that exists with other arguments, of an older version or an operator, as it is: a queue
// that differs is worth more than none.
func (b *Bus) declareQueue(conn *amqp091.Connection, q queueDeclaration) error {
	err := onChannel(conn, func(ch *amqp091.Channel) error {
		_, err := ch.QueueDeclare(q.name, true, false, false, false, q.arguments)
		return err
	})
	if hasCode(err, amqp091.PreconditionFailed) {
		b.log.Warn("a queue exists with other settings and is used with them", "queue", q.name, "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("declare the queue %s: %w", q.name, err)
	}
	return nil
}

// verify asks for the exchanges and queues of t without declaring them.
func verify(conn *amqp091.Connection, t topology) error {
	for _, x := range t.exchanges {
		err := onChannel(conn, func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclarePassive(x.name, x.kind, true, false, false, false, nil)
		})
		if err != nil {
			return missing("exchange", x.name, err)
		}
	}
	for _, q := range t.queues {
		err := onChannel(conn, func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclarePassive(q.name, true, false, false, false, nil)
			return err
		})
		if err != nil {
			return missing("queue", q.name, err)
		}
	}
	return nil
}

func missing(what, name string, err error) error {
	if !hasCode(err, amqp091.NotFound) {
		return fmt.Errorf("look for the %s %s: %w", what, name, err)
	}
	return fmt.Errorf("the broker lacks the %s %s, and this user may not declare it: "+
		"import the definitions that deploy/rabbitmq/definitions.sh prints (%w)", what, name, err)
}

// hasCode reports whether err is the broker's refusal with this code.
func hasCode(err error, code int) bool {
	var refusal *amqp091.Error
	return errors.As(err, &refusal) && refusal.Code == code
}

// onChannel runs fn on its own channel, because a refusal closes the channel that it happens on.
func onChannel(conn *amqp091.Connection, fn func(*amqp091.Channel) error) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }() // refused already, or nothing is left on it
	return fn(ch)
}

// closeChannel is bounded, so that a broker that does not answer does not hold up the end of a process.
func closeChannel(conn *amqp091.Connection, ch *amqp091.Channel) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = ask(ctx, conn, ch.Close) // with a lost connection it has gone already
}
