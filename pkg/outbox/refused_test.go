package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// addMessage writes an event and returns its id.
func addMessage(t *testing.T, d *db.DB, o *Outbox, msg proto.Message) (id string) {
	t.Helper()
	err := d.Tx(t.Context(), func(ctx context.Context, tx *gorm.DB) error {
		e, err := o.Add(ctx, tx, "lic", noon, msg)
		id = e.ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// refusing refuses events of license.activated, as a broker does whose permissions lack them, until it is allowed, and
// counts how often.
type refusing struct {
	publisher
	allowed atomic.Bool
	refused atomic.Int32
}

func newRefusing() *refusing {
	p := &refusing{}
	p.before = func(_ context.Context, events []event.Event) error {
		isRefused := func(e event.Event) bool { return e.Type == "license.activated" }
		if p.allowed.Load() || !slices.ContainsFunc(events, isRefused) {
			return nil
		}
		p.refused.Add(1)
		return fmt.Errorf("publish: %w", &bus.RefusedError{Types: []string{"license.activated"}, Err: errRefused})
	}
	return p
}

// A type that the broker refuses waits by itself, however many events of it there are, and is tried again; those of
// other types go on, also after it was tried again in vain.
func TestARefusedTypeHoldsUpNoOther(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o, pub := New(d, "test"), newRefusing()
		first := addMessage(t, d, o, &eventsv1.LicenseDeactivated{})
		held := add(t, d, o, "lic", batchSize+1)
		second := addMessage(t, d, o, &eventsv1.LicenseReactivated{})
		relay(t, o, pub)
		arrived := func(want ...string) {
			t.Helper()
			testkit.Eventually(t, 30*time.Second, func() error { return missing(pub.ids(), want) })
		}
		arrived(first, second)
		for tries := int32(2); tries < 4; tries++ {
			testkit.Eventually(t, 30*time.Second, func() error {
				if pub.refused.Load() < tries {
					return errors.New("what was refused is not tried again")
				}
				return nil
			})
			arrived(addMessage(t, d, o, &eventsv1.LicenseDeactivated{}))
		}
		testkit.Eventually(t, 30*time.Second, func() error {
			if n, err := o.Pending(t.Context()); n != len(held) || err != nil {
				return fmt.Errorf("%d wait, want %d: %v", n, len(held), err)
			}
			return nil
		})
		pub.allowed.Store(true)
		awaitSent(t, o)
		isOther := func(id string) bool { return !slices.Contains(held, id) }
		if diff := cmp.Diff(held, slices.DeleteFunc(pub.ids(), isOther)); diff != "" {
			t.Error(diff)
		}
	})
}

// A command sends what the bus takes, and tells what it does not.
func TestFlushPassesOverARefusedType(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o, pub := New(d, "test"), newRefusing()
		add(t, d, o, "lic", 1)
		other := addMessage(t, d, o, &eventsv1.LicenseDeactivated{})
		if err := o.Flush(t.Context(), pub); !errors.Is(err, errRefused) {
			t.Errorf("got %v", err)
		}
		if diff := cmp.Diff([]string{other}, pub.ids()); diff != "" {
			t.Error(diff)
		}
	})
}

// Large events are not held in memory together, by a relay or by a republication.
func TestABatchIsBoundedInBytes(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		large := &eventsv1.LicenseActivated{DeviceName: strings.Repeat("x", batchBytes/2)}
		o, batches := New(d, "test"), 0
		pub := &publisher{before: func(_ context.Context, events []event.Event) error {
			bytes := 0
			for _, e := range events {
				bytes += len(e.Data)
			}
			if batches++; bytes > batchBytes {
				t.Errorf("a batch of %d events has %d bytes", len(events), bytes)
			}
			return nil
		}}
		var want []string
		for range 3 {
			want = append(want, addMessage(t, d, o, large))
		}
		if err := o.Flush(t.Context(), pub); err != nil || batches != 3 {
			t.Errorf("sent in %d batches: %v", batches, err)
		}
		if n, err := o.Republish(t.Context(), pub, noon, nil); n != 3 || err != nil || batches != 6 {
			t.Errorf("%d republished, %d batches in all: %v", n, batches, err)
		}
		if diff := cmp.Diff(append(want, want...), pub.ids()); diff != "" {
			t.Error(diff)
		}
	})
}
