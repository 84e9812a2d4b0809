package detect

import (
	"fmt"
	"testing"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func TestAccountSharing(t *testing.T) { tell(t, sharingStories()) }

// copies is one installation that runs on so many networks at once, each with a heartbeat every 5 minutes.
func copies(n int, offset time.Duration, session string) *scenario {
	s := licensed(1)
	s.activate(day(0, 8), "pc", far(0))
	for d := range 2 {
		for i := range n {
			s.runs(day(d, 9).Add(time.Duration(i)*offset), day(d, 17), 5*time.Minute, "pc", far(i), session)
		}
	}
	return s
}

// TestCopiesOnManyNetworks demands that more copies than the networks that are remembered of a device hide nothing,
// and a session id that all of them send neither.
func TestCopiesOnManyNetworks(t *testing.T) {
	for n := 2; n <= maxStreams+4; n++ {
		for _, offset := range []time.Duration{0, 37 * time.Second, 5 * time.Minute / time.Duration(n),
			97 * time.Second} {
			for _, session := range []string{"", "same"} {
				if session != "" && n < manyNetworks && n*int(offset) >= int(4*time.Minute) {
					continue // may be one client that takes turns between its uplinks
				}
				sc := copies(n, offset, session)
				found := play(New(), sc.license, sc.ordered())
				if got := worst(found)[AccountSharing]; got != SeverityHigh {
					t.Errorf("%d networks, %v apart, session %q: %q, want high\n%s",
						n, offset, session, got, reasons(found))
				}
			}
		}
	}
}

// TestOverlapsBySensitivity: the overlaps that are expected, and the score at the first one more, go by the threshold.
func TestOverlapsBySensitivity(t *testing.T) {
	sc := copies(2, 97*time.Second, "")
	for i := range sc.obs {
		sc.obs[i].SessionID = sc.obs[i].IP
	}
	for factor, want := range map[float64]Expected{0.5: {High: 7}, 1: {High: 3}, 2: {High: 1}} {
		found := play(New().WithSensitivity(factor), sc.license, sc.ordered())
		if len(found) == 0 || found[0].Expected != want || found[0].Score != scoreSession {
			t.Errorf("sensitivity %v: want %+v of a score of %v\n%s", factor, want, scoreSession, reasons(found))
		}
	}
}

// floating is a license with one seat and slots for leases that need none, and workstations that run by these, one of
// them elsewhere.
func floating(slots, workstations int) *scenario {
	s := licensed(1)
	created := s.add(day(0, 0), eventsv1.TypeLicenseCreated, "", where{})
	created.Snapshot, created.Slots, created.MaxDevices = true, slots, 1
	for d := range 5 {
		for i := range workstations {
			w := officeLine
			if i == 0 {
				w = home
			}
			s.runs(day(d, 9), day(d, 17), 5*time.Minute, fmt.Sprintf("ws-%d", i), w, "")
		}
	}
	return s
}

func sharingStories() []story {
	copied := func(a, b where, offset time.Duration, session bool) *scenario {
		s := licensed(1)
		s.activate(day(0, 8), "pc", a)
		for d := range 10 {
			sa, sb := "", ""
			if session {
				sa, sb = fmt.Sprintf("a%d", d), fmt.Sprintf("b%d", d)
			}
			s.runs(day(d, 9), day(d, 17), 5*time.Minute, "pc", a, sa)
			s.runs(day(d, 10).Add(offset), day(d, 18), 5*time.Minute, "pc", b, sb)
		}
		return s
	}
	alternating := func(seq []where, every time.Duration, session func(i int) string) *scenario {
		s := licensed(1)
		s.activate(day(0, 0), "pc", seq[0])
		i := 0
		for at := day(0, 0); at.Before(day(14, 0)); at = at.Add(every) {
			s.add(at, eventsv1.TypeLicenseHeartbeat, "pc", seq[i%len(seq)]).SessionID = session(i)
			i++
		}
		return s
	}
	none := func(int) string { return "" }
	return []story{
		{"copied computer in two cities", func() *scenario { return copied(berlin, madrid, 97*time.Second, false) },
			map[Kind]Severity{AccountSharing: SeverityCritical}, "same hardware id"},
		{"copied computer with sessions and no geo data",
			func() *scenario { return copied(home, officeLine, 97*time.Second, true) },
			map[Kind]Severity{AccountSharing: SeverityCritical}, "two sessions"},
		{"copied computer without sessions or geo data",
			func() *scenario { return copied(home, officeLine, 97*time.Second, false) },
			map[Kind]Severity{AccountSharing: SeverityHigh}, "two rhythms"},
		{"one id flaps between two networks each minute",
			func() *scenario { return alternating([]where{home, officeLine}, time.Minute, none) },
			map[Kind]Severity{AccountSharing: SeverityHigh}, "alternated"},
		{"five devices run on two seats", func() *scenario {
			s := licensed(2)
			for d := range 7 {
				for i := range 5 {
					s.runs(day(d, 9), day(d, 15), 5*time.Minute, fmt.Sprintf("pc-%d", i), far(i), "")
				}
			}
			return s
		}, map[Kind]Severity{AccountSharing: SeverityCritical}, "5 devices ran at once"},
		{"friends hand a seat round", func() *scenario {
			s := licensed(1)
			for d := range 7 {
				for k := range 12 {
					hw, at := fmt.Sprintf("friend-%d", k%4), day(d, 8+float64(k))
					s.activate(at, hw, far(k%4))
					s.runs(at, at.Add(50*time.Minute), 10*time.Minute, hw, far(k%4), "")
					s.deactivate(at.Add(50*time.Minute), hw, far(k%4))
				}
			}
			return s
		}, map[Kind]Severity{AccountSharing: SeverityMedium}, "4 devices on 4 networks"},

		{"copied to four networks", func() *scenario { return copies(4, 37*time.Second, "") },
			map[Kind]Severity{AccountSharing: SeverityHigh}, "same hardware id"},
		{"copied to eight networks with one session", func() *scenario { return copies(8, 37*time.Second, "same") },
			map[Kind]Severity{AccountSharing: SeverityHigh}, "same hardware id"},

		{"phone roams between three networks one after another", func() *scenario {
			s := licensed(1)
			for i, at := 0, day(0, 8); at.Before(day(3, 0)); i, at = i+1, at.Add(20*time.Minute) {
				s.runs(at, at.Add(20*time.Minute), 5*time.Minute, "phone", far(i%3), "same")
			}
			return s
		}, nil, ""},
		{"three uplinks in turn without sessions", func() *scenario {
			return alternating([]where{home, officeLine, cafe}, 5*time.Minute, none)
		}, nil, ""},
		{"three uplinks in turn with one session", func() *scenario {
			return alternating([]where{home, officeLine, cafe}, 5*time.Minute, func(int) string { return "same" })
		}, nil, ""},
		{"vpn on and off with one session and no geo data", func() *scenario {
			s := licensed(1)
			for i, at := 0, day(0, 8); at.Before(day(2, 0)); i, at = i+1, at.Add(15*time.Minute) {
				s.runs(at, at.Add(15*time.Minute), time.Minute, "laptop", []where{home, {ip: "185.65.134.9"}}[i%2],
					"same")
			}
			return s
		}, nil, ""},
		{"build jobs of one image on one network", func() *scenario {
			s := licensed(1)
			s.activate(day(0, 0), "image", officeLine)
			for i := range 8 {
				s.runs(day(0, 8+float64(i)/50), day(2, 0), 5*time.Minute, "image", officeLine, "same")
			}
			return s
		}, nil, ""},
		{"traveler", func() *scenario {
			s := licensed(1)
			s.works(0, 5, "laptop", berlin)
			for i, w := range []where{madrid, paris, tokyo, munich, tokyo, berlin} {
				s.works(6+2*i, 8+2*i, "laptop", w)
			}
			return s
		}, nil, ""},
		{"laptop at home and at the office", func() *scenario {
			s := licensed(1)
			for d := range 30 {
				s.runs(day(d, 7), day(d, 8.5), 5*time.Minute, "laptop", home, "")
				s.runs(day(d, 9), day(d, 17), 5*time.Minute, "laptop", officeLine, "")
				s.runs(day(d, 18), day(d, 23), 5*time.Minute, "laptop", home, "")
			}
			return s
		}, nil, ""},
		{"provider changes the address every night", func() *scenario {
			s := licensed(1)
			for d := range 40 {
				s.runs(day(d, 4), day(d, 27), 15*time.Minute, "server", far(d*7), "")
			}
			return s
		}, nil, ""},
		{"ipv4 beside ipv6", func() *scenario {
			return alternating([]where{home, {ip: "2001:db8:7::1"}}, time.Minute, none)
		}, nil, ""},
		{"mobile carrier with two pools", func() *scenario {
			a := where{"80.187.1.1", "DE", 50.1, 8.7, 3320, "mobile"}
			b := where{"109.40.1.1", "DE", 52.5, 13.4, 3320, "mobile"}
			return alternating([]where{a, b, b, a, b}, 3*time.Minute, none)
		}, nil, ""},
		{"carrier pool without geo data", func() *scenario {
			return alternating([]where{{ip: "80.187.1.1"}, {ip: "80.187.9.1"}, {ip: "80.187.3.1"}}, time.Minute, none)
		}, nil, ""},
		{"two uplinks with one session", func() *scenario {
			return alternating([]where{home, officeLine, officeLine, home}, time.Minute, func(i int) string {
				return fmt.Sprintf("s%d", i/500)
			})
		}, nil, ""},
		{"two uplinks at random without sessions", func() *scenario {
			var seq []where
			x := uint32(7)
			for range 997 {
				x = x*1664525 + 1013904223
				seq = append(seq, []where{home, officeLine}[x>>31])
			}
			return alternating(seq, 5*time.Minute, none)
		}, nil, ""},
		{"two uplinks in turn", func() *scenario { return alternating([]where{home, officeLine}, 5*time.Minute, none) },
			nil, ""},
		{"shaky line fails over to mobile", func() *scenario {
			seq := []where{home, home, home, cafe, home, home, cafe, cafe, home, home, home, home, cafe, home}
			return alternating(seq, 5*time.Minute, none)
		}, nil, ""},
		{"vpn switched on and off", func() *scenario {
			return alternating([]where{berlin, vpnExit, berlin, berlin, vpnExit}, 5*time.Minute, none)
		}, nil, ""},
		{"team in four countries within its seats", func() *scenario {
			s := licensed(4)
			for i, w := range []where{berlin, paris, madrid, tokyo} {
				s.activate(day(0, 8), fmt.Sprintf("pc-%d", i), w)
				s.works(0, 20, fmt.Sprintf("pc-%d", i), w)
			}
			return s
		}, nil, ""},
		{"limit lowered below the devices in use", func() *scenario {
			s := licensed(2)
			for i := range 5 {
				s.works(0, 20, fmt.Sprintf("pc-%d", i), far(i))
			}
			for i := range s.obs {
				if dayIndex(s.obs[i].At) < 10 {
					s.obs[i].MaxDevices = 5
				} else {
					s.obs[i].MaxDevices = 2
				}
			}
			return s
		}, nil, ""},
		{"shuttle between two cities", func() *scenario {
			return alternating([]where{berlin, munich}, 2*time.Hour, none)
		}, nil, ""},
		{"floating license with its slots in use", func() *scenario { return floating(5, 5) }, nil, ""},
		{"one workstation more than a floating license has slots and seats", func() *scenario {
			return floating(4, 6)
		}, map[Kind]Severity{AccountSharing: SeverityMedium}, "6 devices ran at once on a license with 5 seats"},
		{"slots of a floating license lowered while in use", func() *scenario {
			s := floating(5, 5)
			s.add(day(3, 0), eventsv1.TypeLicenseUpdated, "", where{}).Snapshot = true
			return s
		}, nil, ""},
		{"hardware ids change within one office", func() *scenario {
			s := licensed(2)
			for d := range 7 {
				for i := range 5 {
					s.runs(day(d, 9), day(d, 15), 5*time.Minute, fmt.Sprintf("pc-%d", i), officeLine, "")
				}
			}
			return s
		}, nil, ""},
		{"one person moves the seat between two computers all day", func() *scenario {
			s := licensed(1)
			for d := range 10 {
				for k := range 12 {
					hw, w, at := "desktop", officeLine, day(d, 8+float64(k)/2)
					if k%2 == 1 {
						hw, w = "laptop", cafe
					}
					s.activate(at, hw, w)
					s.runs(at, at.Add(29*time.Minute), 5*time.Minute, hw, w, "")
					s.deactivate(at.Add(29*time.Minute), hw, w)
				}
			}
			return s
		}, nil, ""},
		{"colleagues lend the seat on one busy day", func() *scenario {
			s := licensed(1)
			for k := range 12 {
				hw, at := fmt.Sprintf("pc-%d", k%4), day(3, 8+float64(k))
				s.activate(at, hw, far(k%4))
				s.deactivate(at.Add(50*time.Minute), hw, far(k%4))
			}
			return s
		}, nil, ""},
		{"office moves", func() *scenario {
			s := licensed(5)
			for i := range 5 {
				s.works(0, 10, fmt.Sprintf("pc-%d", i), berlin)
				s.works(11, 30, fmt.Sprintf("pc-%d", i), munich)
			}
			return s
		}, nil, ""},
	}
}
