package amqp

import (
	"context"
	"errors"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
)

func TestTheNextBatchIsGatheredWhileTheHandlerWorks(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	deliveries := make(chan amqp091.Delivery) // without a buffer: what is sent has been taken
	batches, ended := gather(ctx, deliveries, bus.Queue{BatchSize: 3, BatchWait: time.Millisecond})
	deliveries <- amqp091.Delivery{DeliveryTag: 1}
	if first := <-batches; len(first) != 1 {
		t.Fatalf("a batch of %d that was old enough, want 1", len(first))
	}
	for tag := range uint64(3) {
		deliveries <- amqp091.Delivery{DeliveryTag: 2 + tag}
	}
	go func() { deliveries <- amqp091.Delivery{DeliveryTag: 5} }()
	for tag := range uint64(2) {
		batch := <-batches
		if last := batch[len(batch)-1].DeliveryTag; last != 4+tag {
			t.Errorf("a batch ends with message %d, want %d", last, 4+tag)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if _, open := <-batches; open {
		t.Error("a batch after the end")
	}
}

func TestGatheringEndsWithTheSubscription(t *testing.T) {
	deliveries := make(chan amqp091.Delivery)
	batches, ended := gather(t.Context(), deliveries, bus.Queue{BatchSize: 3, BatchWait: time.Hour})
	deliveries <- amqp091.Delivery{}
	close(deliveries)
	if _, open := <-batches; open || !errors.Is(<-ended, errCanceled) {
		t.Error("a lost subscription goes on")
	}
}
