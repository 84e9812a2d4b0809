package detect

import (
	"fmt"
	"testing"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func TestAccountSharingOnManySeats(t *testing.T) { tell(t, fleetStories()) }

// fleet is a license of many seats, each device of which is used on so many networks of its own in turn, of so many all
// in all, for a day.
func fleet(seats, networks, all int, every time.Duration, session func(device, network int) string) *scenario {
	s := licensed(seats)
	for i := range seats {
		s.activate(day(0, 6).Add(time.Duration(i)*time.Second), fmt.Sprint("pc-", i), far(0))
	}
	n, apart := 0, (every / time.Duration(seats)).Truncate(time.Millisecond)
	for at := day(0, 8); at.Before(day(0, 16)); at = at.Add(every) {
		for i := range seats {
			k := n % networks
			s.add(at.Add(time.Duration(i)*apart), eventsv1.TypeLicenseValidated, fmt.Sprint("pc-", i),
				far((i+all/networks*k)%all)).SessionID = session(i, k)
		}
		n++
	}
	return s
}

func fleetStories() []story {
	own := func(device, network int) string { return fmt.Sprint(device, network) }
	one := func(device, _ int) string { return fmt.Sprint(device) }
	return []story{
		{"ninety seats, each id of which runs on four networks", func() *scenario {
			return fleet(90, 4, 12, 5*time.Minute, own)
		}, map[Kind]Severity{AccountSharing: SeverityCritical}, "two sessions"},
		{"ninety seats, each id of which runs on ten of eighty networks", func() *scenario {
			return fleet(90, 10, 80, 5*time.Minute, own)
		}, map[Kind]Severity{AccountSharing: SeverityCritical}, "two sessions"},
		{"eighty seats, each id of which runs on four networks of its own", func() *scenario {
			return fleet(80, 4, 320, 5*time.Minute, own)
		}, map[Kind]Severity{AccountSharing: SeverityCritical}, "two sessions"},
		{"ninety seats, each id of which is used once on twenty-four networks", func() *scenario {
			return fleet(90, 24, 80, 20*time.Minute, own)
		}, map[Kind]Severity{AccountSharing: SeverityHigh}, "networks in a day"},
		{"more seats than the memory has room for, each id of which runs on four networks", func() *scenario {
			return fleet(150, 4, 12, 5*time.Minute, own)
		}, map[Kind]Severity{AccountSharing: SeverityCritical}, "two sessions"},

		{"ninety laptops, each of which moves over four networks", func() *scenario {
			return fleet(90, 4, 80, 2*time.Hour, one)
		}, nil, ""},
		{"ninety laptops on two uplinks each", func() *scenario { return fleet(90, 2, 80, 5*time.Minute, one) },
			nil, ""},
	}
}
