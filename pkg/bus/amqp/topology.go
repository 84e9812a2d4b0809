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
	// deathLimit is how often the broker itself delivers a message again, counting lost links and killed consumers, before it
	// becomes a dead letter. It is only the net under a message that kills its process: failures of a handler are counted in
	// package delivery, since brokers of different versions count differently and an outage must not use attempts up.
	deathLimit = 100
	// noLimit stands for "never" where a broker from 4.0 on would put 20; each look at the dead letters counts on some.
	noLimit = 1<<31 - 1
)

func deadQueue(queue string) string { return queue + ".dead" }

// declare makes sure that everything events are routed to exists. It runs on every new publishing connection, and when a
// message came back for want of a queue.
func (b *Bus) declare(conn *amqp091.Connection) error {
	for _, name := range []string{exchange, invalidations} {
		err := onChannel(conn, func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclare(name, amqp091.ExchangeTopic, true, false, false, false, nil)
		})
		if err != nil {
			return fmt.Errorf("declare the exchange %s: %w", name, err)
		}
	}
	for _, q := range b.queues {
		if err := b.declareQueue(conn, q); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bus) declareQueue(conn *amqp091.Connection, q bus.Queue) error {
	dead := amqp091.Table{
		"x-queue-type":       "quorum",
		"x-delivery-limit":   noLimit,
		"x-max-length":       q.MaxDeadLetters,
		"x-max-length-bytes": q.MaxDeadLetterBytes,
		"x-overflow":         "drop-head",
	}
	if err := b.ensureQueue(conn, deadQueue(q.Name), dead); err != nil {
		return err
	}
	if err := b.ensureQueue(conn, q.Name, arguments(q)); err != nil {
		return err
	}
	return onChannel(conn, func(ch *amqp091.Channel) error {
		for _, pattern := range q.Types {
			if err := ch.QueueBind(q.Name, pattern, exchange, false, nil); err != nil {
				return fmt.Errorf("bind %s to %s: %w", q.Name, pattern, err)
			}
		}
		return nil
	})
}

// arguments never change for a queue that exists: a broker refuses to declare it with others.
func arguments(q bus.Queue) amqp091.Table {
	return amqp091.Table{
		"x-queue-type":              "quorum",
		"x-delivery-limit":          deathLimit,
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": deadQueue(q.Name),
		"x-dead-letter-strategy":    "at-least-once",
		"x-overflow":                "reject-publish",
		"x-max-length-bytes":        q.MaxBytes,
		"x-single-active-consumer":  q.SingleActive,
	}
}

// ensureQueue declares a queue. One that exists with other arguments, of an older version or an operator, is used as it
// is: a queue that differs is worth more than none.
func (b *Bus) ensureQueue(conn *amqp091.Connection, name string, args amqp091.Table) error {
	err := onChannel(conn, func(ch *amqp091.Channel) error {
		_, err := ch.QueueDeclare(name, true, false, false, false, args)
		return err
	})
	var refused *amqp091.Error
	if errors.As(err, &refused) && refused.Code == amqp091.PreconditionFailed {
		b.log.Warn("a queue exists with other settings and is used with them", "queue", name, "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("declare the queue %s: %w", name, err)
	}
	return nil
}

// onChannel runs fn on a channel of its own, because a refusal closes the channel that it happens on.
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
