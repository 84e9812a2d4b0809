package detect

import (
	"fmt"
	"testing"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// passedAround is a license whose seat goes to a new device elsewhere, so many a day.
func passedAround(seats, days, perDay int, at func(i int) where) *scenario {
	s := licensed(seats)
	s.activate(day(0, 8), "own", home)
	s.works(0, 14, "own", home)
	i := 0
	for d := 14; d < 14+days; d++ {
		for k := range perDay {
			hw, t := fmt.Sprintf("guest-%d", i), day(d, 8+float64(k)*12/float64(perDay))
			s.activate(t, hw, at(i))
			s.add(t.Add(10*time.Minute), eventsv1.TypeLicenseValidated, hw, at(i))
			s.deactivate(t.Add(50*time.Minute), hw, at(i))
			i++
		}
	}
	return s
}

// handedRound is a seat that sixty devices take, use and leave cleanly within the first minute of its license.
func handedRound(at func(i int) where) *scenario {
	s := licensed(1)
	for i := range 60 {
		hw, t := fmt.Sprintf("pc-%d", i), day(0, 8).Add(time.Duration(i)*time.Second)
		s.activate(t, hw, at(i))
		s.add(t.Add(200*time.Millisecond), eventsv1.TypeLicenseValidated, hw, at(i))
		s.deactivate(t.Add(400*time.Millisecond), hw, at(i))
	}
	return s
}

// household is one of many networks of people, by geo data.
func household(i int) where {
	w := far(i)
	return where{w.ip, "DE", 47 + float64(i%8), 7 + float64(i%7), 3320, "isp"}
}

// idle is a license whose devices, so many a day and each on another network, never give their seats back: the license
// frees them.
func idle(seats, perDay, networks int, hw func(day, k int) string) *scenario {
	s := licensed(seats)
	for d := range 10 {
		for k := range perDay {
			name, at, turn := hw(d, k), day(d, 8+12*float64(k)/float64(perDay)), 12*time.Hour/time.Duration(perDay)
			s.activate(at, name, far(k%networks))
			s.add(at.Add(turn/3).Truncate(time.Second), eventsv1.TypeLicenseHeartbeat, name, far(k%networks))
			s.add(at.Add(turn-turn/6).Truncate(time.Second), eventsv1.TypeDeviceCulled, name, where{}).By = ""
		}
	}
	return s
}

// rebound is a seat whose device is recognized by its components under another hardware id, so many times a day.
func rebound(perDay int, at func(day, k int) where) *scenario {
	s, last := licensed(1), "pc"
	s.activate(day(0, 7), last, at(0, 0))
	for d := range 10 {
		for k := range perDay {
			hw, w := fmt.Sprintf("pc-%d-%d", d, k), at(d, k)
			s.add(day(d, 8+float64(k)), eventsv1.TypeDeviceRebound, hw, w).FromHardwareID = last
			s.add(day(d, 8.1+float64(k)), eventsv1.TypeLicenseValidated, hw, w)
			last = hw
		}
	}
	return s
}

// roaming is a laptop of many hardware ids: a month long it is recognized on each of so many networks a day under the
// id that it has there.
func roaming(perDay int, id func(day, k int) string, at func(day, k int) where) *scenario {
	s, last := licensed(1), "pc"
	s.activate(day(0, 7), last, at(0, 0))
	for d := range 30 {
		for k := range perDay {
			hw, w, hour := id(d, k), at(d, k), 8+12*float64(k)/float64(perDay)
			if hw != last {
				s.add(day(d, hour), eventsv1.TypeDeviceRebound, hw, w).FromHardwareID = last
				last = hw
			}
			s.runs(day(d, hour+0.05), day(d, hour+2), 10*time.Minute, hw, w, "")
		}
	}
	return s
}

func TestDeviceChurn(t *testing.T) { tell(t, churnStories()) }

func churnStories() []story {
	return []story{
		{"one seat passed around the world", func() *scenario { return passedAround(1, 10, 2, far) },
			map[Kind]Severity{DeviceChurn: SeverityMedium}, "14 replaced devices"},
		{"three seats passed around", func() *scenario { return passedAround(3, 10, 3, far) },
			map[Kind]Severity{DeviceChurn: SeverityMedium}, "21 replaced devices"},
		{"forty devices in one day", func() *scenario { return passedAround(2, 1, 40, far) },
			map[Kind]Severity{DeviceChurn: SeverityMedium}, "37 replaced devices in 24 hours"},
		{"one seat passed around between people, by geo data",
			func() *scenario { return passedAround(1, 10, 2, household) },
			map[Kind]Severity{DeviceChurn: SeverityHigh}, "14 replaced devices"},
		{"a seat handed round in the first minute between people, by geo data",
			func() *scenario { return handedRound(household) },
			map[Kind]Severity{DeviceChurn: SeverityCritical}, "replaced devices in 24 hours"},
		{"support transfers the seat every day", func() *scenario {
			s := licensed(1)
			s.activate(day(0, 9), "pc-0", home)
			for d := range 14 {
				o := s.add(day(d, 10), eventsv1.TypeLicenseTransferred, "", where{})
				o.FromHardwareID, o.ToHardwareID = fmt.Sprintf("pc-%d", d), fmt.Sprintf("pc-%d", d+1)
				s.add(day(d, 11), eventsv1.TypeLicenseValidated, o.ToHardwareID, far(d))
			}
			return s
		}, map[Kind]Severity{DeviceChurn: SeverityMedium}, "replaced devices"},
		{"check-out loop with offline tokens", func() *scenario {
			s := licensed(1)
			for d := range 10 {
				for k := range 3 {
					hw, at := fmt.Sprintf("pc-%d", (d*3+k)%9), day(d, 9+float64(k))
					s.activate(at, hw, officeLine)
					s.add(at.Add(time.Minute), eventsv1.TypeLicenseOfflineTokenIssued, hw,
						officeLine).OfflineUntil = at.AddDate(0, 0, 3)
					s.deactivate(at.Add(2*time.Minute), hw, officeLine)
				}
			}
			return s
		}, map[Kind]Severity{DeviceChurn: SeverityMedium}, "offline token"},
		{"a seat handed round in the first minute, no geo data", func() *scenario {
			return handedRound(func(i int) where { return where{ip: fmt.Sprintf("203.%d.113.7", i)} })
		}, map[Kind]Severity{DeviceChurn: SeverityMedium}, "replaced devices in 24 hours"},
		{"the same from one network may be an installer under test", func() *scenario {
			return handedRound(func(int) where { return where{ip: "198.51.100.9"} })
		}, nil, ""},

		{"copied components rebind a seat to others all over the world", func() *scenario {
			return rebound(5, func(d, k int) where { return far(5*d + k) })
		}, map[Kind]Severity{DeviceChurn: SeverityCritical}, "replaced devices"},
		{"laptop whose hardware id changes with each dock", func() *scenario {
			return rebound(5, func(_, k int) where { return []where{home, officeLine, cafe}[k%3] })
		}, nil, ""},
		{"laptop with another hardware id on each of three networks", func() *scenario {
			return roaming(3, func(_, k int) string { return fmt.Sprintf("pc-%d", k) },
				func(_, k int) where { return []where{home, officeLine, cafe}[k] })
		}, nil, ""},
		{"laptop with another hardware id at each move between three networks", func() *scenario {
			return roaming(3, func(d, k int) string { return fmt.Sprintf("pc-%d-%d", d, k) },
				func(_, k int) where { return []where{home, officeLine, cafe}[k] })
		}, nil, ""},
		{"laptop of a traveler, with another hardware id on each new network", func() *scenario {
			return roaming(3, func(d, k int) string { return fmt.Sprintf("pc-%d-%d", d, k) },
				func(d, k int) where { return far(3*d + k) })
		}, nil, ""},
		{"laptop of a traveler behind a proxy that nobody named", func() *scenario {
			return roaming(3, func(d, k int) string { return fmt.Sprintf("pc-%d-%d", d, k) },
				func(int, int) where { return where{} })
		}, nil, ""},
		{"seat rebound to others whose networks nobody knows", func() *scenario {
			return roaming(6, func(d, k int) string { return fmt.Sprintf("pc-%d-%d", d, k) },
				func(int, int) where { return where{} })
		}, map[Kind]Severity{DeviceChurn: SeverityLow}, "replaced devices"},

		{"ci jobs on hosting networks", func() *scenario { return passedAround(2, 30, 25, buildRunner) }, nil, ""},
		{"ci without geo data is a note at most",
			func() *scenario { return passedAround(2, 20, 6, func(int) where { return officeLine }) },
			map[Kind]Severity{DeviceChurn: SeverityLow}, "replaced devices"},
		{"ci on the networks of a cloud that no geo data names is a note at most", func() *scenario {
			return passedAround(3, 10, 20, func(i int) where { return where{ip: buildRunner(i).ip} })
		}, map[Kind]Severity{DeviceChurn: SeverityLow}, "replaced devices"},
		{"ci whose seats are freed for idleness is a note at most",
			func() *scenario {
				return idle(3, 12, 4, func(d, k int) string { return fmt.Sprintf("job-%d-%d", d, k) })
			},
			map[Kind]Severity{DeviceChurn: SeverityLow}, "replaced devices"},
		{"team takes turns on seats that are freed for idleness",
			func() *scenario { return idle(1, 8, 4, func(_, k int) string { return fmt.Sprintf("pc-%d", k%4) }) },
			nil, ""},
		{"forty people take turns on a seat that is freed for idleness",
			func() *scenario { return idle(1, 40, 40, func(_, k int) string { return fmt.Sprintf("pc-%d", k) }) },
			map[Kind]Severity{DeviceChurn: SeverityCritical, AccountSharing: SeverityHigh}, "on 40 networks"},
		{"ten people at home take turns on a seat that is freed for idleness",
			func() *scenario { return idle(1, 10, 10, func(_, k int) string { return fmt.Sprintf("pc-%d", k) }) },
			map[Kind]Severity{DeviceChurn: SeverityLow}, "replaced devices"},
		{"forty people of one office take turns on a seat that is freed for idleness",
			func() *scenario {
				s := idle(1, 40, 1, func(_, k int) string { return fmt.Sprintf("pc-%d", k) })
				s.works(-9, -1, "first", far(0))
				return s
			}, map[Kind]Severity{DeviceChurn: SeverityLow}, "replaced devices"},
		{"forty jobs a day on a seat that is freed for idleness",
			func() *scenario {
				return idle(1, 40, 40, func(d, k int) string { return fmt.Sprint("job-", d, "-", k) })
			},
			map[Kind]Severity{DeviceChurn: SeverityLow}, "replaced devices"},
		{"ci beside a server that activates at each start", func() *scenario {
			s := passedAround(2, 30, 25, buildRunner)
			for h := range 30 * 24 {
				s.activate(day(14, float64(h)), "build-server", buildRunner(1))
			}
			return s
		}, nil, ""},
		{"reinstalled four times", func() *scenario {
			s := licensed(1)
			for d := range 4 {
				hw := fmt.Sprintf("install-%d", d)
				s.add(day(d, 9), eventsv1.TypeLicenseActivated, hw, home).DeviceName = "ANNA-PC"
				s.works(d, d+1, hw, home)
				s.deactivate(day(d, 20), hw, home)
			}
			return s
		}, nil, ""},
		{"developer reinstalls a virtual computer daily", func() *scenario {
			s := licensed(1)
			for d := range 20 {
				hw := fmt.Sprintf("vm-%d", d)
				s.add(day(d, 9), eventsv1.TypeLicenseActivated, hw, home).DeviceName = "devbox"
				s.works(d, d+1, hw, home)
				s.add(day(d, 20), eventsv1.TypeDeviceDeactivated, hw, home).By = "admin"
			}
			return s
		}, nil, ""},
		{"lab re-imaged before the term", func() *scenario {
			s := licensed(30)
			for i := range 30 {
				old, fresh := fmt.Sprintf("old-%d", i), fmt.Sprintf("new-%d", i)
				s.activate(day(0, 8+float64(i)/10), old, officeLine)
				for d := range 20 {
					s.add(day(d, 12+float64(i)/20), eventsv1.TypeLicenseValidated, old, officeLine)
				}
				s.add(day(21, 8+float64(i)/10), eventsv1.TypeDeviceDeactivated, old, officeLine).By = "admin"
				s.activate(day(21+i%2, 14+float64(i)/10), fresh, officeLine)
				for d := 23; d < 40; d++ {
					s.add(day(d, 12+float64(i)/20), eventsv1.TypeLicenseValidated, fresh, officeLine)
				}
			}
			return s
		}, nil, ""},
		{"company fills its seats", func() *scenario {
			s := licensed(20)
			for i := range 20 {
				s.activate(day(i/3, 9+float64(i%3)), fmt.Sprintf("pc-%d", i), far(i))
			}
			return s
		}, nil, ""},
		{"desktop and laptop share a seat", func() *scenario {
			s := licensed(1)
			for d := range 20 {
				s.activate(day(d, 9), "desktop", officeLine)
				s.works(d, d+1, "desktop", officeLine)
				s.deactivate(day(d, 17), "desktop", officeLine)
				s.activate(day(d, 19), "laptop", home)
				s.deactivate(day(d, 22), "laptop", home)
			}
			return s
		}, nil, ""},
	}
}
