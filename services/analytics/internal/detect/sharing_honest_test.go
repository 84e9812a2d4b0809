package detect

import (
	"fmt"
	"testing"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func TestOneClientOnManyNetworks(t *testing.T) {
	tell(t, honestStories())
	tell(t, uplinkStories())
}

// ranges is how many ranges of addresses a large carrier or cloud has here.
const ranges = 36

// jobs runs build jobs a day on four runners by their names, each job on an address of another range.
func jobs(daily int) *scenario {
	s, d := licensed(4), dice(7)
	for i := range 5 * daily {
		for r := range 4 {
			w, name := far(d.roll(ranges)), fmt.Sprint("runner-", r)
			at := day(i/daily, 8).Add(time.Duration(i%daily*600/daily+r) * time.Minute)
			if i == 0 {
				s.activate(at, name, w)
			}
			for k := range 2 {
				s.add(at.Add(time.Duration(1+2*k)*time.Minute), eventsv1.TypeLicenseValidated, name,
					w).SessionID = fmt.Sprint(i, r)
			}
		}
	}
	return s
}

// reconnects is a phone that gets an address of another range so many times a day.
func reconnects(daily int, session string) *scenario {
	s, d := licensed(1), dice(7)
	for n := range 5 {
		var w where
		for i := range 240 {
			if i%(240/daily) == 0 {
				w = far(d.roll(ranges))
			}
			s.add(day(n, 9).Add(time.Duration(i)*2*time.Minute), eventsv1.TypeLicenseHeartbeat, "phone",
				w).SessionID = session
		}
	}
	return s
}

// uplinks is a client without sessions, each call of which takes one of so many networks by chance; the interval
// varies by so many per cent.
func uplinks(n int, every time.Duration, jitter int) *scenario {
	s, d := licensed(1), dice(7)
	for at := day(0, 8); at.Before(day(3, 0)); {
		s.add(at, eventsv1.TypeLicenseValidated, "pod", far(d.roll(n)))
		at = at.Add(every * time.Duration(100-jitter+d.roll(2*jitter+1)) / 100)
	}
	return s
}

func honestStories() []story {
	stories := []story{
		{"forty people start once a day for a minute", func() *scenario {
			s := starts(3, 40, func(d, i int) string { return fmt.Sprint(d, i) })
			for _, o := range s.ordered() {
				s.add(o.At.Add(20*time.Second), eventsv1.TypeLicenseValidated, "pc",
					where{ip: o.IP}).SessionID = o.SessionID
			}
			return s
		}, map[Kind]Severity{AccountSharing: SeverityHigh}, "32 networks or more in a day"},
		{"twelve people work at once", func() *scenario {
			s := licensed(1)
			for i := range 12 {
				s.runs(day(0, 8).Add(time.Duration(i)*time.Minute), day(0, 16), 20*time.Minute, "pc", far(i), "")
			}
			return s
		}, map[Kind]Severity{AccountSharing: SeverityHigh}, "same hardware id"},
		{"two copies call each other minute, by chance", func() *scenario { return uplinks(2, 40*time.Second, 90) },
			map[Kind]Severity{AccountSharing: SeverityHigh}, "alternated"},

		{"twelve people one after another", func() *scenario {
			s := licensed(1)
			for i := range 12 {
				at := day(0, 8+float64(i)/2)
				s.runs(at, at.Add(30*time.Minute), 5*time.Minute, "pc", far(i), fmt.Sprint(i))
			}
			return s
		}, nil, ""},
		{"thirty worker processes of one server, as cloned computers of one office (docs/detection.md)",
			func() *scenario {
				s := licensed(1)
				for i := range 30 {
					at := day(0, 8).Add(time.Duration(7*i) * time.Second)
					s.runs(at, day(0, 16), 5*time.Minute, "server", officeLine, fmt.Sprint("worker-", i))
				}
				return s
			}, nil, ""},
		{"field engineer on eleven networks on two days", func() *scenario {
			s := licensed(1)
			for d := range 7 {
				for i := range 4 + d%2*7 {
					s.runs(day(d, 8+float64(i)), day(d, 8.9+float64(i)), 5*time.Minute, "laptop",
						where{ip: fmt.Sprintf("%d.%d.3.3", 60+i, 30+d)}, fmt.Sprint(d))
				}
			}
			return s
		}, nil, ""},
	}
	for _, daily := range []int{12, 40} {
		stories = append(stories, story{fmt.Sprintf("%d build jobs a day on each of four runners", daily),
			func() *scenario { return jobs(daily) }, nil, ""})
	}
	for _, daily := range []int{15, 60} {
		for _, session := range []string{"", "same"} {
			stories = append(stories, story{fmt.Sprintf("phone that reconnects %d times a day, session %q", daily,
				session), func() *scenario { return reconnects(daily, session) }, nil, ""})
		}
	}
	return stories
}

// uplinkStories are not among everyStory: a rhythm is lost where the events come in disorder, and what is left looks
// like copies.
func uplinkStories() (stories []story) {
	for _, n := range []int{2, 3} {
		for _, every := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute} {
			for _, jitter := range []int{0, 8} {
				stories = append(stories, story{fmt.Sprintf("pod on %d uplinks by chance every %v, +- %d %%", n, every,
					jitter), func() *scenario { return uplinks(n, every, jitter) }, nil, ""})
			}
		}
	}
	return stories
}
