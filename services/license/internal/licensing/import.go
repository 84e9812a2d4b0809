package licensing

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
)

// Import is a license that another system kept until now.
type Import struct {
	// New is what that system says of a license that is not here yet; its Key is not nil.
	New NewLicense
	// Change is the same for one that is here.
	Change Patch
	// TransfersUsed counts against the transfer limit of a license that is made.
	TransfersUsed *int
	Devices       []ImportedDevice
}

// ImportedDevice is a device that has a seat there, or had one.
type ImportedDevice struct {
	HardwareID, Name string
	IsActive         bool
	// UserID is the user who took the seat, empty for a license key.
	UserID string
	// Blocked devices are left out.
	Blocked bool
}

// CreateImported makes a license with its devices. Errors: VALIDATION_ERROR, ErrLimit for more devices than seats,
// ErrKeyExists, GroupError.
func (s *Licenses) CreateImported(ctx context.Context, by *Actor, n Import) (License, error) {
	now := s.Clock.Now()
	n.New.ShortLeases = s.ShortLeases
	if err := problemsOf(n.problems); err != nil {
		return License{}, err
	}
	policies := policyReader{reads: s.Reads}
	policy, err := policies.named(ctx, n.New.Policy)
	if err != nil {
		return License{}, err
	}
	made, err := n.New.license(policy, now)
	if err != nil {
		return License{}, err
	}
	devices, err := n.takeOver(&made.License, now)
	if err != nil {
		return License{}, err
	}
	rows := []NewRow{{
		License: made.License, Key: made.Key, Imported: true, Devices: devices,
		Events: func(l *License) []proto.Message {
			view := l.auditView()
			view["current_devices"] = l.CurrentDevices
			return []proto.Message{created(l, now), audited(by, "license.import", l.ID, nil, view)}
		},
	}}
	refused, err := s.Store.Create(ctx, rows)
	if err == nil {
		err = refused[0]
	}
	return rows[0].License, err
}

// takeOver gives a license that is being made the state that it had, and returns its devices. Its time begins to run if
// its terms wait for a device and there is one.
func (n *Import) takeOver(l *License, now time.Time) ([]Device, error) {
	if off := n.Change.IsActive; off != nil && !*off {
		l.IsActive, l.Deactivation = false, &LicenseDeactivation{At: now, Version: l.Version}
		set(&l.Deactivation.Reason, n.Change.DeactivationReason)
	}
	if l.rules().TransferLimit == nil && n.TransfersUsed != nil {
		return nil, apierr.InvalidField("transfers_used", "goes with transfer_limit")
	}
	set(&l.TransfersUsed, n.TransfersUsed)
	devices := make([]Device, 0, len(n.Devices))
	for _, d := range n.Devices {
		if d.Blocked {
			continue
		}
		devices = append(devices, d.device(l, now))
		if d.IsActive {
			l.CurrentDevices++
		}
	}
	if l.CurrentDevices > l.MaxDevices {
		return nil, tooManyImported(l)
	}
	if l.CurrentDevices > 0 && l.AwaitsStart() {
		l.StartedAt = now
		l.runFrom(now, now)
	}
	return devices, nil
}

func tooManyImported(l *License) error {
	return ErrLimit.WithMessagef(
		"with its active devices the license has %d, and max_devices is %d; raise it, or leave "+
			"out devices that are not used any more", l.CurrentDevices, l.MaxDevices)
}

// device is d on a license. It was seen now, as far as idle devices are concerned.
func (d *ImportedDevice) device(l *License, now time.Time) Device {
	taken := Device{
		ID:          newID(),
		LicenseID:   l.ID,
		HardwareID:  d.HardwareID,
		Profile:     Profile{Name: d.Name},
		IsActive:    d.IsActive,
		ActivatedAt: now,
		LastSeenAt:  now,
		UserID:      d.UserID,
	}
	if d.IsActive {
		taken.ActivatedVersion = l.Version
	} else {
		taken.DeactivatedAt = now
	}
	return taken
}

// UpdateImported makes a license that is here what an import says, and takes nothing from it: entitlements and counters
// that the import does not name stay, and so does every device that is known. changed are the members that differ.
// Errors: VALIDATION_ERROR, ErrNotFound, ErrLimit, GroupError.
func (s *Licenses) UpdateImported(
	ctx context.Context, by *Actor, licenseID string, n Import,
) (l License, changed []string, err error) {
	n.Change.ShortLeases = s.ShortLeases
	if err := problemsOf(n.problems); err != nil {
		return License{}, nil, err
	}
	if err := n.Change.check(); err != nil {
		return License{}, nil, err
	}
	var ids []string
	for _, d := range n.Devices {
		ids = append(ids, d.HardwareID)
	}
	err = s.Store.Change(ctx, licenseID, ids, func(ch *Change) error {
		before, seats := ch.License.auditView(), len(ch.Devices)
		if err := ch.takeImport(by, n, s.Clock.Now()); err != nil {
			return err
		}
		_, is := audit.Changes(before, ch.License.auditView())
		delete(is, "version")
		changed = slices.Sorted(maps.Keys(is))
		if len(ch.Devices) > seats {
			changed = append(changed, "devices")
		}
		l = ch.License
		return nil
	})
	return l, changed, err
}

