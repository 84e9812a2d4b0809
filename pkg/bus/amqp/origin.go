package amqp

import (
	"errors"
	"fmt"
	"strings"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// headerDeaths is where the broker notes which queues gave a message up, and under which keys it had come there.
const headerDeaths = "x-death"

// checkOrigin says why a message for a queue of these types must not be believed. The broker lets a user publish by the
// routing key alone, so a message may only carry what its key says; a second key, in a header CC, is not one that the
// broker has checked everywhere. Nor has it checked the key under which a queue passes its dead letters on.
func checkOrigin(d amqp091.Delivery, events []event.Event, types []string) error {
	if _, died := d.Headers[headerDeaths]; died {
		return errors.New("the message comes from the dead letters of some queue, not from a publisher")
	}
	key := publishedUnder(d)
	if !bus.MatchesAny(types, key) {
		return fmt.Errorf("the message was published under the routing key %.100q, which this queue does not take", key)
	}
	for _, e := range events {
		if e.Type != key {
			return fmt.Errorf(
				"the message was published under the routing key %.100q and carries an event of type %.100q",
				key, e.Type)
		}
	}
	return nil
}

// publishedUnder is the routing key under which a message was published at first, "" when nobody vouches for one. Dead
// letters and replays of them come by another key, from the consumer of the queue or from the broker. A message that
// another queue gave up comes by a key of that queue's making, and its publisher may have written into it that it had
// died before.
func publishedUnder(d amqp091.Delivery) string {
	_, died := d.Headers[headerDeaths]
	dead := strings.HasPrefix(d.Exchange, deadPrefix)
	switch {
	case !dead && died:
		return ""
	case !dead:
		return d.RoutingKey
	case died:
		return onlyKey(d.Headers)
	}
	key, _ := d.Headers[headerKey].(string)
	return key
}

// onlyKey is the routing key under which a message had come to the queue that gave it up, "" when several did.
func onlyKey(headers amqp091.Table) string {
	death, ok := lastDeath(headers)
	if deaths, _ := headers[headerDeaths].([]any); !ok || len(deaths) > 1 {
		return ""
	}
	keys, _ := death["routing-keys"].([]any)
	if len(keys) == 0 {
		return ""
	}
	key, _ := keys[0].(string)
	return key
}
