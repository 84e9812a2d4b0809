package detect

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// guess is an unknown key tried so many seconds after monday.
func guess(second int, key, hw, ip string) Observation {
	return Observation{EventID: fmt.Sprintf("g-%06d-%s", second, hw), Type: eventsv1.TypeLicenseValidationFailed,
		At: monday.Add(time.Duration(second) * time.Second), HardwareID: hw, IP: ip, ErrorCode: codeLicenseNotFound,
		KeyHash: key}
}

// success is a validation that went well.
func success(second int, hw, ip string) Observation {
	return Observation{EventID: fmt.Sprintf("s-%06d-%s", second, hw), Type: eventsv1.TypeLicenseValidated,
		At: monday.Add(time.Duration(second) * time.Second), LicenseID: "lic-" + hw, HardwareID: hw, IP: ip}
}

func playAddress(e Engine, obs []Observation) []Finding {
	var s AddressState
	var out []Finding
	for _, o := range obs {
		out = append(out, e.Address(&s, o)...)
	}
	return out
}

func proxied(obs func() []Observation) func() []Observation {
	return func() []Observation {
		out := obs()
		for i := range out {
			out[i].ViaProxy = true
		}
		return out
	}
}

type addressStory struct {
	name string
	obs  func() []Observation
	want Severity // "" for an honest one
}

func addressStories() []addressStory {
	const ip = "203.0.113.9"
	each := func(n, every int, hw func(i int) string) func() []Observation {
		return func() (obs []Observation) {
			for i := range n {
				obs = append(obs, guess(i*every, fmt.Sprintf("key-%d", i), hw(i), ip))
			}
			return obs
		}
	}
	one := func(int) string { return "guesser" }
	return []addressStory{
		{"twelve keys in a minute", each(12, 5, one), SeverityMedium},
		{"sixty keys by one device", each(60, 10, one), SeverityHigh},
		{"three hundred keys by changing devices",
			each(300, 1, func(i int) string { return fmt.Sprint("hw-", i) }), SeverityCritical},
		{"slow guesser, two keys an hour", each(60, 1800, one), SeverityMedium},
		{"no hardware id at all", each(40, 20, func(int) string { return "" }), SeverityHigh},
		{"guesser that finds a key", func() []Observation {
			return append(each(15, 10, one)(), success(200, "guesser", ip))
		}, SeverityCritical},
		{"guesser who shows a good key after every fifth guess", func() (obs []Observation) {
			for i := range 60 {
				for k := range 5 {
					obs = append(obs, guess(i*60+k*10, fmt.Sprintf("key-%d-%d", i, k), "guesser", ip))
				}
				obs = append(obs, success(i*60+50, "guesser", ip))
			}
			return obs
		}, SeverityCritical},
		{"guesser who moves a seat on after every fifth guess", func() (obs []Observation) {
			for i := range 80 {
				hw := fmt.Sprint("seat-", i)
				for k := range 5 {
					obs = append(obs, guess(i*60+k*10, fmt.Sprintf("key-%d-%d", i, k), hw, ip))
				}
				obs = append(obs, success(i*60+50, hw, ip))
			}
			return obs
		}, SeverityHigh},
		{"guesser behind a busy office", func() (obs []Observation) {
			for i := range 300 {
				obs = append(obs, success(i, fmt.Sprint("colleague-", i), ip))
			}
			for i := range 80 {
				obs = append(obs, guess(400+i*5, fmt.Sprint("key-", i), "guesser", ip))
			}
			return obs
		}, SeverityHigh},

		{"typing slips, then success", func() (obs []Observation) {
			for i := range 5 {
				obs = append(obs, guess(i*20, fmt.Sprint("slip-", i), "pc", ip))
			}
			return append(obs, success(120, "pc", ip))
		}, ""},
		{"two wrong keys asked for all week by a device with a good one", func() (obs []Observation) {
			for i := range 700 {
				obs = append(obs, guess(i*900, fmt.Sprint("old-key-", i%2), "pc", ip), success(i*900+5, "pc", ip))
			}
			return obs
		}, ""},
		{"one wrong key asked for all week", func() (obs []Observation) {
			for i := range 2000 {
				obs = append(obs, guess(i*300, "old-key", "pc", ip))
			}
			return obs
		}, ""},
		{"campus of two hundred users", func() (obs []Observation) {
			for i := range 200 {
				hw := fmt.Sprint("student-", i)
				for k := range i % 3 {
					obs = append(obs, guess(i*60+k*15, fmt.Sprintf("slip-%d-%d", i, k), hw, ip))
				}
				obs = append(obs, success(i*60+50, hw, ip))
			}
			return obs
		}, ""},
		{"help desk tries nine keys over a day", each(9, 3600, one), ""},
		{"guesser in a private network who says to be a proxy", proxied(each(200, 5, one)), SeverityMedium},
		{"45 clients that mistype behind a proxy that nobody named",
			proxied(each(45, 60, func(i int) string { return fmt.Sprint("pc-", i) })), ""},
		{"known license with many failures", func() (obs []Observation) {
			for i := range 100 {
				o := guess(i, fmt.Sprint("key-", i), "pc", ip)
				o.LicenseID, o.ErrorCode = "lic-1", "LICENSE_EXPIRED"
				obs = append(obs, o)
			}
			return obs
		}, ""},
	}
}