func (ch *Change) takeImport(by *Actor, n Import, now time.Time) error {
	p := n.Change
	p.TermsChange = ch.License.keepingAll(p.TermsChange)
	p.DeactivationReason = nil // it is that of a license that is made inactive now
	if p.IsActive != nil && !*p.IsActive && ch.License.IsActive {
		p.DeactivationReason = n.Change.DeactivationReason
	}
	if len(ch.License.AllEntitlements())+len(ch.License.Counters) > 0 {
		if err := p.check(); err != nil { // of both, together, there may be too many
			return err
		}
	}
	var fresh []ImportedDevice
	seats := ch.License.CurrentDevices
	a := patching(p, now)
	a.devices = func() (added bool, err error) {
		fresh, err = ch.seatImported(n.Devices)
		return len(fresh) > 0, err
	}
	a.action = func(before, after *License) string {
		if action := changeAction(before, after); len(fresh) == 0 || action != actionUpdate {
			return action
		}
		return "license.import"
	}
	if err := ch.alter(by, a, now); err != nil {
		return err
	}
	if ch.License.CurrentDevices > seats {
		ch.Start(now)
	}
	for _, d := range fresh {
		taken := d.device(&ch.License, now)
		ch.Devices[d.HardwareID] = &taken
	}
	return nil
}

// keepingAll is c with the entitlements and counters that the terms have already beside its own.
func (t *Terms) keepingAll(c TermsChange) TermsChange {
	c = t.mergingEntitlements(c)
	if c.Features != nil && c.Entitlements == nil {
		var codes []string
		for _, e := range t.AllEntitlements() {
			codes = append(codes, e.Code)
		}
		for _, code := range *c.Features {
			if !slices.Contains(codes, code) {
				codes = append(codes, code)
			}
		}
		c.Features = &codes
	}
	if c.Counters != nil {
		merged := *t
		for _, counter := range *c.Counters {
			merged.Counters = merged.withCounter(counter)
		}
		c.Counters = &merged.Counters
	}
	return c
}

// seatImported gives seats to the devices that the license does not know, and returns them. Whether they may take part
// is not asked again, only whether there are seats for them.
func (ch *Change) seatImported(devices []ImportedDevice) (fresh []ImportedDevice, err error) {
	l, before := &ch.License, ch.License.CurrentDevices
	for _, d := range devices {
		former, err := ch.Reads.ByAlias(d.HardwareID)
		if err != nil {
			return nil, err
		}
		if _, known := ch.Devices[d.HardwareID]; known || former != nil || d.Blocked {
			continue
		}
		fresh = append(fresh, d)
		if d.IsActive {
			l.CurrentDevices++
		}
	}
	return fresh, ch.checkImported(l.CurrentDevices - before)
}

// checkImported refuses so many more seats than before if the license or its group has none for them.
func (ch *Change) checkImported(more int) error {
	l := &ch.License
	if more == 0 {
		return nil
	}
	if l.CurrentDevices > l.MaxDevices {
		return tooManyImported(l)
	}
	l.FreedSeats = max(0, l.FreedSeats-more)
	g, err := ch.group()
	if err == nil && g != nil && g.CurrentDevices+more > g.MaxDevices {
		err = &GroupError{refusal{ErrGroupLimit}, *g}
	}
	return err
}

// problems notes what is wrong with the state of the license, by its public names; its terms are checked elsewhere.
func (n *Import) problems(p map[string]string, _ string) {
	if n.TransfersUsed != nil {
		inRange(p, "transfers_used", *n.TransfersUsed, 0, MaxDevicesLimit)
	}
	if n.Change.DeactivationReason != nil && (n.Change.IsActive == nil || *n.Change.IsActive) {
		p["deactivation_reason"] = "goes with is_active false"
	}
	seen := map[string]bool{}
	for i, d := range n.Devices {
		path := fmt.Sprintf("devices[%d].", i)
		checkText(p, path+"hardware_id", d.HardwareID, true)
		checkText(p, path+"device_name", d.Name, false)
		switch {
		case seen[d.HardwareID]:
			p[path+"hardware_id"] = givenTwice
		case d.HardwareID != "" && isPlaceholder(d.HardwareID):
			p[path+"hardware_id"] = "is a placeholder that many computers report; leave the device out, it is " +
				"activated anew under an id of its own"
		}
		seen[d.HardwareID] = true
	}
}
