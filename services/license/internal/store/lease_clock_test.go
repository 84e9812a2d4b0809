package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// leaseStory is a license with three slots, and the leases that devices took last, by their names.
type leaseStory struct {
	*testing.T
	*replica
	leases *lease.Leases
	made   licensing.Created
	taken  map[string]lease.Grant
	began  time.Time
}

func newLeaseStory(t *testing.T, r *replica, d *db.DB) *leaseStory {
	f := licensing.DefaultFloatingTerms(3)
	f.Activation, f.BorrowMaxHours = licensing.LeaseActivationNone, 30*24
	return &leaseStory{
		T:       t,
		replica: r,
		leases:  r.leases(t, d, r.clock),
		made:    create(t, r, floating(f)),
		taken:   map[string]lease.Grant{},
		began:   r.clock.Now(),
	}
}

func (s *leaseStory) take(device string) error { return s.borrow(0)(device) }

// borrow takes a lease that is borrowed for so long, zero for not.
func (s *leaseStory) borrow(d time.Duration) func(device string) error {
	return func(device string) error {
		request := lease.Request{Client: client(device)}
		if d > 0 {
			request.BorrowUntil.At = s.clock.Now().Add(d)
		}
		g, err := s.leases.CheckOut(s.Context(), s.made.Key, request)
		if err == nil {
			s.taken[device] = g
		}
		return err
	}
}

func (s *leaseStory) proof(device string) lease.Proof {
	return lease.Proof{LicenseID: s.made.License.ID, LeaseID: s.taken[device].Lease.ID}
}

func (s *leaseStory) renew(device string) error {
	_, err := s.leases.Renew(s.Context(), s.proof(device), client(device))
	return err
}

func (s *leaseStory) release(device string) error {
	_, _, err := s.leases.Release(s.Context(), s.proof(device))
	return err
}

func (s *leaseStory) note(string) error {
	_, err := s.leases.NoteExpired(s.Context())
	return err
}

// live are the devices that hold slots, with the ends of their leases, counted from the beginning of the story.
func (s *leaseStory) live() string {
	page, slots, err := s.leases.Store.Leases(s.Context(), s.made.License.ID, licensing.Span{Page: 1, PerPage: 10})
	if err != nil || slots.InUse != len(page.Items) || slots.InUse > slots.Total {
		s.Errorf("%d of %d slots are in use, by %d leases, %v", slots.InUse, slots.Total, len(page.Items), err)
	}
	var all []string
	for _, l := range page.Items {
		all = append(all, fmt.Sprintf("%s %s", l.HardwareID, l.ExpiresAt.Sub(s.began).Round(time.Second)))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// TestLeasesWhenTheClockJumps: the clock of the host is put on by 14 days, and back, twice. What it ends has ended,
// what is borrowed for longer stays, and who renews nothing holds a slot no longer than a lease lasts.
func TestLeasesWhenTheClockJumps(t *testing.T) {
	const day = 24 * time.Hour
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		s := newLeaseStory(t, r, d)
		for i, step := range []struct {
			passes  time.Duration
			do      func(device string) error
			device  string
			refused error
			live    string
		}{
			{0, s.note, "", nil, ""},
			{0, s.take, "desk", nil, "desk 15m0s"},
			{0, s.borrow(10 * day), "laptop", nil, "desk 15m0s, laptop 240h0m0s"},
			{0, s.borrow(20 * day), "field", nil, "desk 15m0s, field 480h0m0s, laptop 240h0m0s"},
			{14 * day, s.renew, "desk", lease.ErrExpired, "field 480h0m0s"},
			{0, s.renew, "laptop", lease.ErrExpired, "field 480h0m0s"},
			{0, s.renew, "field", nil, "field 480h0m0s"},
			{0, s.take, "new", nil, "field 480h0m0s, new 336h15m0s"},
			{0, s.take, "crashes", nil, "crashes 336h15m0s, field 480h0m0s, new 336h15m0s"},
			{0, s.take, "late", licensing.ErrLeaseLimit, "crashes 336h15m0s, field 480h0m0s, new 336h15m0s"},
			{time.Minute, s.note, "", nil, "crashes 336h15m0s, field 480h0m0s, new 336h15m0s"},
			{-14 * day, s.renew, "laptop", lease.ErrExpired, "crashes 336h15m0s, field 480h0m0s, new 336h15m0s"},
			{0, s.renew, "new", nil, "crashes 336h15m0s, field 480h0m0s, new 16m0s"},
			{time.Minute, s.note, "", nil, "crashes 17m0s, field 480h0m0s, new 16m0s"},
			{14 * time.Minute, s.renew, "new", lease.ErrExpired, "crashes 17m0s, field 480h0m0s"},
			{time.Minute, s.renew, "crashes", lease.ErrExpired, "field 480h0m0s"},
			{0, s.take, "late", nil, "field 480h0m0s, late 32m0s"},
			{0, s.release, "field", nil, "late 32m0s"},
			{0, s.note, "", nil, "late 32m0s"},
			{-14 * day, s.renew, "late", nil, "late -335h28m0s"},
			{0, s.note, "", nil, "late -335h28m0s"},
			{0, s.renew, "field", lease.ErrReleased, "late -335h28m0s"},
			{14 * day, s.renew, "late", lease.ErrExpired, ""},
			{14 * day, s.take, "moment", nil, "moment 336h32m0s"}, // nothing else happens meanwhile
			{-14 * day, s.note, "", nil, "moment 32m0s"},
		} {
			r.clock.Advance(step.passes)
			if err := step.do(step.device); !errors.Is(err, step.refused) {
				t.Fatalf("step %d, %s: %v, want %v", i, step.device, err, step.refused)
			}
			if live := s.live(); live != step.live {
				t.Fatalf("after step %d, %s: %s, want %s", i, step.device, live, step.live)
			}
		}
	})
}
