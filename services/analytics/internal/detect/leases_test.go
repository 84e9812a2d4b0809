package detect

import (
	"fmt"
	"testing"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func TestUseWithoutSeats(t *testing.T) { tell(t, leaseStories()) }

// slots is a license that has slots for leases alone.
func slots(n int) *scenario {
	s := licensed(1)
	s.license.Slots = n
	return s
}

// wants lets so many devices of elsewhere ask for a lease four times a day; each gets one every so many times, or none.
func (s *scenario) wants(days, devices, every int, at func(i int) where) *scenario {
	for d := range days {
		for i := range devices {
			for k := range 4 {
				when, hw := day(d, 8+2*float64(k)).Add(time.Duration(i)*time.Second), fmt.Sprint("ws-", i)
				if every > 0 && (i+k+d)%every == 0 {
					s.add(when, eventsv1.TypeLicenseLeased, hw, at(i))
					continue
				}
				s.add(when, eventsv1.TypeLicenseLeaseDenied, hw, at(i)).ErrorCode = codeLeaseLimitExceeded
			}
		}
	}
	return s
}

func leaseStories() []story {
	touched := func(kind string, days, networks int) *scenario {
		s := slots(5)
		for d := range days {
			for i := range 4 * networks {
				s.add(day(d, 8).Add(time.Duration(i)*2*time.Minute), kind, "pc", far(i%networks)).SessionID = "same"
			}
		}
		return s
	}
	found := func(s Severity) map[Kind]Severity { return map[Kind]Severity{AccountSharing: s} }
	office := func(int) where { return officeLine }
	return []story{
		{"one lease is shared on fifty networks", func() *scenario {
			return touched(eventsv1.TypeLicenseLeased, 2, 50)
		}, found(SeverityHigh), "networks or more in a day"},
		{"license files of one machine fetched on fifty networks", func() *scenario {
			return touched(eventsv1.TypeLicenseFileIssued, 2, 50)
		}, found(SeverityHigh), "networks or more in a day"},
		{"offline tokens of one device fetched on fifty networks", func() *scenario {
			return touched(eventsv1.TypeLicenseOfflineTokenIssued, 2, 50)
		}, found(SeverityHigh), "networks or more in a day"},
		{"sixty devices on sixty networks want five slots for days", func() *scenario {
			return slots(5).wants(3, 60, 12, far)
		}, map[Kind]Severity{SeatOveruse: SeverityHigh}, "found no free seat or slot"},

		{"laptop that takes a lease on four networks a day", func() *scenario {
			return touched(eventsv1.TypeLicenseLeased, 5, 4)
		}, nil, ""},
		{"twenty people at home take turns on five slots", func() *scenario { return slots(5).wants(10, 20, 4, far) },
			nil, ""},
		{"two clients wait for a slot and ask every quarter hour", func() *scenario {
			s := slots(1)
			for d := range 5 {
				for k := range 96 {
					s.add(day(d, float64(k)/4), eventsv1.TypeLicenseLeaseDenied, fmt.Sprint("ws-", k%2),
						officeLine).ErrorCode = codeLeaseLimitExceeded
				}
			}
			return s
		}, nil, ""},
		{"devices with seats wait for leases", func() *scenario {
			s := licensed(20)
			for i := range 20 {
				s.activate(day(0, 6), fmt.Sprint("ws-", i), office(i))
			}
			return s.wants(5, 20, 4, office)
		}, nil, ""},
		{"short leases in turn are not running at once", func() *scenario {
			s := slots(2)
			for d := range 5 {
				for k := range 200 {
					s.add(day(d, 8).Add(time.Duration(k)*3*time.Minute), eventsv1.TypeLicenseLeased,
						fmt.Sprint("ws-", k%8), far(k%8))
				}
				s.runs(day(d, 8), day(d, 18), 5*time.Minute, "pc", home, "")
			}
			return s
		}, nil, ""},
		{"a floating license that denies a lease once in a quarter", func() *scenario {
			s := slots(2)
			for d := range 155 {
				s.add(day(d, 9), eventsv1.TypeLicenseLeased, fmt.Sprint("ws-", d%3), far(d%3))
				if d%4 == 0 && d < 64 || d > 150 {
					s.add(day(d, 10), eventsv1.TypeLicenseLeaseDenied, fmt.Sprint("new-", d),
						berlin).ErrorCode = codeLeaseLimitExceeded
				}
			}
			return s
		}, nil, ""},
	}
}
