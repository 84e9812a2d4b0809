package licensing

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/proto/licensefile"
)

const (
	// MaxEnrollmentKeys is how many enrollment keys a license may have at a time.
	MaxEnrollmentKeys = 100

	enrollmentPrefix = "ENR-"
	// enrollmentSymbols are 130 bits: no hash of such a key needs a secret.
	enrollmentSymbols = 26
)

// EnrollmentKey is a key for the roll-out of a license to many devices. It activates new devices, and serves only those
// that came by it.
type EnrollmentKey struct {
	ID, LicenseID string
	MaskedKey     string
	Label         string
	// MaxDevices is how many devices may have seats by the key at a time, or Unlimited.
	MaxDevices int
	// Devices is how many have one. Where it matters it is read under the lock of the license.
	Devices int
	// ExpiresAt is zero for a key without an end.
	ExpiresAt time.Time
	CreatedAt time.Time
	// DeletedAt is zero for a key that was not deleted.
	DeletedAt time.Time
}

// Live reports whether the key works at a time, as far as the key alone says.
func (k *EnrollmentKey) Live(now time.Time) bool {
	return k.DeletedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// NewEnrollment is an enrollment key that has just been made. Nobody is shown the key again.
type NewEnrollment struct {
	EnrollmentKey
	Key string
}

// Enrollment is a call that came by an enrollment key.
type Enrollment struct {
	Key *EnrollmentKey
	// Foreign tells that the device came by another key.
	Foreign bool
}

// Enrolled is how an enrollment key stands to a device, nil for a call that came by a license key. d is nil for a
// device that is new to the license.
func (c *Client) Enrolled(d *Device) *Enrollment {
	if c.Enrollment == nil {
		return nil
	}
	return &Enrollment{Key: c.Enrollment, Foreign: d != nil && d.EnrollmentKeyID != c.Enrollment.ID}
}

// enrolledActive is Enrolled for what the hot path knows of a device.
func (c *Client) enrolledActive(d *ActiveDevice) *Enrollment {
	if c.Enrollment == nil {
		return nil
	}
	return &Enrollment{Key: c.Enrollment, Foreign: d != nil && d.TakenBy().EnrollmentKeyID != c.Enrollment.ID}
}

// admits reports whether the key serves the device, or has a seat for it.
func (e *Enrollment) admits(r Request) bool {
	switch {
	case e == nil:
		return true
	case e.Foreign || !e.Key.Live(r.Now):
		return false
	}
	return r.Operation&OperationActivate == 0 || r.Seated || e.Key.Devices < e.Key.MaxDevices
}

func (e *Enrollment) facts() (observed, limit any) {
	if e == nil {
		return nil, nil
	}
	return e.Key.Devices, countValue(e.Key.MaxDevices, Unlimited)
}

// enrollment is Client.Enrolled with the key as it is now, and the seats that were taken by it.
func (ch *Change) enrollment(c *Client, d *Device) (*Enrollment, error) {
	e := c.Enrolled(d)
	if e == nil {
		return nil, nil
	}
	key, err := ch.Reads.EnrollmentKey(e.Key.ID)
	if err == nil && key == nil {
		// It was deleted so long ago that nothing is left of it.
		key = &EnrollmentKey{ID: e.Key.ID, DeletedAt: ch.License.CreatedAt}
	}
	return &Enrollment{Key: key, Foreign: e.Foreign}, err
}

// WantedEnrollment is what an administrator says of an enrollment key to be made.
type WantedEnrollment struct {
	Label string
	// MaxDevices is nil for any number.
	MaxDevices *int
	// ExpiresAt is nil for no end.
	ExpiresAt *End
}

func (n *WantedEnrollment) check() error {
	p := map[string]string{}
	checkText(p, "label", n.Label, true)
	if n.MaxDevices != nil {
		devicesInRange(p, *n.MaxDevices)
	}
	if n.ExpiresAt != nil {
		yearProblem(p, "expires_at", n.ExpiresAt.At, "leave it out for a key without end")
	}
	if len(p) > 0 {
		return apierr.InvalidFields(p)
	}
	return nil
}

// AddEnrollmentKey makes an enrollment key of a license. Errors: VALIDATION_ERROR, ErrNotFound,
// ErrTooManyEnrollmentKeys.
func (s *Licenses) AddEnrollmentKey(
	ctx context.Context, by *Actor, licenseID string, n WantedEnrollment,
) (NewEnrollment, error) {
	if err := n.check(); err != nil {
		return NewEnrollment{}, err
	}
	var made NewEnrollment
	err := s.Store.Change(ctx, licenseID, nil, func(ch *Change) (err error) {
		if made, err = ch.newEnrollment(&n, s.Clock.Now()); err != nil {
			return err
		}
		ch.Keys = &KeyChange{Add: &made}
		ch.Emit(&eventsv1.LicenseEnrollmentKeyCreated{
			LicenseId: licenseID, EnrollmentKeyId: made.ID, Label: made.Label,
			License: Snapshot(&ch.License, made.CreatedAt),
		})
		ch.Emit(audited(by, "license.create_enrollment_key", licenseID, nil, made.auditView()))
		return nil
	})
	return made, err
}

func (ch *Change) newEnrollment(n *WantedEnrollment, now time.Time) (NewEnrollment, error) {
	live, err := ch.Reads.LiveEnrollmentKeys()
	if err != nil {
		return NewEnrollment{}, err
	}
	if live >= MaxEnrollmentKeys {
		return NewEnrollment{}, ErrTooManyEnrollmentKeys
	}
	key := newEnrollmentKey()
	made := NewEnrollment{Key: key, EnrollmentKey: EnrollmentKey{
		ID:         newID(),
		LicenseID:  ch.License.ID,
		MaskedKey:  key[:len(enrollmentPrefix)+4] + keyMask,
		Label:      n.Label,
		MaxDevices: Unlimited,
		CreatedAt:  now,
	}}
	set(&made.MaxDevices, n.MaxDevices)
	if n.ExpiresAt != nil {
		if made.ExpiresAt = n.ExpiresAt.In(ch.License.Location()); !made.ExpiresAt.After(now) {
			return NewEnrollment{}, apierr.InvalidField("expires_at", untilPast)
		}
	}
	return made, nil
}

func newEnrollmentKey() string {
	var random [enrollmentSymbols]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	for i, b := range random {
		random[i] = licensefile.KeyAlphabet[b&31]
	}
	return enrollmentPrefix + string(random[:])
}

// DeleteEnrollmentKey ends an enrollment key. The devices that came by it keep their seats, and need the license key
// from then on. Errors: ErrNotFound, ErrEnrollmentKeyNotFound.
func (s *Licenses) DeleteEnrollmentKey(ctx context.Context, by *Actor, licenseID, id string) (EnrollmentKey, error) {
	var gone EnrollmentKey
	err := s.Store.Change(ctx, licenseID, nil, func(ch *Change) error {
		key, err := ch.Reads.EnrollmentKey(id)
		if err != nil {
			return err
		}
		if key == nil || !key.DeletedAt.IsZero() {
			return ErrEnrollmentKeyNotFound
		}
		gone = *key
		gone.DeletedAt = s.Clock.Now()
		ch.Keys = &KeyChange{Delete: id}
		ch.Emit(enrollmentKeyDeleted(&ch.License, &gone))
		ch.Emit(audited(by, "license.delete_enrollment_key", licenseID, gone.auditView(), nil))
		return nil
	})
	return gone, err
}

func enrollmentKeyDeleted(l *License, k *EnrollmentKey) proto.Message {
	return &eventsv1.LicenseEnrollmentKeyDeleted{
		LicenseId: l.ID, EnrollmentKeyId: k.ID, Label: k.Label, License: Snapshot(l, k.DeletedAt),
	}
}

func (k *EnrollmentKey) auditView() map[string]any {
	return map[string]any{
		"enrollment_key_id": k.ID, "label": k.Label, "max_devices": countValue(k.MaxDevices, Unlimited),
		"expires_at": timeValue(k.ExpiresAt),
	}
}

// ErrTooManyEnrollmentKeys refuses one enrollment key too many.
var ErrTooManyEnrollmentKeys = apierr.InvalidField("label",
	fmt.Sprintf("the license has %d enrollment keys, which is the most; delete one first", MaxEnrollmentKeys))
