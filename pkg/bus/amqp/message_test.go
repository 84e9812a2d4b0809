package amqp

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// TestMessagesCanBeRead, however large the events are that are packed together: a bulk change of licenses with many
// features, or telemetry with much session data.
func TestMessagesCanBeRead(t *testing.T) {
	for name, msg := range map[string]proto.Message{
		"changes":   &eventsv1.LicenseUpdated{Product: strings.Repeat("x", 50<<10)},
		"telemetry": &eventsv1.LicenseHeartbeat{DeviceName: strings.Repeat("x", 50<<10)},
	} {
		var events []event.Event
		for range 250 {
			e, err := event.New("latchkey/test", "s", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), msg)
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		}
		made, err := messages(events, "test")
		if name == "changes" {
			made, err = invalidationsOf(events, "test")
		}
		if err != nil {
			t.Fatal(err)
		}
		var read []event.Event
		for _, m := range made {
			batch, err := event.Decode(m.Body)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			read = append(read, batch...)
		}
		if len(read) != len(events) || len(made) > len(events)/10 {
			t.Errorf("%s: %d of %d events in %d messages", name, len(read), len(events), len(made))
		}
	}
}
