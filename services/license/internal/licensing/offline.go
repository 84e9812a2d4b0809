package licensing

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const defaultOfflineHours = 24

// EndlessOffline is for how long seats and the revocation list count with what lets a device run without the server
// and has no end: no license file lives longer.
const EndlessOffline = 10 * 365 * 24 * time.Hour

// OfflineToken is a token that lets a device run without the server.
type OfflineToken struct {
	ID         string
	LicenseID  string
	HardwareID string
	Features   []string
	// FeaturesUntil are the ends of those features that end before the token does.
	FeaturesUntil map[string]time.Time
	IssuedAt      time.Time
	ExpiresAt     time.Time
	// LicenseVersion is that of the license when the token was issued.
	LicenseVersion int
	// Hours is the life, in whole hours and rounded down: what was asked for, or less where the license ends before.
	Hours int
}

// Offline are the use cases of offline tokens.
type Offline struct {
	Seats  *Seats
	Store  Store
	Signer Signer
	Clock  clock.Clock
}

// IssueOfflineToken has a token signed for the device of an access token. hours nil means the default. Errors as
// CheckHolder, and OfflineHoursError.
func (s *Offline) IssueOfflineToken(ctx context.Context, h Holder, c Client, hours *int) (OfflineToken, string, error) {
	seat, err := s.Seats.CheckHolder(ctx, h, &c)
	if err != nil {
		return OfflineToken{}, "", err
	}
	h.HardwareID = seat.HardwareID
	t, err := newOfflineToken(seat.License, h, hours, s.Clock.Now())
	if err != nil {
		return OfflineToken{}, "", err
	}
	// Signed before the transaction begins: no peer service is called inside one. A token whose seat is gone by then is
	// thrown away.
	signed, err := s.Signer.SignOffline(ctx, t)
	if err != nil {
		return OfflineToken{}, "", err
	}
	err = s.Store.Change(ctx, h.LicenseID, []string{h.HardwareID}, func(ch *Change) error {
		return ch.noteOffline(t, c, s.Clock.Now())
	})
	return t, signed, err
}

func newOfflineToken(l *License, h Holder, hours *int, now time.Time) (OfflineToken, error) {
	life := min(defaultOfflineHours, l.MaxOfflineHours)
	if hours != nil {
		life = *hours
	}
	if life < 1 || life > l.MaxOfflineHours {
		return OfflineToken{}, &OfflineHoursError{refusal{errOfflineHours}, l.MaxOfflineHours}
	}
	// Tokens count in whole seconds (RFC 7519, NumericDate); what is promised must not end before what is signed does.
	issued := now.Truncate(time.Second)
	expires, err := l.OfflineEnd(issued, time.Duration(life)*time.Hour)
	if err != nil {
		return OfflineToken{}, err
	}
	return OfflineToken{
		ID:             newID(),
		LicenseID:      l.ID,
		HardwareID:     h.HardwareID,
		Features:       l.UsableFeatures(now),
		FeaturesUntil:  l.FeaturesUntil(now, expires),
		IssuedAt:       issued,
		ExpiresAt:      expires,
		LicenseVersion: h.LicenseVersion,
		Hours:          int(expires.Sub(issued) / time.Hour),
	}, nil
}

// OfflineEnd is when that ends which is given out at a whole second for a life without the server: not after the
// license, and at a whole second, too. Errors: ErrExpired where that leaves nothing.
func (l *License) OfflineEnd(issued time.Time, life time.Duration) (time.Time, error) {
	end, last := issued.Add(life), l.UsableUntil()
	if last.IsZero() || !end.After(last) {
		return end, nil
	}
	if end = last.Truncate(time.Second); !end.After(issued) {
		return time.Time{}, &RefusedError{refusal{ErrExpired}, Request{License: l, Seated: true, Now: last}}
	}
	return end, nil
}

// noteOffline remembers the token with the device, so that its seat is not freed while the token lives.
func (ch *Change) noteOffline(t OfflineToken, c Client, now time.Time) error {
	d := ch.Devices[t.HardwareID]
	if err := ch.represent(&c, d); err != nil {
		return err
	}
	r := Request{
		Operation: OperationUse, License: &ch.License, Seated: d != nil && d.IsActive, OfSeat: true, Device: d,
		Now: now,
	}
	r.of(&c, d.owner())
	if err := Decide(r); err != nil {
		return err
	}
	if seat := (Seat{License: &ch.License, Device: d.active()}); seat.revokes(t.LicenseVersion) {
		return RevokedToken()
	}
	if until := d.offlineElsewhere(d.HardwareID, now); !until.IsZero() {
		return &OfflineError{refusal{errOfflineElsewhere}, until}
	}
	d.OfflineHardwareID = ""
	ch.holdOffline(d, t.ExpiresAt)
	ch.Emit(&eventsv1.LicenseOfflineTokenIssued{
		LicenseId:     t.LicenseID,
		HardwareId:    t.HardwareID,
		TokenId:       t.ID,
		DurationHours: int32(t.Hours),
		ExpiresAt:     timestamp(t.ExpiresAt),
		Ip:            c.IP,
		ViaProxy:      c.ViaProxy,
	})
	return nil
}

