package lease

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// story is a pool over a time that the test moves on. Devices hold no seat unless their names begin with "seated".
type story struct {
	t    *testing.T
	pool Pool
	next int
}

func newStory(t *testing.T, edit func(*licensing.FloatingTerms)) *story {
	f := licensing.DefaultFloatingTerms(2)
	f.Activation, f.BorrowMaxHours = licensing.LeaseActivationNone, 24
	edit(&f)
	s := &story{t: t}
	s.pool.License = licensing.License{ID: "l", IsActive: true, Terms: licensing.Terms{MaxDevices: 1, Floating: &f}}
	s.pool.GoesOn = map[Claim]bool{}
	s.pool.Now, s.pool.Devices = noon, map[string]*licensing.Device{"seated": {HardwareID: "seated", IsActive: true}}
	return s
}

// wait moves the clock on and counts the leases again, as the store does for each batch.
func (s *story) wait(d time.Duration) {
	s.pool.Now = s.pool.Now.Add(d)
	s.pool.InUse, s.pool.EarliestEnd = 0, time.Time{}
	for _, l := range s.pool.Named {
		if l.live(s.pool.Now) {
			s.pool.InUse++
			if s.pool.EarliestEnd.IsZero() || l.ExpiresAt.Before(s.pool.EarliestEnd) {
				s.pool.EarliestEnd = l.ExpiresAt
			}
		}
	}
}

func (s *story) take(device string, edits ...func(*Request)) (Grant, error) {
	s.next++
	r := &Request{Client: licensing.Client{HardwareID: device}}
	for _, edit := range edits {
		edit(r)
	}
	r.caller = licensing.Caller{Client: &r.Client}
	return s.pool.checkOut(fmt.Sprintf("lease-%d", s.next), r)
}

func (s *story) took(device string, edits ...func(*Request)) Lease {
	s.t.Helper()
	g, err := s.take(device, edits...)
	if err != nil {
		s.t.Fatalf("%s: %v", device, err)
	}
	return g.Lease
}

func (s *story) refused(err error, want *apierr.Error) {
	s.t.Helper()
	if !errors.Is(err, want) {
		s.t.Errorf("got %v, want %s", err, want.Code)
	}
}

