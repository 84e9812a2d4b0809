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

// Deps is what the rules work with.
type Deps struct {
	Lookup    Lookup
	Store     Store
	Catalog   Catalog
	Seen      Seen
	Telemetry Telemetry
	Signer    Signer
	Clock     clock.Clock
}

// Licensing carries out the use cases.
type Licensing struct {
	Deps
	finds finds
}

// New returns the use cases over deps.
func New(deps Deps) *Licensing { return &Licensing{Deps: deps} }

func (s *Licensing) record(licenseID string, at time.Time, msg proto.Message) {
	s.Telemetry.Record(Source, licenseID, at, msg)
}

// Seat is a device that may act on its license now.
type Seat struct {
	License *License
	Device  *ActiveDevice
}

// LicenseVersion is what a token issued now carries. Of the two halves, one may have been read before the other.
func (s Seat) LicenseVersion() int { return max(s.License.Version, s.Device.ActivatedVersion) }

// revokes tells whether a token of that version is from before the device took its seat, or from before the license was last
// deactivated. Versions only grow, so such a token is void for good.
func (s Seat) revokes(licenseVersion int) bool {
	return licenseVersion < max(s.License.DeactivatedVersion, s.Device.ActivatedVersion)
}

// Granted are those of a token's features that the license still has.
func (s Seat) Granted(features []string) []string {
	granted := []string{} // never null
	for _, f := range features {
		if slices.Contains(s.License.Features, f) {
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

// CheckDevice tells whether a device may act on a license now, and so may have tokens. It asks the database: a token of a
// version that is no longer so would be void from the start. Errors: ErrNotFound, ErrInactive, ErrExpired, ErrNotActivated.
func (s *Licensing) CheckDevice(ctx context.Context, licenseID, hardwareID string) (Seat, error) {
	s.Lookup.Forget(licenseID, hardwareID)
	return s.seat(ctx, licenseID, hardwareID)
}

// CheckHolder tells whether the holder of a token may act on the license now. Errors: those of CheckDevice, and ErrToken when
// the token is from before the device took its seat or the license was deactivated.
func (s *Licensing) CheckHolder(ctx context.Context, h Holder) (Seat, error) {
	seat, err := s.seat(ctx, h.LicenseID, h.HardwareID)
	if err == nil && seat.revokes(h.LicenseVersion) {
		err = ErrToken.With("reason", "revoked")
	}
	return seat, err
}

// seen notes that a device was seen, and what it says of itself.
func (s *Licensing) seen(licenseID string, d *ActiveDevice, c Client, sessionData []byte) {
	s.Seen.Seen(Sighting{
		LicenseID: licenseID, HardwareID: c.HardwareID, DeviceID: d.ID, At: s.Clock.Now(), Stored: d.Profile, Said: c.profile(), SessionData: sessionData,
	})
}

func (s *Licensing) seat(ctx context.Context, licenseID, hardwareID string) (Seat, error) {
	l, _, err := s.Lookup.License(ctx, licenseID)
	if err != nil {
		return Seat{}, err
	}
	if err := l.Check(s.Clock.Now()); err != nil {
		return Seat{}, err
	}
	d, _, err := s.Lookup.ActiveDevice(ctx, licenseID, hardwareID)
	return Seat{License: l, Device: d}, err
}
