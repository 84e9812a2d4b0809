package licensing

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const sameDevice = "must differ from from_hardware_id, and be no other id of that device"

// Move is the transfer of a seat from one hardware id to another.
type Move struct {
	From, To string
	// Force passes the transfer limit of the license, and does not count against it.
	Force bool
}

// Transfer moves a seat from one device to another in one step, the count unchanged, with the operations and parts of
// counters that the one had. Errors: ErrNotFound, ErrHardwareIDNotUnique when the other device is new, the verdicts on
// the license, ErrBlocked, ErrUnknownHardwareID, ErrActivated when the other device has a seat already.
func (s *Seats) Transfer(ctx context.Context, by *Actor, licenseID string, m Move) (Device, error) {
	from, to := m.From, m.To
	if err := checkTransfer(from, to); err != nil {
		return Device{}, err
	}
	caller, err := s.caller(ctx, &Client{HardwareID: to, Trusted: true})
	if err != nil {
		return Device{}, err
	}
	var moved Device
	err = s.Store.Change(ctx, licenseID, []string{from, to}, func(ch *Change) (err error) {
		now := s.Clock.Now()
		source, target, err := ch.movedBetween(m, now)
		if err == nil {
			err = ch.unblocked(caller, target, now)
		}
		if err != nil {
			return err
		}
		if moved, err = ch.transfer(m, source, target, now); err != nil {
			return err
		}
		from, to := source.HardwareID, moved.HardwareID
		ch.Emit(&eventsv1.LicenseTransferred{
			LicenseId:      licenseID,
			DeviceId:       moved.ID,
			FromHardwareId: from,
			ToHardwareId:   to,
			Version:        int32(ch.License.Version),
			CurrentDevices: int32(ch.License.CurrentDevices),
			MaxDevices:     int32(ch.License.MaxDevices),
		})
		ch.Emit(audited(by, "license.transfer", licenseID, map[string]any{"hardware_id": from},
			map[string]any{"hardware_id": to}))
		return nil
	})
	return moved, err
}

func checkTransfer(from, to string) error {
	problems := map[string]string{}
	checkText(problems, "from_hardware_id", from, true)
	checkText(problems, "to_hardware_id", to, true)
	if from == to && to != "" {
		problems["to_hardware_id"] = sameDevice
	}
	if len(problems) > 0 {
		return apierr.InvalidFields(problems)
	}
	return nil
}

// movedBetween are the devices that have, or had, the ids of a transfer; nil for those that are not there.
func (ch *Change) movedBetween(m Move, now time.Time) (source, target *Device, err error) {
	if source, err = ch.called(m.From, now); err == nil {
		target, err = ch.called(m.To, now)
	}
	if err == nil && source != nil && source == target {
		err = apierr.InvalidField("to_hardware_id", sameDevice)
	}
	return source, target, err
}

// unblocked refuses a device, nil for one that is new, whose seat would be of no use: it is blocked.
func (ch *Change) unblocked(c Caller, d *Device, now time.Time) error {
	r := Request{License: &ch.License, Now: now}
	deviceID := ""
	if d != nil {
		deviceID = d.ID
	}
	if block := c.block(&ch.License, deviceID, now); block != nil {
		r.Around = &Surroundings{Block: block}
	}
	return Decide(r)
}

func (ch *Change) transfer(m Move, source, target *Device, now time.Time) (Device, error) {
	to, ok := m.To, target != nil
	if target == nil && isPlaceholder(to) {
		return Device{}, &DeviceError{refusal{ErrHardwareIDNotUnique}, to}
	}
	if err := ch.License.Check(now); err != nil {
		return Device{}, err
	}
	if source == nil || !source.IsActive {
		return Device{}, &DeviceError{refusal{ErrUnknownHardwareID}, m.From}
	}
	if ok && target.IsActive {
		return Device{}, &RefusedError{
			refusal{errTargetSeated}, Request{License: &ch.License, Seated: true, Device: target, Now: now},
		}
	}
	if !ok && !m.Force && ch.License.rules().TransferLimit != nil {
		if !ch.License.transfersLeft() {
			return Device{}, &RefusedError{refusal{ErrTransfers}, Request{License: &ch.License, Now: now}}
		}
		ch.License.TransfersUsed++
	}
	if !ok {
		target = &Device{ID: newID(), LicenseID: ch.License.ID, HardwareID: to, FirstActivatedAt: now}
		ch.Devices[to] = target
	}
	if err := ch.partOffline(target, now); err != nil {
		return Device{}, err
	}
	source.IsActive, source.DeactivatedAt = false, now
	ch.Heirs = map[string]string{source.HardwareID: target.HardwareID}
	ch.License.touch(now)
	target.IsActive, target.ActivatedAt, target.LastSeenAt, target.DeactivatedAt = true, now, now, time.Time{}
	target.ActivatedVersion = ch.License.Version
	target.UserID = source.UserID
	target.EnrollmentKeyID = source.EnrollmentKeyID
	// the offline tokens of a seat that it had before are void
	target.OfflineUntil, target.TokensUntil = time.Time{}, time.Time{}
	return *target, nil
}

// ResetTransfers lets the transfers of a license count from nothing again. Errors: ErrNotFound.
func (s *Licenses) ResetTransfers(ctx context.Context, by *Actor, licenseID string) (License, error) {
	var out License
	err := s.Store.Change(ctx, licenseID, nil, func(ch *Change) error {
		l, now := &ch.License, s.Clock.Now()
		if used := l.TransfersUsed; used > 0 {
			l.TransfersUsed = 0
			l.touch(now)
			ch.Emit(updated(l, []string{"transfers_used"}, now))
			ch.Emit(audited(by, "license.reset_transfers", l.ID,
				map[string]any{"transfers_used": used}, map[string]any{"transfers_used": 0}))
		}
		out = *l
		return nil
	})
	return out, err
}

// isTransfer reports whether an activation of this device, nil for one that is new to the license, counts as a
// transfer: it takes a seat that another left.
func (l *License) isTransfer(known *Device) bool {
	return l.rules().TransferLimit != nil && known == nil && l.FreedSeats > 0
}

// transfersLeft reports whether the license lets one more transfer pass. The row transfers_left of verdict.go asks it.
func (l *License) transfersLeft() bool {
	limit := l.rules().TransferLimit
	return limit == nil || l.TransfersUsed < *limit
}

// takesSeat notes that a device, nil for one that is new, takes a seat that may have been freed.
func (l *License) takesSeat(known *Device) {
	if l.isTransfer(known) {
		l.TransfersUsed++
	}
	if l.FreedSeats > 0 {
		l.FreedSeats--
	}
}

// keepFreedSeats forgets them under terms that do not ask for them.
func (l *License) keepFreedSeats() {
	if l.rules().TransferLimit == nil {
		l.FreedSeats = 0
	}
}

// freesSeat notes that a seat was freed by deactivation.
func (l *License) freesSeat() {
	if l.rules().TransferLimit != nil {
		l.FreedSeats++
	}
}
