package usage

import (
	"fmt"
	"testing"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

func TestHidingAddress(t *testing.T) {
	uses := func(n, devices int, ip string, viaProxy bool) (events []Event) {
		for i := range n {
			events = append(events, Event{Observation: detect.Observation{LicenseID: "l",
				HardwareID: fmt.Sprint("pc-", i%devices), IP: ip, ViaProxy: viaProxy}})
		}
		return events
	}
	for _, tc := range []struct {
		name   string
		uses   []Event
		behind string
	}{
		{"proxy that nobody named", uses(100, 50, "203.0.113.7", true), "203.0.113.7"},
		{"proxy that sends no addresses", uses(100, 50, "10.0.0.3", false), "10.0.0.3"},
		{"nearly all", append(uses(4, 4, "198.51.100.9", false), uses(96, 50, "10.0.0.3", false)...), "10.0.0.3"},
		{"some", append(uses(6, 6, "198.51.100.9", false), uses(94, 50, "10.0.0.3", false)...), ""},
		{"office behind one line", uses(100, 50, "203.0.113.7", false), ""},
		{"few computers of one network", uses(100, 9, "10.0.0.3", false), ""},
		{"development", uses(100, 50, "127.0.0.1", false), ""},
		{"nothing yet", nil, ""},
	} {
		if address, share := HidingAddress(tc.uses); address != tc.behind || (share >= 0.95) != (tc.behind != "") {
			t.Errorf("%s: %q with %v, want %q", tc.name, address, share, tc.behind)
		}
	}
}
