package detect

import (
	"fmt"
	"testing"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func TestSeatOveruse(t *testing.T) { tell(t, overuseStories()) }

func overuseStories() []story {
	refusedDevices := func(seats, devices, days int, at func(i int) where) *scenario {
		s := licensed(seats)
		s.activate(day(0, 8), "own", home)
		s.works(0, 7+days, "own", home)
		for d := 7; d < 7+days; d++ {
			for i := range devices {
				s.refuse(day(d, 8+float64(i)/4), fmt.Sprintf("extra-%d", i), at(i))
			}
		}
		return s
	}
	return []story{
		{"eight devices try for one seat for a week", func() *scenario { return refusedDevices(1, 8, 7, far) },
			map[Kind]Severity{SeatOveruse: SeverityHigh}, "8 devices found no free seat"},
		{"thirty devices try for five seats", func() *scenario { return refusedDevices(5, 30, 5, far) },
			map[Kind]Severity{SeatOveruse: SeverityCritical}, "30 devices"},
		{"leak seen within the day", func() *scenario { return refusedDevices(2, 20, 1, far) },
			map[Kind]Severity{SeatOveruse: SeverityCritical}, "devices found no free seat"},
		{"team too large for its seats", func() *scenario {
			return refusedDevices(5, 6, 10, func(int) where { return officeLine })
		},
			map[Kind]Severity{SeatOveruse: SeverityMedium}, "6 devices"},
		{"class with too few seats is a note",
			func() *scenario { return refusedDevices(5, 25, 1, func(int) where { return officeLine }) },
			map[Kind]Severity{SeatOveruse: SeverityLow}, "devices found no free seat"},
		{"two clients hammer without backoff", func() *scenario {
			s := licensed(1)
			for d := range 5 {
				for k := range 60 {
					s.refuse(day(d, float64(k)/3), fmt.Sprintf("svc-%d", k%2), officeLine)
				}
			}
			return s
		}, map[Kind]Severity{SeatOveruse: SeverityLow}, "2 devices"},

		{"one colleague tries for days", func() *scenario { return refusedDevices(3, 1, 10, far) }, nil, ""},
		{"three colleagues try for days", func() *scenario { return refusedDevices(3, 3, 10, far) }, nil, ""},
		{"one service hammers without backoff", func() *scenario {
			s := licensed(1)
			for d := range 10 {
				s.add(day(d, 1), eventsv1.TypeLicenseValidated, "own", home)
				for k := range 60 {
					s.refuse(day(d, float64(k)/3), "svc", officeLine)
				}
			}
			return s
		}, nil, ""},
		{"two colleagues click and click each morning", func() *scenario {
			s := licensed(1)
			for d := range 10 {
				for k := range 40 {
					s.refuse(day(d, 9).Add(time.Duration(k)*2*time.Second), fmt.Sprintf("pc-%d", k%2), officeLine)
				}
			}
			return s
		}, nil, ""},
		{"denied then admitted within a minute", func() *scenario {
			s := licensed(2)
			for d := range 20 {
				for i := range 6 {
					hw, at := fmt.Sprintf("pc-%d", i), day(d, 9+float64(i))
					s.refuse(at, hw, officeLine)
					s.refuse(at.Add(20*time.Second), hw, officeLine)
					s.activate(at.Add(40*time.Second), hw, officeLine)
					s.deactivate(at.Add(50*time.Minute), hw, officeLine)
				}
			}
			return s
		}, nil, ""},
		{"ci jobs run out of seats", func() *scenario {
			s := passedAround(2, 20, 20, buildRunner)
			for d := 14; d < 34; d++ {
				for i := range 20 {
					s.refuse(day(d, 9+float64(i)/2), fmt.Sprintf("job-%d-%d", d, i), buildRunner(i))
				}
			}
			return s
		}, nil, ""},
		{"expired license goes on asking", func() *scenario {
			s := licensed(2)
			for d := range 30 {
				for i := range 10 {
					s.add(day(d, 9+float64(i)), eventsv1.TypeLicenseValidationFailed, fmt.Sprintf("pc-%d", i),
						officeLine).ErrorCode = "LICENSE_EXPIRED"
				}
			}
			return s
		}, nil, ""},
		{"growing team buys seats", func() *scenario {
			s := licensed(5)
			for d := range 6 {
				for i := range 5 {
					s.refuse(day(d, 9+float64(i)), fmt.Sprintf("new-%d-%d", d/2, i), officeLine)
				}
				if d%2 == 1 {
					s.add(day(d, 16), eventsv1.TypeLicenseActivated, fmt.Sprintf("grown-%d", d),
						officeLine).MaxDevices = 10 + 5*d
				}
			}
			for i := range s.obs {
				if s.obs[i].MaxDevices == 0 {
					s.obs[i].MaxDevices = 5 + 10*(dayIndex(s.obs[i].At)/2)
				}
			}
			return s
		}, nil, ""},
	}
}