// holdOffline notes that a device with a seat may run without the server until a time.
func (ch *Change) holdOffline(d *Device, until time.Time) {
	d.TokensUntil = clock.Later(d.TokensUntil, until)
	ch.holdReturnable(d, until)
}

// holdReturnable is holdOffline for what the device can give back.
func (ch *Change) holdReturnable(d *Device, until time.Time) {
	d.OfflineUntil = clock.Later(d.OfflineUntil, until)
	d.OfflineHorizon = clock.Later(d.OfflineHorizon, until)
	ch.OfflineHorizon = clock.Later(ch.OfflineHorizon, until)
}

// offlineElsewhere is until when a device may run without the server under another hardware id than this one, zero for
// not: a seat serves one machine at a time.
func (d *Device) offlineElsewhere(hardwareID string, now time.Time) time.Time {
	if !now.Before(d.OfflineHorizon) || cmp.Or(d.OfflineHardwareID, d.HardwareID) == hardwareID {
		return time.Time{}
	}
	return d.OfflineHorizon
}

// calledOffline notes the hardware id that what a device gets next for use without the server is for.
func (d *Device) calledOffline(hardwareID string) {
	if d.OfflineHardwareID = hardwareID; hardwareID == d.HardwareID {
		d.OfflineHardwareID = ""
	}
}

// partOffline gives what a device that has no seat once got under another hardware id its own device, which never
// comes back with this one: revocation lists go on to name it.
func (ch *Change) partOffline(d *Device, now time.Time) error {
	if d.offlineElsewhere(d.HardwareID, now).IsZero() {
		return nil
	}
	if err := ch.apart(d, d.OfflineHardwareID, d.OfflineHorizon); err != nil {
		return err
	}
	d.OfflineHorizon, d.OfflineHardwareID = time.Time{}, ""
	return nil
}

// apart has the device that a hardware id now belongs to, a new one if there is none, named until a time on revocation
// lists for what d got under that id.
func (ch *Change) apart(d *Device, hardwareID string, until time.Time) error {
	other := ch.Devices[hardwareID]
	if other == nil {
		var err error
		if other, err = ch.Reads.Named(hardwareID); err != nil {
			return err
		}
	}
	if other == nil || other.ID == d.ID { // d had this id until now
		other = &Device{
			ID: newID(), LicenseID: d.LicenseID, HardwareID: hardwareID, Profile: d.Profile, UserID: d.UserID,
			ActivatedAt: d.ActivatedAt, LastSeenAt: d.LastSeenAt, DeactivatedAt: d.DeactivatedAt,
		}
	}
	other.OfflineHorizon = clock.Later(other.OfflineHorizon, until)
	ch.Devices[hardwareID] = other
	return nil
}

// GoesOn notes that a device which has left its seat may run without the server until a time, under a hardware id that
// it has or had, by a lease that it borrowed: revocation lists name it.
func (ch *Change) GoesOn(d *Device, hardwareID string, until, now time.Time) error {
	if hardwareID == d.HardwareID {
		if err := ch.partOffline(d, now); err != nil {
			return err
		}
	} else if now.Before(d.OfflineHorizon) && d.OfflineHardwareID != hardwareID {
		return ch.apart(d, hardwareID, until)
	}
	d.calledOffline(hardwareID)
	d.OfflineHorizon = clock.Later(d.OfflineHorizon, until)
	return nil
}

// CheckOffline reports whether an offline token whose signature is good has been revoked since: a TokenError, whose
// cause is the verdict against its license or device where there is one.
func (s *Offline) CheckOffline(ctx context.Context, h Holder) (Seat, error) {
	seat, err := s.Seats.CheckHolder(ctx, h, &Client{})
	var verdict *RefusedError
	if errors.As(err, &verdict) || errors.Is(err, ErrNotFound) {
		return Seat{}, &TokenError{refusal{ErrToken}, apierr.From(err)}
	}
	return seat, err
}
