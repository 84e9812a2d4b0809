package licensing

import (
	"context"
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
}

// New returns the use cases over deps.
func New(deps Deps) *Licensing { return &Licensing{deps} }

func (s *Licensing) record(licenseID string, at time.Time, msg proto.Message) {
	s.Telemetry.Record(Source, licenseID, at, msg)
}

// CheckDevice tells whether a device may act on a license now, and when the license ends. Errors: ErrNotFound, ErrInactive,
// ErrExpired, ErrNotActivated.
func (s *Licensing) CheckDevice(ctx context.Context, licenseID, hardwareID string) (*License, error) {
	l, _, _, err := s.usable(ctx, licenseID, hardwareID)
	return l, err
}

// usable is CheckDevice with the id of the device and whether memory answered.
func (s *Licensing) usable(ctx context.Context, licenseID, hardwareID string) (l *License, deviceID string, cached bool, err error) {
	l, licenseCached, err := s.Lookup.License(ctx, licenseID)
	if err != nil {
		return nil, "", false, err
	}
	if err := l.Check(s.Clock.Now()); err != nil {
		return l, "", licenseCached, err
	}
	deviceID, deviceCached, err := s.Lookup.ActiveDevice(ctx, licenseID, hardwareID)
	return l, deviceID, licenseCached && deviceCached, err
}
