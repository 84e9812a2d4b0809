package licensing

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
)

// Patch changes the members that are not nil.
type Patch struct {
	CustomerID *string
	// GroupID null is none.
	GroupID Optional[string]
	TermsChange
	IsActive *bool
	IsTest   *bool
	// DeactivationReason goes with a license that is, or is made, inactive; "" is none.
	DeactivationReason *string
	Metadata           *json.RawMessage
}

// Update changes a license. A patch that changes nothing publishes nothing. Errors: VALIDATION_ERROR, which comes
// before the others, ErrNotFound, ErrVersionMismatch, GroupError.
func (s *Licenses) Update(ctx context.Context, by *Actor, licenseID string, p Patch) (License, error) {
	p.ShortLeases = s.ShortLeases
	if err := p.check(); err != nil {
		return License{}, err
	}
	var out License
	err := s.Store.Change(ctx, licenseID, nil, func(ch *Change) error {
		if err := ch.patch(by, p, s.Clock.Now()); err != nil {
			return err
		}
		out = ch.License
		return nil
	})
	return out, err
}

// Delete deactivates a license; it stays, with its devices, and can be revived. Errors: those of Update.
func (s *Licenses) Delete(ctx context.Context, by *Actor, licenseID, reason string) (License, error) {
	off := false
	p := Patch{IsActive: &off}
	if reason != "" {
		p.DeactivationReason = &reason
	}
	return s.Update(ctx, by, licenseID, p)
}

// check tells what is wrong with the members that are present, whatever license they are for: it tries them on one that
// is fine without them.
func (p *Patch) check() error {
	l := License{CustomerID: "any"}
	set(&l.CustomerID, p.CustomerID)
	setOr(&l.GroupID, p.GroupID, "")
	set(&l.Metadata, p.Metadata)
	problems := l.problems()
	if p.DeactivationReason != nil {
		checkText(problems, "deactivation_reason", *p.DeactivationReason, false)
	}
	if p.GroupID.given() && l.GroupID == "" {
		problems["group_id"] = "must be the group_id of a group, or null for none"
	}
	p.TermsChange.problems(problems)
	if len(problems) > 0 {
		return apierr.InvalidFields(problems)
	}
	return nil
}

// actionUpdate is what most changes are in the audit log.
const actionUpdate = "license.update"

// alteration is a change of a license that an administrator makes.
type alteration struct {
	make func(*License) error
	// devices adds devices with the change, and reports whether there are any; nil for a change that adds none.
	devices func() (added bool, err error)
	// action names it in the audit log, event tells of it; changed are the members that differ.
	action func(before, after *License) string
	event  func(before, after *License, changed []string) proto.Message
}

// alter makes a change with its event and its audit entry, or nothing of them where nothing differs.
func (ch *Change) alter(by *Actor, a alteration, now time.Time) error {
	ch.Announce(now) // of a status that the change may end before the schedule comes
	before, l := ch.License, &ch.License
	if err := a.make(l); err != nil {
		return err
	}
	if err := l.consistent(&before.Terms); err != nil {
		return err
	}
	if err := ch.joinGroup(before.GroupID); err != nil {
		return err
	}
	added := false
	if a.devices != nil {
		var err error
		if added, err = a.devices(); err != nil {
			return err
		}
	}
	was, is := audit.Changes(before.auditView(), l.auditView())
	changed := slices.Sorted(maps.Keys(is))
	if added {
		was["current_devices"], is["current_devices"] = before.CurrentDevices, l.CurrentDevices
		changed = append(changed, "devices")
	}
	if len(changed) == 0 {
		ch.License = before
		return nil
	}
	l.touch(now)
	if before.IsActive && !l.IsActive {
		l.Deactivation.Version, ch.OfflineVoid = l.Version, true
	}
	ch.Emit(a.event(&before, l, changed))
	ch.Emit(audited(by, a.action(&before, l), l.ID, was, is))
	return nil
}

// alter is Change.alter for a license by its id; it answers the license after it.
func (s *Licenses) alter(ctx context.Context, by *Actor, licenseID string, a alteration) (License, error) {
	var out License
	err := s.Store.Change(ctx, licenseID, nil, func(ch *Change) error {
		if err := ch.alter(by, a, s.Clock.Now()); err != nil {
			return err
		}
		out = ch.License
		return nil
	})
	return out, err
}

// patch applies a Patch that check has passed.
func (ch *Change) patch(by *Actor, p Patch, now time.Time) error {
	return ch.alter(by, patching(p, now), now)
}

// patching is a Patch as an alteration.
func patching(p Patch, now time.Time) alteration {
	return alteration{
		make: func(l *License) error {
			l.apply(&p, now)
			if p.DeactivationReason != nil && *p.DeactivationReason != "" && l.IsActive {
				return apierr.InvalidField("deactivation_reason", "the license is active; send it with is_active false")
			}
			return nil
		},
		action: changeAction,
		event: func(before, after *License, changed []string) proto.Message {
			return changeEvent(before, after, changed, now)
		},
	}
}

func (l *License) apply(p *Patch, now time.Time) {
	set(&l.CustomerID, p.CustomerID)
	setOr(&l.GroupID, p.GroupID, "")
	set(&l.IsTest, p.IsTest)
	set(&l.Metadata, p.Metadata)
	l.applyTerms(&p.TermsChange, now)
	if p.IsActive != nil && *p.IsActive != l.IsActive {
		l.IsActive = *p.IsActive
		l.Deactivation = &LicenseDeactivation{Version: l.LastDeactivation().Version}
		if !l.IsActive {
			l.Deactivation.At = now
		}
	}
	if !l.IsActive && p.DeactivationReason != nil {
		d := l.LastDeactivation()
		d.Reason = *p.DeactivationReason
		l.Deactivation = &d
	}
}

func changeEvent(before, after *License, changed []string, now time.Time) proto.Message {
	switch {
	case before.IsActive && !after.IsActive:
		return deactivated(after, now)
	case !before.IsActive && after.IsActive:
		return reactivated(after, now)
	}
	return updated(after, changed, now)
}

func changeAction(before, after *License) string {
	switch {
	case before.IsActive && !after.IsActive:
		return "license.deactivate"
	case !before.IsActive && after.IsActive:
		return "license.reactivate"
	}
	return actionUpdate
}
