package detect

import (
	"fmt"
	"slices"
	"strings"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// KeyEnumeration is one address that tries many keys.
const KeyEnumeration Kind = "key_enumeration"

var enumerationDetector = detector{
	kind: KeyEnumeration, version: 3, weight: 0.75,
	finds:  "one address tries many unknown keys: ten an hour, 30 a day",
	spares: "the same wrong key again, a typing error, a campus behind one address",
	words: []string{
		enumerationUnknown: "an unknown key was tried",
		enumerationGuessed: "a device that had tried unknown keys got a valid one",
	},
}

// What enumeration keeps as evidence.
const (
	enumerationUnknown = iota
	enumerationGuessed
)

const (
	// keysPerHour (s) and keysPerDay (s) are the distinct unknown keys that an address may ask for. People who copy a
	// key wrongly produce 1 to 5.
	keysPerHour = 10
	keysPerDay  = 30
	// keysPerUser is added to both for each device that succeeded from the address within the day: behind one address
	// may sit a campus. maxUsersBonus caps that addition, so that one valid license per guess buys nothing.
	keysPerUser   = 0.1
	maxUsersBonus = 10
	// slipWithin and slipKeys: a device that succeeds this soon after at most so many distinct wrong keys had
	// mistyped. So many are forgiven a device in 24 hours, and maxSlips to all devices of an address: a campus with
	// two hundred slips has a bad day.
	slipWithin = 10 * time.Minute
	slipKeys   = 5
	maxSlips   = 200
	// proxyTimes raises both limits for an address that may be a proxy's: as many clients as an office has may each
	// mistype.
	proxyTimes  = 8
	maxAttempts = 256
	maxUsers    = 128
)

// AddressState is what the engine remembers of one address: at most 16 kB as bytes. The zero value is an address
// without history.
type AddressState struct {
	clock, first int64
	attempts     []attempt
	slips        []attempt // attempts forgiven as slips; they count against what may still be forgiven
	users        []user
	guessed      int64 // when a device that had guessed got a valid key
	trail        trail
}

// attempt is one distinct unknown key of the last 24 hours.
type attempt struct {
	Key, Device uint64
	At          int64
}

// user is a device that succeeded from the address in the last 24 hours.
type user struct {
	Device uint64
	Last   int64
}

func (s *AddressState) walk(c *codec) {
	c.version(enumerationDetector.version)
	c.int(&s.clock)
	c.clock = s.clock
	c.time(&s.first)
	c.time(&s.guessed)
	list(c, &s.attempts, maxAttempts, (*codec).attempt)
	list(c, &s.slips, maxSlips, (*codec).attempt)
	list(c, &s.users, maxUsers, (*codec).user)
	s.trail.walkTrail(c, enumerationDetector.words)
	c.end()
}

func (c *codec) attempt(a *attempt) { c.hash(&a.Key); c.hash(&a.Device); c.time(&a.At) }

func (c *codec) user(u *user) { c.hash(&u.Device); c.time(&u.Last) }

// MarshalBinary is like that of LicenseState.
func (s *AddressState) MarshalBinary() ([]byte, error) {
	c := codec{}
	s.walk(&c)
	return c.buf, c.err
}

// UnmarshalBinary is like that of LicenseState.
func (s *AddressState) UnmarshalBinary(data []byte) error {
	c, fresh := codec{buf: data, reading: true}, AddressState{}
	fresh.walk(&c)
	if c.err == nil {
		*s = fresh
	}
	return c.err
}

// Address feeds one observation to the state of its address; AddressKey names that state. Failures with an unknown
// key and successes both matter: the latter tell a busy office from a guesser. It finds key_enumeration: many
// distinct unknown keys. Left alone: repeats of one wrong key, a user who mistypes and then succeeds, many users
// behind one address.
//
// Successes at an address that has no state yet may be skipped (they only raise its limit a little), and a state
// untouched for 48 hours may be deleted.
func (e Engine) Address(s *AddressState, o Observation) []Finding {
	key := AddressKey(o.IP, o.ViaProxy)
	unknown := o.UnknownKey()
	if key == "" || o.At.IsZero() || !unknown && !succeeded(&o) {
		return nil
	}
	at := o.At.UnixMicro()
	if s.clock == 0 || at < s.first {
		s.first = at
	}
	s.clock = max(s.clock, at)
	s.forget()
	s.trail.closes(at)
	if !unknown {
		if !e.success(s, &o, at) {
			return nil
		}
	} else if !s.attempt(&o, at) {
		return nil
	}
	return e.judgeEnumeration(s, key, at)
}

// Empty says whether the address has no history.
func (s *AddressState) Empty() bool { return s.clock == 0 }

// UnknownKey says whether a key was tried that belongs to no license.
func (o *Observation) UnknownKey() bool {
	switch o.Type {
	case eventsv1.TypeLicenseValidationFailed, eventsv1.TypeLicenseActivationRefused, eventsv1.TypeLicenseTokenRefused:
		return o.LicenseID == "" && o.KeyHash != "" && (o.ErrorCode == "" || o.ErrorCode == codeLicenseNotFound)
	}
	return false
}

func succeeded(o *Observation) bool {
	return o.HardwareID != "" && (o.Type == eventsv1.TypeLicenseValidated || o.Type == eventsv1.TypeLicenseActivated ||
		o.Type == eventsv1.TypeLicenseHeartbeat || o.SeatedAlready())
}

func (s *AddressState) forget() {
	old := s.clock - microsPerDay
	s.attempts = slices.DeleteFunc(s.attempts, func(a attempt) bool { return a.At < old })
	s.slips = slices.DeleteFunc(s.slips, func(a attempt) bool { return a.At < old })
	s.users = slices.DeleteFunc(s.users, func(u user) bool { return u.Last < old })
}

// attempt takes in an unknown key and says whether it was a new one.
func (s *AddressState) attempt(o *Observation, at int64) bool {
	a := attempt{Key: digest(o.KeyHash), Device: digest(o.HardwareID), At: at}
	for _, known := range [][]attempt{s.attempts, s.slips} {
		if i := slices.IndexFunc(known, func(k attempt) bool { return k.Key == a.Key }); i >= 0 {
			known[i].At = max(known[i].At, at)
			return false
		}
	}
	if s.slip(a) {
		s.slips = append(s.slips, a)
		return false
	}
	s.attempts = push(s.attempts, a, maxAttempts)
	s.trail.note(o, enumerationUnknown, 24*time.Hour)
	return true
}

// slip says whether the success that explains an attempt arrived before it.
func (s *AddressState) slip(a attempt) bool {
	if a.Device == 0 || tried(s.attempts, a.Device) >= slipKeys || !s.forgives(a.Device) {
		return false
	}
	return slices.ContainsFunc(s.users, func(u user) bool {
		return u.Device == a.Device && u.Last >= a.At && u.Last-a.At <= micros(slipWithin)
	})
}

// forgives says whether one more attempt of a device may be taken for a slip: so many a day of each device, and of
// all devices of the address. Without an end to it, who has one good key would guess forever.
func (s *AddressState) forgives(device uint64) bool {
	return len(s.slips) < maxSlips && tried(s.slips, device) < slipKeys
}

// tried counts the attempts of a device.
func tried(attempts []attempt, device uint64) int {
	n := 0
	for _, a := range attempts {
		if a.Device == device {
			n++
		}
	}
	return n
}

// success takes in a device that got through: its few wrong keys were slips; after many it has guessed, and that is
// worth judging again.
func (e Engine) success(s *AddressState, o *Observation, at int64) bool {
	device := digest(o.HardwareID)
	s.user(device, at)
	n := tried(s.attempts, device)
	switch {
	case n == 0:
		return false
	case n <= slipKeys:
		s.forgive(device, at)
		return false
	case !e.reaches(n, keysPerHour) || s.guessed != 0 && at-s.guessed < microsPerDay:
		return false
	}
	s.guessed = at
	s.trail.note(o, enumerationGuessed, 24*time.Hour)
	return true
}

// Grown is the open finding if its figures have changed since it was told or taken from here.
func (s *AddressState) Grown() []Finding { return s.trail.takeGrown(nil) }

// forgive takes the wrong keys that a device tried just before its success at the given time for slips.
func (s *AddressState) forgive(device uint64, at int64) {
	s.attempts = slices.DeleteFunc(s.attempts, func(a attempt) bool {
		slip := a.Device == device && a.At <= at && at-a.At <= micros(slipWithin) && s.forgives(device)
		if slip {
			s.slips = append(s.slips, a)
		}
		return slip
	})
}

func (s *AddressState) user(device uint64, at int64) {
	for i := range s.users {
		if s.users[i].Device == device {
			s.users[i].Last = max(s.users[i].Last, at)
			return
		}
	}
	s.users = push(s.users, user{device, at}, maxUsers)
}

// judgeEnumeration weighs the hour and the day that end at the clock.
func (e Engine) judgeEnumeration(s *AddressState, key string, at int64) []Finding {
	hour := 0
	for _, a := range s.attempts {
		if a.At > s.clock-microsPerDay/24 {
			hour++
		}
	}
	bonus := min(keysPerUser*float64(len(s.users)), maxUsersBonus)
	times, proxied := 1.0, strings.HasPrefix(key, viaProxy)
	if proxied {
		times = proxyTimes
	}
	n, window, allowed := hour, "an hour", e.limit(keysPerHour)*times+bonus
	if day := e.limit(keysPerDay)*times + bonus; float64(n) < allowed && float64(len(s.attempts)) >= day {
		n, window, allowed = len(s.attempts), "24 hours", day
	}
	if float64(n) < allowed {
		return nil
	}
	score := excess(0.45, float64(n), allowed)
	guessed := s.guessed != 0 && at-s.guessed < microsPerDay
	switch {
	case proxied:
		score = min(score, 0.5) // one of its clients, or all of them together
	case guessed:
		score = max(score, 0.9)
	}
	f, told := s.trail.raise(&enumerationDetector, at, score, func(f *Finding) {
		f.Subject = addressPrefix + key
		f.BaselineDays = int((s.clock - s.first) / microsPerDay)
		s.describe(f, n, window, allowed, guessed)
	})
	if !told {
		return nil
	}
	return []Finding{f}
}

func (s *AddressState) describe(f *Finding, n int, window string, allowed float64, guessed bool) {
	f.Observed = fmt.Sprintf("%s in %s", count(n, "distinct unknown key"), window)
	f.Reason = fmt.Sprintf("%s tried %s in %s; %s succeeded from there in a day.",
		f.Subject[len(addressPrefix):], count(n, "distinct unknown key"), window, count(len(s.users), "device"))
	if guessed {
		f.Reason += " One that had tried many got a valid key."
	}
	f.Expected = Expected{Value: 1, High: allowed}
	f.Considered = []string{
		"typing slips: up to 5 wrong keys a day of a device that then succeeded were not counted",
		"retries: the same wrong key was counted once",
		fmt.Sprintf("many users behind one address: the limit was raised for %s", count(len(s.users), "device")),
	}
	if strings.HasPrefix(f.Subject, addressPrefix+viaProxy) {
		f.Considered = append(f.Considered,
			"a proxy that LATCHKEY_TRUSTED_PROXIES does not name: the limit was raised, its clients are not told apart")
	}
	f.Suggestion = "Limit or block the address at the proxy; if a key was found, issue the customer a new one."
}
