package detect

import (
	"fmt"
	"testing"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func TestAccountSharingOverNetworks(t *testing.T) { tell(t, spreadStories()) }

// dice picks from 0 to n-1, the same in every run.
type dice uint32

func (d *dice) roll(n int) int {
	*d = *d*1664525 + 1013904223
	return int(uint32(*d)>>8) % n
}

// starts lets one hardware id be used once a day on so many networks.
func starts(days, networks int, session func(d, i int) string) *scenario {
	s := licensed(1)
	s.activate(day(0, 7), "pc", far(0))
	for d := range days {
		for i := range networks {
			at := day(d, 8+10*float64(i)/float64(networks))
			s.add(at, eventsv1.TypeLicenseValidated, "pc", far(i)).SessionID = session(d, i)
		}
	}
	return s
}

// answered has each use after the first refused, with a code, as an activation.
func (s *scenario) answered(code string) *scenario {
	for i := range s.obs[1:] {
		s.obs[i+1].Type, s.obs[i+1].ErrorCode = eventsv1.TypeLicenseActivationRefused, code
	}
	return s
}

// wanders lets one hardware id be used every two minutes of working days, each time on one of the networks.
func wanders(session string, networks ...where) *scenario {
	s, d := licensed(1), dice(1)
	for at := day(0, 0); at.Before(day(6, 0)); at = at.Add(2 * time.Minute) {
		if h := at.Hour(); h >= 8 && h < 18 {
			s.add(at, eventsv1.TypeLicenseHeartbeat, "pc", networks[d.roll(len(networks))]).SessionID = session
		}
	}
	return s
}

// rounds lets one hardware id be used on the networks in turn.
func rounds(every time.Duration, session string, networks ...where) *scenario {
	s := licensed(1)
	for i, at := 0, day(0, 0); at.Before(day(6, 0)); i, at = i+1, at.Add(every) {
		s.add(at, eventsv1.TypeLicenseValidated, "pc", networks[i%len(networks)]).SessionID = session
	}
	return s
}

func many(n int) (w []where) {
	for i := range n {
		w = append(w, far(i))
	}
	return w
}

// carrier is the pools of a mobile carrier: six ranges, of each some blocks.
func carrier() (w []where) {
	for i := range 48 {
		pool := []string{"37.80", "37.81", "46.114", "80.187", "109.40", "109.41"}[i%6]
		w = append(w, where{ip: fmt.Sprintf("%s.%d.7", pool, 10+i)})
	}
	return w
}

// laptop moves over four networks a day, of two families each.
func laptop(session string) *scenario {
	s := licensed(1)
	for d := range 10 {
		for i := range 8 {
			w := []where{home, {ip: "192.0.2.33"}, officeLine, {ip: "80.187.4.1"}}[i/2]
			if i%2 == 1 {
				w = where{ip: fmt.Sprintf("2a0%d:db8:7::1", i)}
			}
			s.runs(day(d, 8+float64(i)), day(d, 9+float64(i)), 5*time.Minute, "laptop", w, session)
		}
	}
	return s
}

func spreadStories() []story {
	countries := []where{berlin, madrid, tokyo, paris, {"52.1.1.1", "US", 38.7, -78.2, 701, "isp"}}
	exit := where{"88.0.9.1", "ES", 40.42, -3.70, 3352, "business"}
	own := func(d, i int) string { return fmt.Sprintf("s-%d-%d", d, i) }
	same := func(int, int) string { return "same" }
	found := func(s Severity) map[Kind]Severity { return map[Kind]Severity{AccountSharing: s} }
	return []story{
		{"fifty people start once a day", func() *scenario { return starts(3, 50, own) }, found(SeverityHigh),
			"32 networks or more in a day"},
		{"fifty people start once a day with one session", func() *scenario { return starts(3, 50, same) },
			found(SeverityHigh), "32 networks or more in a day"},
		{"twelve people start once a day", func() *scenario { return starts(3, 12, own) }, found(SeverityMedium),
			"12 networks in a day"},
		{"fifty people whose application activates at each start",
			func() *scenario { return starts(3, 50, own).answered(codeAlreadyActivated) },
			found(SeverityHigh), "32 networks or more in a day"},
		{"fifty strangers who try to activate with a former key",
			func() *scenario { return starts(3, 50, own).answered(codeLicenseNotFound) }, nil, ""},
		{"fifty networks within a minute with one session", func() *scenario {
			s := licensed(1)
			for i := range 400 {
				s.add(day(0, 9).Add(time.Duration(i)*150*time.Millisecond), eventsv1.TypeLicenseValidated, "pc",
					far(i%50)).SessionID = "same"
			}
			return s
		}, found(SeverityHigh), "same hardware id"},
		{"fifty networks at random with one session", func() *scenario { return wanders("same", many(50)...) },
			found(SeverityHigh), "32 networks or more in a day"},
		{"five countries at random with one session", func() *scenario { return wanders("same", countries...) },
			found(SeverityCritical), "two distant places"},
		{"five countries in turn, each once in an hour", func() *scenario {
			return rounds(13*time.Minute, "", countries...)
		}, found(SeverityCritical), "two distant places"},

		{"laptop over four networks a day", func() *scenario { return laptop("") }, nil, ""},
		{"laptop over four networks a day with one session", func() *scenario { return laptop("same") }, nil, ""},
		{"a day at a fair on many networks", func() *scenario { return starts(1, 12, same) }, nil, ""},
		{"two laptops, each a day at a fair on many networks", func() *scenario {
			s := licensed(2)
			for d, laptop := range []string{"pc", "other"} {
				s.activate(day(d, 7), laptop, far(0))
				for i := range 12 {
					s.add(day(d, 8+float64(i)/2), eventsv1.TypeLicenseValidated, laptop, far(i)).SessionID = laptop
				}
			}
			return s
		}, nil, ""},
		{"phone that gets twenty networks of its carrier a day, one after the other", func() *scenario {
			s := licensed(1)
			for d := range 10 {
				for i := range 20 {
					at := day(d, 8+float64(i)/2)
					s.runs(at, at.Add(30*time.Minute), 5*time.Minute, "laptop", carrier()[(d+i)%48], "")
				}
			}
			return s
		}, nil, ""},
		{"nine networks at random without sessions, as a carrier with nine ranges has (docs/detection.md)",
			func() *scenario { return wanders("", many(9)...) }, nil, ""},
		{"carrier that gives each call another address", func() *scenario { return wanders("", carrier()...) },
			nil, ""},
		{"carrier that gives each call another address, with one session",
			func() *scenario { return wanders("same", carrier()...) }, nil, ""},
		{"carrier that gives each call another address beside a line at home",
			func() *scenario { return wanders("same", append(carrier(), home, home, home)...) }, nil, ""},
		{"carrier with many ranges that a geo database knows", func() *scenario {
			w := many(40)
			for i := range w {
				w[i].country, w[i].asn, w[i].kind = "DE", 3320, "mobile"
			}
			return wanders("same", w...)
		}, nil, ""},
		{"vpn to another country on and off with one session",
			func() *scenario { return rounds(7*time.Minute, "same", berlin, exit) }, nil, ""},
	}
}

// TestSpreadIsOneFinding: what goes on day by day is one finding, whatever the number of networks of each day.
func TestSpreadIsOneFinding(t *testing.T) {
	sc := starts(1, 50, func(_, i int) string { return fmt.Sprint(i) })
	for d := range 10 {
		for i := range 14 {
			sc.add(day(d+1, 8+float64(i)), eventsv1.TypeLicenseValidated, "pc", far(i))
		}
	}
	opened := 0
	for _, f := range play(New(), sc.license, sc.ordered()) {
		if f.Status == StatusNew {
			opened++
		}
	}
	if opened != 1 {
		t.Errorf("%d findings", opened)
	}
}
