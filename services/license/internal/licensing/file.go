package licensing

import (
	"context"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// File is a license file as far as the license has to know of it.
type File struct {
	ID string
	// KID names the key that signs it.
	KID string
	// Devices are the machines that it is for, and Machines their hardware ids as they are in it, which may be former
	// ones; none for any machine.
	Devices   []*Device
	Machines  []string
	Encrypted bool
	IssuedAt  time.Time
	ExpiresAt time.Time
	// Returnable tells that the application gives it up when its device leaves its seat.
	Returnable bool
}

// SeatForFile gives a device a seat, unless it has one, because a file is worth an activation. Errors: those of
// Activate, and the verdict on a file.
func (ch *Change) SeatForFile(c Caller, now time.Time) (*Device, error) {
	d, err := ch.device(c.Client, now)
	if err != nil {
		return nil, err
	}
	if d == nil || !d.IsActive {
		if err := ch.decideFile(c, d, now); err != nil {
			return nil, err
		}
		a, err := ch.activate(newDevice(ch.License.ID, *c.Client, now), c, now)
		if err != nil {
			return nil, err
		}
		d = ch.Devices[a.Device.HardwareID]
	}
	if c.PublicKey != nil {
		d.PublicKey = c.PublicKey
	}
	if err := ch.decideFile(c, d, now); err != nil {
		return nil, err
	}
	d.calledOffline(c.HardwareID)
	return d, nil
}

// SeatOffline gives a device a seat, unless it has one, which is held as long as the license can be used, but for
// EndlessOffline at most, or until the application gives up what it was given. kid names the key that signs that.
// Errors: those of SeatForFile.
func (s *Seats) SeatOffline(ctx context.Context, licenseID string, c Caller, kid string) (device Device, err error) {
	err = s.Store.Change(ctx, licenseID, []string{c.HardwareID}, func(ch *Change) error {
		now := s.Clock.Now()
		seated, err := ch.SeatForFile(c, now)
		if err != nil {
			return err
		}
		f := File{
			ID: seated.ID, KID: kid, Devices: []*Device{seated}, Machines: []string{c.HardwareID}, IssuedAt: now,
			ExpiresAt: ch.License.UsableUntil(), Returnable: true,
		}
		if end := now.Add(EndlessOffline); f.ExpiresAt.IsZero() || f.ExpiresAt.After(end) {
			f.ExpiresAt = end
		}
		ch.IssueFile(f, *c.Client, now)
		device = *seated
		return nil
	})
	return device, err
}

func (ch *Change) decideFile(c Caller, d *Device, now time.Time) error {
	r := c.Asks(OperationFile, &ch.License, d, now)
	if err := ch.user(&r); err != nil {
		return err
	}
	return Decide(r)
}

// StartForFile has the time of a license begin to run with a file for any machine, which only an administrator gives.
// Errors: the verdict on the file.
func (ch *Change) StartForFile(now time.Time) error {
	err := Decide(Request{Operation: OperationFile, License: &ch.License, Trusted: true, Now: now})
	if err == nil {
		ch.Start(now)
	}
	return err
}

// IssueFile notes a file: the seats of its machines are not freed while it lives, and revocation lists name them.
func (ch *Change) IssueFile(f File, c Client, now time.Time) {
	for _, d := range f.Devices {
		if f.Returnable {
			ch.holdReturnable(d, f.ExpiresAt)
		} else {
			ch.holdOffline(d, f.ExpiresAt)
		}
	}
	ch.OfflineHorizon = clock.Later(ch.OfflineHorizon, f.ExpiresAt)
	ch.Emit(&eventsv1.LicenseFileIssued{
		LicenseId:   ch.License.ID,
		FileId:      f.ID,
		Kid:         f.KID,
		HardwareIds: f.Machines,
		Encrypted:   f.Encrypted,
		ExpiresAt:   timestamp(f.ExpiresAt),
		Ip:          c.IP,
		ViaProxy:    c.ViaProxy,
		Version:     int32(ch.License.Version),
		License:     Snapshot(&ch.License, now),
	})
}

// Audit adds an entry about the license to the audit log.
func (ch *Change) Audit(by *Actor, action string, before, after map[string]any) {
	ch.Emit(audited(by, action, ch.License.ID, before, after))
}
