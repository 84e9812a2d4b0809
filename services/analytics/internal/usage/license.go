package usage

import (
	"context"
	"math"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Versioned is a value that a license's version dates: of two, the one of the higher version holds, whatever came
// first.
type Versioned[T any] struct {
	Value   T
	Version int64
}

func (v *Versioned[T]) merge(o Versioned[T]) {
	if o.Version > v.Version {
		*v = o
	}
}

// Identity is what only the creation and changes of a license tell.
type Identity struct {
	CustomerID, Product, Type string
	IsTest                    bool
	// Slots is as in detect.Observation.
	Slots int
}

// Span is when a license may be used; a zero time is none.
type Span struct {
	StartsAt time.Time
	// ExpiresAt is zero for a perpetual license. It may be used for GraceHours more.
	ExpiresAt  time.Time
	GraceHours int
	// SuspendedUntil is zero for a suspension without an end.
	SuspendedAt, SuspendedUntil time.Time
}

// UsableUntil is the end with grace; zero: none.
func (s Span) UsableUntil() time.Time {
	if s.ExpiresAt.IsZero() {
		return time.Time{}
	}
	return s.ExpiresAt.Add(time.Duration(s.GraceHours) * time.Hour)
}

func (s Span) holds(now time.Time) bool {
	suspended := !s.SuspendedAt.IsZero() && (s.SuspendedUntil.IsZero() || s.SuspendedUntil.After(now))
	return !suspended && !s.StartsAt.After(now) && (s.ExpiresAt.IsZero() || s.UsableUntil().After(now))
}

// License is what analytics knows of a license. Each part has its own version because events carry different parts.
type License struct {
	ID              string
	Identity        Versioned[Identity]
	MaxDevices      Versioned[int]
	Seats           Versioned[int]
	Active          Versioned[bool]
	Span            Versioned[Span]
	CreatedAt       time.Time
	FirstEventAt    time.Time
	LastSeen        time.Time
	LastValidatedAt time.Time
	// Validations counts all there ever were.
	Validations int64
	// Days are days of the license, oldest first: in a change those that it touches, before it is merged with what is
	// stored.
	Days []Day
}

// Unlimited is the MaxDevices of a license for any number of devices.
const Unlimited = math.MaxInt32

// Limit is a MaxDevices as answers have it: nil where it is Unlimited.
func Limit(maxDevices int) *int {
	if maxDevices == Unlimited {
		return nil
	}
	return &maxDevices
}

// SeatShare is the share of seats that is taken.
func SeatShare(taken int64, maxDevices int) float64 {
	if maxDevices == Unlimited {
		return 0
	}
	return Share(taken, int64(maxDevices))
}

// Usable says whether the license may be used at the moment. One of which only use is known counts as active.
func (l *License) Usable(now time.Time) bool {
	return (l.Active.Version == 0 || l.Active.Value) && l.Span.Value.holds(now)
}

// Merge adds what o knows.
func (l *License) Merge(o *License) {
	l.Identity.merge(o.Identity)
	l.MaxDevices.merge(o.MaxDevices)
	l.Seats.merge(o.Seats)
	l.Active.merge(o.Active)
	l.Span.merge(o.Span)
	l.CreatedAt = clock.Earlier(l.CreatedAt, o.CreatedAt)
	l.FirstEventAt = clock.Earlier(l.FirstEventAt, o.FirstEventAt)
	l.LastSeen = clock.Later(l.LastSeen, o.LastSeen)
	l.LastValidatedAt = clock.Later(l.LastValidatedAt, o.LastValidatedAt)
	l.Validations += o.Validations
	l.Days = mergeDays(l.Days, o.Days)
}

// licenseOf is what one event tells about its license.
func licenseOf(e *Event) *License {
	l := &License{ID: e.LicenseID, FirstEventAt: e.At, Days: []Day{dayOf(e)}}
	if admits(e) {
		l.LastSeen = e.At
	}
	if e.Type == eventsv1.TypeLicenseValidated {
		l.LastValidatedAt, l.Validations = e.At, 1
	}
	if e.Type == eventsv1.TypeLicenseCreated {
		l.CreatedAt = e.At
	}
	if e.Snapshot || tellsSeats(e.Type) {
		l.MaxDevices = Versioned[int]{e.MaxDevices, e.Version}
		l.Seats = Versioned[int]{e.CurrentDevices, e.Version}
	}
	if e.Snapshot {
		l.Identity = Versioned[Identity]{Identity{e.CustomerID, e.Product, e.LicenseType, e.IsTest, e.Slots}, e.Version}
		l.Active = Versioned[bool]{e.IsActive, e.Version}
		l.Span = Versioned[Span]{e.Span, e.Version}
	}
	return l
}

// tellsSeats says whether events of the type carry the seats of the license without the rest of it.
func tellsSeats(eventType string) bool {
	return eventType == eventsv1.TypeLicenseActivated || eventType == eventsv1.TypeLicenseTransferred ||
		eventType == eventsv1.TypeDeviceDeactivated || eventType == eventsv1.TypeDeviceCulled
}

// find reads the license of an id.
func find(ctx context.Context, s Store, id string) (*License, error) {
	id, ok := uid.Parse(id)
	if !ok {
		return nil, ErrLicenseNotFound
	}
	return s.License(ctx, id)
}
