package detect

import (
	"fmt"
	"testing"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func TestDormantReactivated(t *testing.T) { tell(t, dormantStories()) }

func dormantStories() []story {
	used := func(days int) *scenario {
		s := licensed(3)
		s.activate(day(0, 8), "own-1", home)
		s.activate(day(0, 9), "own-2", home)
		s.works(0, days, "own-1", home)
		s.works(0, days, "own-2", home)
		return s
	}
	return []story{
		{"three strangers after four months", func() *scenario {
			s := used(20)
			for i := range 3 {
				s.activate(day(140, 9+float64(i)), fmt.Sprintf("stranger-%d", i), far(i))
				s.works(140, 146, fmt.Sprintf("stranger-%d", i), far(i))
			}
			return s
		}, map[Kind]Severity{DormantReactivated: SeverityHigh}, "After 120 days of silence"},
		{"one stranger from abroad", func() *scenario {
			s := licensed(1)
			s.works(0, 20, "own", berlin)
			s.works(120, 130, "stranger", tokyo)
			return s
		}, map[Kind]Severity{DormantReactivated: SeverityMedium}, "country is new"},
		{"one new computer elsewhere that stays is a note", func() *scenario {
			s := used(20)
			s.works(120, 130, "fresh", officeLine)
			return s
		}, map[Kind]Severity{DormantReactivated: SeverityLow}, "1 device"},

		{"semester break, known device returns", func() *scenario {
			s := used(60)
			s.works(150, 152, "new-1", officeLine)
			s.works(150, 170, "own-1", cafe)
			s.works(151, 170, "new-2", far(3))
			return s
		}, nil, ""},
		{"semester break, known device comes in the afternoon", func() *scenario {
			s := used(60)
			s.works(150, 151, "new-1", officeLine)
			s.works(150, 151, "new-2", far(3))
			s.add(day(150, 18), eventsv1.TypeLicenseValidated, "own-1", cafe)
			s.works(151, 170, "new-1", officeLine)
			s.works(151, 170, "new-2", far(3))
			return s
		}, nil, ""},
		{"semester break, lab re-imaged in the same rooms", func() *scenario {
			s := used(60)
			s.works(150, 170, "new-1", home)
			s.works(150, 170, "new-2", home)
			return s
		}, nil, ""},
		{"new computer at the same provider", func() *scenario {
			s := licensed(1)
			s.works(0, 20, "own", berlin)
			moved := berlin
			moved.ip, moved.lat, moved.lon = "91.20.3.4", 53.55, 10.0
			s.works(120, 140, "fresh", moved)
			return s
		}, nil, ""},
		{"used once a year", func() *scenario {
			s := licensed(2)
			s.works(0, 5, "pc-2024", home)
			s.works(300, 301, "pc-2024", home)
			s.works(620, 630, "pc-2026", officeLine)
			return s
		}, nil, ""},
		{"bought, tried once and put away", func() *scenario {
			s := licensed(3)
			s.works(0, 1, "trial", home)
			for i := range 3 {
				s.works(100, 120, fmt.Sprintf("pc-%d", i), far(i))
			}
			return s
		}, nil, ""},
		{"long holiday", func() *scenario {
			s := used(20)
			s.works(60, 80, "fresh", officeLine)
			return s
		}, nil, ""},
	}
}
