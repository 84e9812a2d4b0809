package amqp

import (
	"context"
	"errors"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// TryPublish finds out whether the broker takes everything that a service publishes. It publishes it in a transaction
// that it takes back: the broker looks at permissions and exchanges meanwhile, and queues get nothing. A broker in
// alarm says so only to those who publish.
func (b *Bus) TryPublish(ctx context.Context, service string) error {
	conn, err := b.publishing.await(ctx)
	if err != nil {
		return err
	}
	tried := make(chan error, 1)
	go func() { tried <- ask(ctx, conn, func() error { return tryPublish(conn, service) }) }()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-tried:
			return err
		case <-look.C:
			if s := b.publishing.state(); s.Blocked {
				return errors.New(s.Detail)
			}
		}
	}
}

func tryPublish(conn *amqp091.Connection, service string) error {
	events, copies := keysOf(service)
	if err := tryKeys(conn, exchange, events...); err != nil {
		return err
	}
	return tryKeys(conn, invalidations, copies...)
}

// tryKeys publishes to an exchange under some keys, in a transaction that is taken back.
func tryKeys(conn *amqp091.Connection, exchange string, keys ...string) error {
	return onChannel(conn, func(ch *amqp091.Channel) error {
		closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
		if err := ch.Tx(); err != nil {
			return err
		}
		err := publishAll(ch, exchange, keys)
		if err == nil {
			err = ch.TxRollback()
		}
		if err != nil && ch.IsClosed() {
			if said := <-closed; said != nil {
				return said
			}
		}
		return err
	})
}

func publishAll(ch *amqp091.Channel, exchange string, keys []string) error {
	for _, key := range keys {
		if err := ch.Publish(exchange, key, false, false, amqp091.Publishing{}); err != nil {
			return err
		}
	}
	return nil
}
