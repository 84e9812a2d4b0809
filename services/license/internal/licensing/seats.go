package licensing

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// Source names this service in its events.
const Source = "latchkey/license"

// Seats are the use cases of devices, and of administrators for them: who may act on a license (here), take a seat
// (activate.go), leave it (deactivate.go) and hand it over (transfer.go).
type Seats struct {
	Lookup    Lookup
	Store     Store
	Seen      Seen
	Telemetry Telemetry
	Blocks    Blocks
	Users     Users
	// Geo is nil where no database of countries is configured.
	Geo   Geo
	Clock clock.Clock
}

func (s *Seats) record(licenseID string, at time.Time, msg proto.Message) {
	s.Telemetry.Record(Source, licenseID, at, msg)
}

// KeyHash is the keyed hash of a license key as somebody typed it, in hexadecimal.
func (s *Seats) KeyHash(key string) string { return s.Lookup.KeyHash(NormalizeKey(key)) }

// Seat is a device that may act on its license now.
type Seat struct {
	License *License
	Device  *ActiveDevice
	// HardwareID is what the device is called now, which may be another id than that of the call.
	HardwareID string
}

// LicenseVersion is what a token issued now carries. License and device may have been cached at different times.
func (s Seat) LicenseVersion() int { return max(s.License.Version, s.Device.ActivatedVersion) }

// revokes reports whether a token of that version is from before the device took its seat, or from before the license
// was last deactivated. Versions only grow, so such a token is void permanently.
func (s Seat) revokes(licenseVersion int) bool {
	return licenseVersion < max(s.License.LastDeactivation().Version, s.Device.ActivatedVersion)
}

// Granted are those of a token's features that the license still has.
func (s Seat) Granted(features []string, now time.Time) []string {
	granted, usable := []string{}, s.License.UsableFeatures(now) // never null
	for _, f := range features {
		if slices.Contains(usable, f) {
			granted = append(granted, f)
		}
	}
	return granted
}

// Holder is the device that a token was issued to, and the version of the license then.
type Holder struct {
	LicenseID, HardwareID string
	LicenseVersion        int
}

// CheckDevice reports whether a device may act on a license now, and so may have tokens, for which its user must have
// signed in as for a validation. It asks the database: a token of a version that is no longer so would be void from the
// start. Errors: ErrNotFound, and the verdicts on its use.
func (s *Seats) CheckDevice(ctx context.Context, licenseID string, c Client) (Seat, error) {
	s.Lookup.Forget(licenseID, c.HardwareID)
	if c.User != nil {
		if _, err := c.User.license(); err != nil {
			return Seat{}, err
		}
	}
	seat, err := s.seat(ctx, licenseID, &c)
	if err != nil || seat.HardwareID == c.HardwareID {
		return seat, err
	}
	c.HardwareID = seat.HardwareID
	return s.CheckDevice(ctx, licenseID, c)
}

// CheckHolder reports whether the holder of a token, who is the client, may act on the license now. Errors: those of
// CheckDevice, and a TokenError when the token is from before the device took its seat or the license was deactivated.
func (s *Seats) CheckHolder(ctx context.Context, h Holder, c *Client) (Seat, error) {
	c.HardwareID, c.Holder = h.HardwareID, true
	seat, err := s.seat(ctx, h.LicenseID, c)
	if err == nil && seat.revokes(h.LicenseVersion) {
		err = RevokedToken()
	}
	return seat, err
}

// NoteSeen notes that a device with a seat was seen, and what it says of itself.
func (s *Seats) NoteSeen(d *Device, c Client) { s.seen(d.LicenseID, d.active(), c, nil) }

// seen notes that a device was seen, and what it says of itself.
func (s *Seats) seen(licenseID string, d *ActiveDevice, c Client, sessionData []byte) {
	s.Seen.Seen(Sighting{
		LicenseID:   licenseID,
		HardwareID:  c.HardwareID,
		DeviceID:    d.ID,
		At:          s.Clock.Now(),
		Stored:      d.Profile,
		Said:        c.profile(),
		SessionData: sessionData,
	})
}

func (s *Seats) seat(ctx context.Context, licenseID string, c *Client) (Seat, error) {
	l, _, err := s.Lookup.License(ctx, licenseID)
	if err == nil && !c.isFor(l) {
		err = ErrNotFound
	}
	if err != nil {
		return Seat{}, err
	}
	seat, _, err := s.seatOn(ctx, l, c, s.Clock.Now())
	return seat, err
}

// seatOn is the seat of a device that may act on the license now; cached tells that the device came from memory. The
// device of a license that nobody may use is not looked up, except for an enrollment key, which must be that of the
// device before anything else is asked.
func (s *Seats) seatOn(ctx context.Context, l *License, c *Client, now time.Time) (seat Seat, cached bool, err error) {
	s.announce(ctx, l, now)
	caller, err := s.caller(ctx, c)
	if err == nil {
		caller.released, err = s.releasedAt(ctx, l, c.AppVersion)
	}
	if err != nil {
		return Seat{}, false, err
	}
	r := Request{
		License: l, AppVersion: c.AppVersion, ReleasedAt: caller.released, Enrollment: c.enrolledActive(nil), Now: now,
	}
	if err := Decide(r); err != nil && r.Enrollment == nil {
		return Seat{}, false, err
	}
	seat = Seat{License: l, HardwareID: c.HardwareID}
	seat.Device, cached, err = s.Lookup.ActiveDevice(ctx, l.ID, c.HardwareID)
	if err == nil && seat.Device == nil && l.rules().Match != MatchNone {
		seat.HardwareID, seat.Device, err = s.recognize(ctx, l, c, now)
	}
	if err == nil && seat.Device == nil && l.LeaseIsSeat() {
		seat.HardwareID = c.HardwareID
		seat.Device, err = s.Lookup.LeasedDevice(ctx, l.ID, c.HardwareID)
	}
	if err != nil {
		return seat, cached, err
	}
	deviceID, owner := "", seat.Device.TakenBy().UserID
	if seat.Device != nil && caller.blocks != nil { // which alone ask for it
		deviceID = seat.Device.ID.String()
	}
	if err := s.represent(ctx, l, c, owner); err != nil {
		return seat, cached, err
	}
	r.Operation, r.Seated, r.Enrollment = OperationUse, seat.Device != nil, c.enrolledActive(seat.Device)
	r.of(c, owner)
	r.Around = caller.around(l, deviceID, now)
	return seat, cached, Decide(r)
}