func TestKeyEnumeration(t *testing.T) {
	for _, st := range addressStories() {
		t.Run(slug(st.name), func(t *testing.T) {
			obs := st.obs()
			found := playAddress(New(), obs)
			if got := worst(found)[KeyEnumeration]; got != st.want {
				t.Fatalf("severity %q, want %q\n%s", got, st.want, reasons(found))
			}
			for _, f := range found {
				checkFinding(t, f, obs)
				if strings.TrimPrefix(f.Subject, "ip:proxy ") != "203.0.113.9" && f.Subject != "ip:203.0.113.9" ||
					f.LicenseID != "" || !strings.Contains(f.Reason, f.Observed[:strings.Index(f.Observed, " in ")]) {
					t.Errorf("subject %q, license %q, reason %q, observed %q",
						f.Subject, f.LicenseID, f.Reason, f.Observed)
				}
			}
		})
	}
}

func TestEnumerationSurvivesRestartsAndDisorder(t *testing.T) {
	e := New()
	for _, st := range addressStories() {
		t.Run(slug(st.name), func(t *testing.T) {
			obs := st.obs()
			want := playAddress(e, obs)
			var got []Finding
			var s AddressState
			for _, o := range obs {
				data, err := s.MarshalBinary()
				if err != nil {
					t.Fatal(err)
				}
				var back AddressState
				if err := back.UnmarshalBinary(data); err != nil {
					t.Fatal(err)
				}
				got = append(got, e.Address(&back, o)...)
				s = back
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("with restarts (-without +with):\n%s", diff)
			}
			for seed := range uint64(3) {
				if diff := cmp.Diff(kinds(want), kinds(playAddress(e, shuffled(obs, seed)))); diff != "" {
					t.Errorf("seed %d (-in order +shuffled):\n%s", seed, diff)
				}
			}
		})
	}
}

func TestAddressKey(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.9": "203.0.113.9", "::ffff:203.0.113.9": "203.0.113.9", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64", "": "", "nobody": "",
	} {
		if got := AddressKey(in, false); got != want {
			t.Errorf("AddressKey(%q) = %q, want %q", in, got, want)
		}
	}
}

// Guesses spread over one IPv6 customer block are one guesser.
func TestEnumerationWithinIPv6Block(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var obs []Observation
	for i := range 30 {
		obs = append(obs, guess(i, fmt.Sprint("key-", i), "hw",
			fmt.Sprintf("2001:db8:1:2:%x::%x", rng.IntN(9999), rng.IntN(9999))))
	}
	found := playAddress(New(), obs)
	if len(found) == 0 || found[0].Subject != "ip:2001:db8:1:2::/64" {
		t.Errorf("findings %v, want one for the /64 block", found)
	}
}