// live are the devices that hold slots, in order.
func (s *story) live() string {
	var names []string
	for _, l := range s.pool.Named {
		if l.live(s.pool.Now) {
			names = append(names, l.HardwareID)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func borrow(d time.Duration) func(*Request) {
	return func(r *Request) { r.BorrowUntil.At = noon.Add(d) }
}

func same(*licensing.FloatingTerms) {}

func TestAnExpiredLeaseIsGoneAtItsInstant(t *testing.T) {
	s := newStory(t, same)
	first := s.took("a")
	s.took("b")
	_, err := s.take("c")
	s.refused(err, licensing.ErrLeaseLimit)
	s.wait(15*time.Minute - 1)
	_, err = s.take("c")
	s.refused(err, licensing.ErrLeaseLimit)
	s.wait(1)
	_, err = s.pool.renew(first.ID, licensing.Caller{})
	s.refused(err, ErrExpired)
	s.took("c")
	again := s.took("a")
	if again.ID == first.ID || s.live() != "a c" {
		t.Errorf("%s holds the slots, and a has %s again", s.live(), again.ID)
	}
}

func TestRenewalsGoOnWhileTheLicenseIsUsable(t *testing.T) {
	s := newStory(t, same)
	l := s.took("a")
	for range 3 {
		s.wait(14 * time.Minute)
		g, err := s.pool.renew(l.ID, licensing.Caller{})
		if err != nil || !g.Lease.ExpiresAt.Equal(s.pool.Now.Add(15*time.Minute)) || g.Lease.ID != l.ID {
			t.Fatalf("%+v, %v", g, err)
		}
	}
	s.pool.License.IsActive = false
	_, err := s.pool.renew(l.ID, licensing.Caller{})
	s.refused(err, licensing.ErrInactive)
	if s.live() != "a" {
		t.Errorf("%q holds a slot of a license that is switched off, want a to its end", s.live())
	}
	_, err = s.take("b")
	s.refused(err, licensing.ErrInactive)
	s.pool.License.IsActive, s.pool.License.Floating = true, nil
	_, err = s.pool.renew(l.ID, licensing.Caller{})
	s.refused(err, licensing.ErrNotFloating)
}

func TestEndsAreCutToTheEndOfGrace(t *testing.T) {
	s := newStory(t, same)
	s.pool.License.ExpiresAt, s.pool.License.GraceHours = noon.Add(-50*time.Minute), 1
	if l := s.took("a"); !l.ExpiresAt.Equal(noon.Add(10 * time.Minute)) {
		t.Errorf("ends %s after noon", l.ExpiresAt.Sub(noon))
	}
	if l := s.took("b", borrow(5*time.Hour)); !l.ExpiresAt.Equal(noon.Add(10*time.Minute)) ||
		!l.BorrowedUntil.Equal(l.ExpiresAt) {
		t.Errorf("borrowed until %s after noon, ends %s after", l.BorrowedUntil.Sub(noon), l.ExpiresAt.Sub(noon))
	}
}

func TestALeaseStartsTheTimeOfALicense(t *testing.T) {
	s := newStory(t, same)
	s.pool.License.FirstActivation, s.pool.License.DurationDays = true, 1
	if _, err := s.take("a", borrow(48*time.Hour)); err == nil || !s.pool.License.ExpiresAt.IsZero() {
		t.Errorf("%v, and the license ends at %s", err, s.pool.License.ExpiresAt)
	}
	s.took("a", borrow(24*time.Hour))
	s.wait(time.Hour)
	l := s.took("b", borrow(25*time.Hour))
	end := noon.Add(24 * time.Hour)
	if !s.pool.License.ExpiresAt.Equal(end) || !l.ExpiresAt.Equal(end) {
		t.Errorf("the license ends at %s, a lease of it at %s, want %s", s.pool.License.ExpiresAt, l.ExpiresAt, end)
	}
}

func TestBorrowing(t *testing.T) {
	s := newStory(t, same)
	for _, until := range []time.Duration{0, -time.Hour, 24*time.Hour + 1} {
		var refused *BorrowError
		if _, err := s.take("a", borrow(until)); !errors.As(err, &refused) || refused.MaxHours != 24 {
			t.Errorf("until %s: %v", until, err)
		}
	}
	l := s.took("a", borrow(24*time.Hour))
	s.wait(20 * time.Hour)
	if g, err := s.pool.renew(l.ID, licensing.Caller{}); err != nil || !g.Lease.ExpiresAt.Equal(l.ExpiresAt) {
		t.Errorf("a renewal ends a borrowed lease %s after noon, %v", g.Lease.ExpiresAt.Sub(noon), err)
	}
	s.wait(4*time.Hour - 1)
	if s.live() != "a" {
		t.Errorf("%q holds a slot", s.live())
	}
	s.pool.License.Floating.BorrowMaxHours = 0
	_, err := s.take("b", borrow(25*time.Hour))
	s.refused(err, licensing.ErrNotBorrowable)
}

func TestEviction(t *testing.T) {
	s := newStory(t, func(f *licensing.FloatingTerms) { f.Overflow = licensing.OverflowEvictOldest })
	a := s.took("a")
	s.wait(time.Second)
	b := s.took("b")
	s.wait(time.Second)
	if _, err := s.pool.renew(a.ID, licensing.Caller{}); err != nil {
		t.Fatal(err)
	}
	s.took("c")
	_, err := s.pool.renew(b.ID, licensing.Caller{})
	s.refused(err, ErrEvicted)
	if s.live() != "a c" || s.pool.InUse != 2 {
		t.Errorf("%q hold %d slots, want a and c: b was longest unseen", s.live(), s.pool.InUse)
	}
	s.wait(time.Second)
	s.took("a", borrow(time.Hour))
	s.took("c", borrow(time.Hour))
	_, err = s.take("d")
	s.refused(err, licensing.ErrLeaseLimit)
	s.wait(time.Hour) // what was borrowed is over
	s.took("d")
	s.took("e")
	s.pool.License.Floating.Slots = 1
	s.took("f")
	if s.live() != "f" {
		t.Errorf("%q hold one slot", s.live())
	}
}

func TestLeasesNeedSeatsWhereTheTermsSaySo(t *testing.T) {
	s := newStory(t, func(f *licensing.FloatingTerms) { f.Activation = licensing.LeaseActivationRequired })
	_, err := s.take("stranger")
	s.refused(err, licensing.ErrNotActivated)
	l := s.took("seated")
	s.pool.Devices["seated"].IsActive = false
	_, err = s.pool.renew(l.ID, licensing.Caller{})
	s.refused(err, licensing.ErrNotActivated)
	s = newStory(t, same)
	_, err = s.take("unknown")
	s.refused(err, licensing.ErrHardwareIDNotUnique)
}

// TestSessionsOfADevice: each holds a slot, and a lease given back is free for others at once.
func TestSessionsOfADevice(t *testing.T) {
	s := newStory(t, same)
	session := func(name string) func(*Request) { return func(r *Request) { r.SessionID = name } }
	one := s.took("a", session("1"))
	s.took("a", session("2"))
	if again := s.took("a", session("1")); again.ID != one.ID || s.pool.InUse != 2 {
		t.Errorf("%d slots, session 1 has %s and %s", s.pool.InUse, one.ID, again.ID)
	}
	_, err := s.take("a", session("3"))
	s.refused(err, licensing.ErrLeaseLimit)
	for range 2 {
		if l, _, err := s.pool.release(one.ID, byClient); err != nil || !l.EndedAt.Equal(noon) || s.pool.InUse != 1 {
			t.Errorf("%+v, %v; %d slots", l, err, s.pool.InUse)
		}
	}
	_, err = s.pool.renew(one.ID, licensing.Caller{})
	s.refused(err, ErrReleased)
	var ended *EndedError
	if !errors.As(err, &ended) || !ended.SlotFree {
		t.Errorf("%+v", ended)
	}
	s.took("b")
	_, err = s.pool.renew(one.ID, licensing.Caller{})
	if !errors.As(err, &ended) || ended.SlotFree {
		t.Errorf("%+v", ended)
	}
	_, err = s.pool.renew("another", licensing.Caller{})
	s.refused(err, ErrNotFound)
}

func TestEntitlementsOfLeases(t *testing.T) {
	s := newStory(t, func(f *licensing.FloatingTerms) { f.Slots = 5 })
	s.pool.License.Features = []string{"cad", "free"}
	s.pool.License.Entitlements = []licensing.Entitlement{{Code: "cad", Slots: 1}, {Code: "old", ExpiresAt: noon}}
	s.pool.Entitled = map[string]licensing.SlotUse{"cad": {}, "free": {}}
	claim := func(code string) func(*Request) { return func(r *Request) { r.Entitlement = code } }
	_, err := s.take("a", claim("nothing"))
	s.refused(err, licensing.ErrEntitlementMissing)
	_, err = s.take("a", claim("old"))
	s.refused(err, licensing.ErrEntitlementExpired)
	a := s.took("a", claim("cad"))
	s.took("a", claim("cad"))
	_, err = s.take("b", claim("cad"))
	s.refused(err, licensing.ErrLeaseLimit)
	s.took("b", claim("free"))
	_, err = s.take("b", claim("cad"))
	s.refused(err, licensing.ErrLeaseLimit)
	s.took("a", claim("free"))
	s.took("b", claim("cad"))
	if s.pool.InUse != 2 || s.pool.Entitled["cad"].InUse != 1 || s.pool.Entitled["free"].InUse != 1 {
		t.Errorf("%d slots, %v", s.pool.InUse, s.pool.Entitled)
	}
	s.pool.License.Features = nil
	_, err = s.pool.renew(a.ID, licensing.Caller{})
	s.refused(err, licensing.ErrEntitlementMissing)
}

// TestWhatIsBorrowedKeepsItsEntitlement: calls that share a transaction count as those that follow each other.
func TestWhatIsBorrowedKeepsItsEntitlement(t *testing.T) {
	s := newStory(t, func(f *licensing.FloatingTerms) { f.Slots = 5 })
	s.pool.License.Features = []string{"cad", "cam"}
	s.pool.License.Entitlements = []licensing.Entitlement{{Code: "cad", Slots: 1}, {Code: "cam", Slots: 1}}
	s.pool.Entitled = map[string]licensing.SlotUse{"cad": {}, "cam": {}}
	claim := func(code string) func(*Request) { return func(r *Request) { r.Entitlement = code } }
	counts := func(cad, cam int) {
		t.Helper()
		if s.pool.Entitled["cad"].InUse != cad || s.pool.Entitled["cam"].InUse != cam {
			t.Errorf("%+v, want %d and %d", s.pool.Entitled, cad, cam)
		}
	}
	a := s.took("a", claim("cad"), borrow(time.Hour))
	_, err := s.take("a", claim("cam"))
	s.refused(err, licensing.ErrOfflineTokenActive)
	counts(1, 0)
	if _, _, err := s.pool.release(a.ID, byClient); err != nil {
		t.Fatal(err)
	}
	counts(1, 0)
	_, err = s.take("b", claim("cad"))
	s.refused(err, licensing.ErrLeaseLimit)
	s.took("a", claim("cad"))
	counts(1, 0)
	s.took("a", claim("cam")) // this one is not borrowed, that from before is
	counts(1, 1)
	_, err = s.take("b", claim("cad"))
	s.refused(err, licensing.ErrLeaseLimit)
	s.took("a", claim("cad"))
	counts(1, 0)
	s.took("b", borrow(time.Hour))
	s.took("b", claim("cam"))
	counts(1, 1)
}

// TestRefusalsLeaveNoTrace: nothing is changed and nothing told.
func TestRefusalsLeaveNoTrace(t *testing.T) {
	s := newStory(t, func(f *licensing.FloatingTerms) { f.Slots = 1 })
	l := s.took("a")
	events, changed := len(s.pool.Events()), len(s.pool.Changed())
	s.wait(time.Minute)
	before := *s.pool.Named[0]
	_, err := s.take("b")
	s.refused(err, licensing.ErrLeaseLimit)
	_, err = s.take("a", borrow(100*time.Hour))
	s.refused(err, errBorrow)
	_, _, err = s.pool.release("another", byClient)
	s.refused(err, ErrNotFound)
	s.wait(time.Hour)
	_, err = s.pool.renew(l.ID, licensing.Caller{})
	s.refused(err, ErrExpired)
	if len(s.pool.Events()) != events || len(s.pool.Changed()) != changed || *s.pool.Named[0] != before {
		t.Errorf("%d events and %d changes more, the lease is %+v",
			len(s.pool.Events())-events, len(s.pool.Changed())-changed, *s.pool.Named[0])
	}
}

func TestWhatEventsTell(t *testing.T) {
	s := newStory(t, func(f *licensing.FloatingTerms) { f.Slots, f.Overflow = 1, licensing.OverflowEvictOldest })
	ago := 12500 * time.Millisecond
	s.took("a", func(r *Request) { r.deniedAgo = &ago })
	s.took("b")
	s.wait(15 * time.Minute)
	s.took("b") // its lease has expired, and nobody has noted it
	var told []string
	for _, msg := range s.pool.Events() {
		switch e := msg.(type) {
		case *eventsv1.LicenseLeased:
			told = append(told, fmt.Sprintf("leased %s %d/%d %.1f", e.GetHardwareId(), e.GetInUse(), e.GetSlots(),
				e.GetAfterDenialSeconds()))
		case *eventsv1.LicenseLeaseEvicted:
			told = append(told, fmt.Sprintf("evicted %s by %s", e.GetHardwareId(), e.GetByLeaseId()))
		case *eventsv1.LicenseLeaseExpired:
			told = append(told, "expired "+e.GetHardwareId())
		}
	}
	want := "leased a 1/1 12.5, evicted a by lease-2, leased b 1/1 0.0, expired b, leased b 1/1 0.0"
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDenialsAreRememberedForAMinute(t *testing.T) {
	var d denials
	d.note("l", "a", noon)
	if ago, ok := d.since("l", "a", noon.Add(time.Minute)); !ok || ago != time.Minute {
		t.Errorf("%s, %v", ago, ok)
	}
	if _, ok := d.since("l", "a", noon.Add(time.Minute+1)); ok {
		t.Error("a denial is remembered for longer than a minute")
	}
	if ago, ok := d.since("l", "a", noon.Add(-24*time.Hour)); ok {
		t.Errorf("a denial of later, before the clock was set back, is told as one of %s ago", ago)
	}
	for i := range 3 * denialsKept {
		d.note("l", fmt.Sprint(i), noon)
	}
	if len(d.at) > denialsKept {
		t.Errorf("%d denials are remembered", len(d.at))
	}
	d.note("l", "b", noon)
	d.forget("l", "b")
	if _, ok := d.since("l", "b", noon); ok {
		t.Error("a denial that a lease answered is remembered")
	}
}
