package amqp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// message is a message and where it goes.
type message struct {
	exchange, key string
	amqp091.Publishing
}

const (
	// batchAbove is how many telemetry events of one type one Publish must carry for them to travel in batches: under
	// load a message per event is what a broker spends its time on.
	batchAbove = 64
	batchSize  = 100
)

// messages makes an event a message, except for telemetry in bulk. Events of one type stay in order.
func messages(events []event.Event, app string) ([]message, error) {
	counts := map[string]int{}
	for i := range events {
		if event.IsTelemetry(events[i].Type) {
			counts[events[i].Type]++
		}
	}
	var made []message // of thousands of events a few, when they are telemetry
	bulk := map[string][]event.Event{}
	for i := range events {
		e := &events[i]
		if counts[e.Type] > batchAbove {
			bulk[e.Type] = append(bulk[e.Type], *e)
			continue
		}
		m, err := singleMessage(*e, app)
		if err != nil {
			return nil, err
		}
		made = append(made, m)
	}
	for _, same := range bulk {
		for batch := range event.Batches(same, batchSize) {
			m, err := batchMessage(batch, app)
			if err != nil {
				return nil, err
			}
			made = append(made, m)
		}
	}
	return made, nil
}

// invalidationsOf are the copies of changes of state for watches: what follows one another of one type goes into one
// message, since under load a message per event to every replica costs more than all else. Telemetry they get as the
// queues do.
func invalidationsOf(events []event.Event, app string) ([]message, error) {
	var made []message
	for len(events) > 0 {
		n := 1
		for n < len(events) && events[n].Type == events[0].Type {
			n++
		}
		run := events[:n]
		if events = events[n:]; event.IsTelemetry(run[0].Type) {
			continue
		}
		for batch := range event.Batches(run, batchSize) {
			m, err := batchMessage(batch, app)
			if err != nil {
				return nil, err
			}
			m.exchange, m.DeliveryMode = invalidations, amqp091.Transient
			made = append(made, m)
		}
	}
	return made, nil
}

func singleMessage(e event.Event, app string) (message, error) {
	body, err := e.Encode()
	return eventMessage(e, app, event.ContentType, body), err
}

func batchMessage(events []event.Event, app string) (message, error) {
	body, err := event.EncodeBatch(events)
	return eventMessage(events[0], app, event.ContentTypeBatch, body), err
}

func eventMessage(e event.Event, app, contentType string, body []byte) message {
	return message{exchange: exchange, key: e.Type, Publishing: amqp091.Publishing{
		ContentType:  contentType,
		DeliveryMode: amqp091.Persistent,
		MessageId:    e.ID,
		Type:         e.Type,
		Timestamp:    e.Time,
		AppId:        app,
		Body:         body,
	}}
}

// Headers of a dead letter.
const (
	headerReason   = "x-latchkey-reason"
	headerAttempts = "x-latchkey-attempts"
	headerDiedAt   = "x-latchkey-died-at"
	// headerKey is the routing key under which the message was published at first. A replay carries it, too.
	headerKey = "x-latchkey-routing-key"
)

// deadMessage is m on its way to the dead letters of queue.
func deadMessage(m message, queue, reason string, attempts int) message {
	m.Headers = amqp091.Table{
		headerKey:      m.key,
		headerReason:   reason,
		headerAttempts: int32(attempts),
		headerDiedAt:   clock.System{}.Now().Format(time.RFC3339Nano),
	}
	m.exchange, m.key = deadExchange(queue), deadQueue(queue)
	return m
}

// letter reads a dead letter, ours or one of the broker's making.
func letter(d amqp091.Delivery) bus.DeadLetter {
	l := bus.DeadLetter{ID: letterID(d), Raw: d.Body, Reason: "unknown", DiedAt: d.Timestamp.UTC()}
	if events, err := event.Decode(d.Body); err == nil {
		l.Event = events[0]
	}
	if reason, ok := d.Headers[headerReason].(string); ok {
		l.Reason = reason
		attempts, _ := d.Headers[headerAttempts].(int32)
		l.Attempts = int(attempts)
		died, _ := d.Headers[headerDiedAt].(string)
		l.DiedAt, _ = time.Parse(time.RFC3339Nano, died)
	} else if death, ok := lastDeath(d.Headers); ok {
		l.Reason = fmt.Sprintf("the broker gave it up: %v", death["reason"])
		died, _ := death["time"].(time.Time)
		l.DiedAt = died.UTC()
	}
	return l
}

func lastDeath(headers amqp091.Table) (amqp091.Table, bool) {
	deaths, _ := headers[headerDeaths].([]any)
	if len(deaths) == 0 {
		return nil, false
	}
	death, ok := deaths[0].(amqp091.Table)
	return death, ok
}

// letterID is the message id, or for a message of strangers that has none a digest of its body.
func letterID(d amqp091.Delivery) string {
	if d.MessageId != "" {
		return d.MessageId
	}
	sum := sha256.Sum256(d.Body)
	return hex.EncodeToString(sum[:16])
}
