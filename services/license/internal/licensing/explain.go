package licensing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// Question is a call that is to be explained, not made.
type Question struct {
	// LicenseID or Key names the license.
	LicenseID  string
	Key        *string
	Operation  Operation
	HardwareID string
	// Product is the code of the product that the application asks for, AppVersion its version; both may be empty.
	Product, AppVersion string
	// Lease is what a lease needs, nil for other operations.
	Lease *LeaseNeed
	// At is the instant of the call; zero for now.
	At time.Time
}

// Explanation is the verdict on a call with all that led to it.
type Explanation struct {
	// Refusal is nil where the call would be allowed.
	Refusal *apierr.Error
	// Checks are those that the call asks, in their order. Those after the first that fails decide nothing any more.
	Checks []Answer
	// License is nil where none has the key or id, Device where it was never seen on the license.
	License *License
	Device  *Device
	At      time.Time
}

// Answer is what one check says.
type Answer struct {
	Check string
	// Passed is nil where there is no license to ask about.
	Passed          *bool
	Observed, Limit any
	// Reason is the message that the refused call answers, Remedy the part of it that says what to do; both are empty where
	// the check passed.
	Reason, Remedy string
}

// Explain tells what a call would be answered and why. It reads the database and changes nothing.
func (s *Licenses) Explain(ctx context.Context, q Question) (Explanation, error) {
	if q.At.IsZero() {
		q.At = s.Clock.Now()
	}
	l, err := s.asked(ctx, q)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{License: l, At: q.At}
	if l != nil && q.HardwareID != "" {
		if e.Device, err = s.Catalog.FindDevice(ctx, l.ID, q.HardwareID); err != nil {
			return Explanation{}, err
		}
	}
	r := Request{
		Operation:  q.Operation,
		License:    l,
		Seated:     e.Device != nil && e.Device.IsActive,
		Device:     e.Device,
		Lease:      q.Lease,
		AppVersion: q.AppVersion,
		Now:        q.At,
	}
	if l != nil && l.needsRelease(q.AppVersion) {
		if r.ReleasedAt, err = s.Catalog.ReleasedAt(ctx, l.Product, q.AppVersion); err != nil {
			return Explanation{}, err
		}
	}
	if l != nil && l.GroupID != "" {
		if r.Group, err = s.Catalog.Group(ctx, l.GroupID); err != nil {
			return Explanation{}, err
		}
	}
	e.judge(r, q.HardwareID)
	return e, nil
}

// asked is the license of a question, nil for none and for one of another product.
func (s *Licenses) asked(ctx context.Context, q Question) (*License, error) {
	l, err := s.named(ctx, q)
	if l != nil && q.Product != "" && l.Product != q.Product {
		return nil, err
	}
	return l, err
}

func (s *Licenses) named(ctx context.Context, q Question) (*License, error) {
	if q.Key == nil {
		l, err := s.Catalog.Find(ctx, q.LicenseID)
		if errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		return &l, err
	}
	found, err := s.Catalog.List(ctx, Filter{Key: q.Key, Page: 1, PerPage: 1}, q.At)
	if err != nil || len(found.Items) == 0 {
		return nil, err
	}
	return &found.Items[0], nil
}

// judge asks every check of the operation, and the one of a new device's id, which stands before the others where a device
// becomes known.
func (e *Explanation) judge(r Request, hardwareID string) {
	for i := range checks {
		if c := &checks[i]; c.asks(r.Operation) {
			e.add(c.answer(r), c.refusal)
		}
	}
	if r.License != nil && r.Operation&(OperationActivate|OperationLease) != 0 {
		ownID := r.Device != nil || !isPlaceholder(hardwareID)
		a := Answer{Check: "hardware_id_unique", Passed: &ownID, Observed: hardwareID}
		a.explain(ErrHardwareID)
		e.Checks = slices.Insert(e.Checks, 1, a)
		if !ownID {
			e.Refusal = ErrHardwareID
		}
	}
}

func (e *Explanation) add(a Answer, refusal *apierr.Error) {
	e.Checks = append(e.Checks, a)
	if e.Refusal == nil && a.Passed != nil && !*a.Passed {
		e.Refusal = refusal
	}
}

// answer asks the check. Without a license only the first one can be asked.
func (c *check) answer(r Request) Answer {
	a := Answer{Check: c.name}
	if r.License == nil && c != &checks[0] {
		return a
	}
	passed := c.passes(r)
	if a.Passed = &passed; r.License != nil {
		a.Observed, a.Limit = c.facts(r)
	}
	a.explain(c.refusal)
	return a
}

func (a *Answer) explain(refusal *apierr.Error) {
	if !*a.Passed {
		a.Reason = refusal.Message
		_, a.Remedy, _ = strings.Cut(refusal.Message, "; ")
	}
}
