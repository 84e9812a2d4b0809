package usage

import (
	"context"
	"time"

	"github.com/google/uuid"

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
}

// License is what analytics knows of a license. Each part has its own version because events carry different parts.
type License struct {
	ID         string
	Identity   Versioned[Identity]
	MaxDevices Versioned[int]
	Seats      Versioned[int]
	Active     Versioned[bool]
	// ExpiresAt is zero for a perpetual license.
	ExpiresAt       Versioned[time.Time]
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

// Usable says whether the license may be used at the moment. One of which only use is known counts as active.
func (l *License) Usable(now time.Time) bool {
	if l.Active.Version > 0 && !l.Active.Value {
		return false
	}
	return l.ExpiresAt.Value.IsZero() || l.ExpiresAt.Value.After(now)
}

// Merge adds what o knows.
func (l *License) Merge(o *License) {
	l.Identity.merge(o.Identity)
	l.MaxDevices.merge(o.MaxDevices)
	l.Seats.merge(o.Seats)
	l.Active.merge(o.Active)
	l.ExpiresAt.merge(o.ExpiresAt)
	l.CreatedAt = earlier(l.CreatedAt, o.CreatedAt)
	l.FirstEventAt = earlier(l.FirstEventAt, o.FirstEventAt)
	l.LastSeen = later(l.LastSeen, o.LastSeen)
	l.LastValidatedAt = later(l.LastValidatedAt, o.LastValidatedAt)
	l.Validations += o.Validations
	l.Days = mergeDays(l.Days, o.Days)
}

// licenseOf is what one event tells about its license.
func licenseOf(e *Event) *License {
	l := &License{ID: e.LicenseID, FirstEventAt: e.At, Days: []Day{dayOf(e)}}
	if admits(e.Type) {
		l.LastSeen = e.At
	}
	if e.Type == eventsv1.TypeLicenseValidated {
		l.LastValidatedAt, l.Validations = e.At, 1
	}
	b, v := e, e.Version
	switch e.Type {
	case eventsv1.TypeLicenseCreated:
		l.CreatedAt = e.At
		l.setTerms(b)
		l.Seats = Versioned[int]{0, v}
	case eventsv1.TypeLicenseUpdated:
		l.setTerms(b)
	case eventsv1.TypeLicenseDeactivated:
		l.Active = Versioned[bool]{false, v}
	case eventsv1.TypeLicenseReactivated:
		l.Active = Versioned[bool]{true, v}
		l.MaxDevices = Versioned[int]{b.MaxDevices, v}
		l.ExpiresAt = Versioned[time.Time]{b.ExpiresAt, v}
	case eventsv1.TypeLicenseExpiring:
		l.ExpiresAt = Versioned[time.Time]{b.ExpiresAt, v}
	case eventsv1.TypeLicenseActivated, eventsv1.TypeLicenseTransferred, eventsv1.TypeDeviceDeactivated:
		l.MaxDevices = Versioned[int]{b.MaxDevices, v}
		l.Seats = Versioned[int]{b.CurrentDevices, v}
	}
	return l
}

func (l *License) setTerms(b *Event) {
	v := b.Version
	l.Identity = Versioned[Identity]{Identity{b.CustomerID, b.Product, b.LicenseType, b.IsTest}, v}
	l.MaxDevices = Versioned[int]{b.MaxDevices, v}
	l.Active = Versioned[bool]{b.IsActive, v}
	l.ExpiresAt = Versioned[time.Time]{b.ExpiresAt, v}
}

// find reads the license of an id in any notation.
func find(ctx context.Context, s Store, id string) (*License, error) {
	id, ok := canonical(id)
	if !ok {
		return nil, ErrLicenseNotFound
	}
	return s.License(ctx, id)
}

// canonical is the id in the usual notation of UUIDs, and whether it is one.
func canonical(id string) (string, bool) {
	parsed, err := uuid.Parse(id)
	return parsed.String(), err == nil && len(id) == 36
}
