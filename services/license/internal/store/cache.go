package store

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"
	"unique"
	"unsafe"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// validFor is how long a license or a device that was read serves from memory, also while the database is away; 5 s
// while the broker is away (cache.UnlinkedFor). A change of either drops it at once.
const validFor = 5 * time.Minute

// CacheOptions are what a Lookup may keep in memory and for how long.
type CacheOptions struct {
	// Bytes bounds the memory of what is kept.
	Bytes int64
	// Link reports whether changes of state arrive.
	Link cache.Link
}

// Lookup implements licensing.Lookup: warm answers take no SQL and no network.
type Lookup struct {
	db    *db.DB
	keys  *masterkey.Register
	clock clock.Clock
	// ids finds the license of a key's hash.
	ids      *cache.Cache[[32]byte, *issued]
	licenses *cache.Cache[string, *licensing.License]
	devices  *cache.Cache[seat, *licensing.ActiveDevice]
	// releases are when the versions of a product came out, by the code of the product.
	releases *cache.Cache[string, map[string]time.Time]
	// features are the lists that licenses share in memory, as most of a product have the same, by their JSON.
	features *cache.Cache[string, []string]
}

// issued is what a key was issued for.
type issued struct {
	licenseID string
	// license spares a warm validation the look-up by id.
	license cache.Place[*licensing.License]
	// bounds is nil for a key that is the license's own now, as nearly all are.
	bounds *keyBounds
}

// keyBounds are what a key is good for that a license had before, or that is one for enrollment.
type keyBounds struct {
	until      time.Time
	enrollment *licensing.EnrollmentKey
}

// over reports whether the key has ended, which its license had before another.
func (of *issued) over(now time.Time) bool {
	return of.bounds != nil && !of.bounds.until.IsZero() && !now.Before(of.bounds.until)
}

type seat struct{ licenseID, hardwareID string }

// NewLookup returns an empty lookup.
func NewLookup(d *db.DB, register *masterkey.Register, c clock.Clock, o CacheOptions) *Lookup {
	state := cache.Options{
		Bytes: o.Bytes / 4, TTL: validFor, Unlinked: cache.UnlinkedFor, Link: o.Link, Apart: d.InTx,
	}
	keys := state
	keys.TTL = time.Hour
	licenses := state
	licenses.Bytes = o.Bytes / 2 // a license takes about as much as its key and a device together
	return &Lookup{
		db:       d,
		keys:     register,
		clock:    c,
		ids:      cache.NewSized(keys, c, issuedSize),
		licenses: cache.NewSized(licenses, c, licenseSize),
		devices:  cache.NewSized(state, c, deviceSize),
		releases: cache.New[string, map[string]time.Time](cache.Options{
			Capacity: 100, TTL: validFor, Unlinked: cache.UnlinkedFor, Link: o.Link, Apart: d.InTx,
		}, c),
		features: cache.New[string, []string](cache.Options{Capacity: 1000, TTL: keys.TTL}, c),
	}
}

// What entries of the caches refer to, in bytes. An id that several share is counted once, with the license.

func issuedSize([32]byte, *issued) int { return int(unsafe.Sizeof(issued{})) }

func licenseSize(_ string, l *licensing.License) int {
	return int(unsafe.Sizeof(*l)) + referred(reflect.ValueOf(l).Elem())
}

func deviceSize(s seat, d *licensing.ActiveDevice) int {
	return int(unsafe.Sizeof(*d)) + len(s.hardwareID) + referred(reflect.ValueOf(d).Elem())
}

// referred is the number of bytes that the texts, slices and pointers in v refer to, whatever members it gets.
func referred(v reflect.Value) (size int) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && v.Type() != reflect.TypeFor[*time.Location]() { // all times share those
			return int(v.Type().Elem().Size()) + referred(v.Elem())
		}
	case reflect.String:
		return v.Len()
	case reflect.Slice:
		size = v.Len() * int(v.Type().Elem().Size())
		if v.Type().Elem().Kind() != reflect.Uint8 {
			for i := range v.Len() {
				size += referred(v.Index(i))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			size += referred(v.Field(i))
		}
	}
	return size
}

// Counts are the look-ups of each cache that found a value and that did not, by the name of the cache.
func (l *Lookup) Counts() map[string]func() (hits, misses uint64) {
	return map[string]func() (hits, misses uint64){
		"license_keys": l.ids.Counts, "licenses": l.licenses.Counts, "devices": l.devices.Counts,
	}
}

// Bytes is the memory that is taken by what is kept.
func (l *Lookup) Bytes() int64 { return l.ids.Bytes() + l.licenses.Bytes() + l.devices.Bytes() }

// LicenseByKey implements licensing.Lookup.
func (l *Lookup) LicenseByKey(
	ctx context.Context, key string,
) (license *licensing.License, e *licensing.EnrollmentKey, cached bool, err error) {
	of, e, err := l.byKey(ctx, key)
	if err != nil {
		return nil, nil, false, err
	}
	if license, ok := l.licenses.Held(&of.license); ok {
		return license, e, true, nil
	}
	license, cached, err = l.license(ctx, of.licenseID)
	l.licenses.Hold(of.licenseID, &of.license)
	return license, e, cached, err
}

// IDByKey implements licensing.Lookup.
func (l *Lookup) IDByKey(ctx context.Context, key string) (string, *licensing.EnrollmentKey, error) {
	of, e, err := l.byKey(ctx, key)
	if err != nil {
		return "", nil, err
	}
	return of.licenseID, e, nil
}

func (l *Lookup) byKey(ctx context.Context, key string) (*issued, *licensing.EnrollmentKey, error) {
	mac := l.keys.Ring.MAC(keyPurpose, []byte(key))
	read := func(ctx context.Context) (*issued, error) { return l.readID(ctx, key) }
	of, _, err := l.ids.Fetch(ctx, mac.Sum, read)
	if err == nil && of.over(l.clock.Now()) { // the key may have been given to another license since
		l.ids.Drop(mac.Sum)
		of, _, err = l.ids.Fetch(ctx, mac.Sum, read)
	}
	if err != nil || of.bounds == nil {
		return of, nil, err
	}
	return of, of.bounds.enrollment, nil
}

// readID finds the license of a key. "Not found", also of a key that has ended, is said only when no license can be
// under a master key that this process lacks.
func (l *Lookup) readID(ctx context.Context, key string) (*issued, error) {
	found, err := findKey(func() *gorm.DB { return l.db.Read(ctx) }, l.keys.Ring, key)
	if err == nil && found.ended(l.clock.Now()) {
		err = &licensing.FormerKeyError{LicenseID: found.LicenseID}
	}
	if err = translate(err); errors.Is(err, licensing.ErrNotFound) {
		err = cmp.Or(translate(l.keys.Check(ctx)), err)
	}
	of := &issued{licenseID: found.LicenseID}
	if found.Enrollment != nil || !found.ValidUntil.IsZero() {
		of.bounds = &keyBounds{found.ValidUntil, found.Enrollment}
	}
	return of, err
}

// License implements licensing.Lookup.
func (l *Lookup) License(ctx context.Context, id string) (*licensing.License, bool, error) {
	if !uid.Is(id) {
		return nil, false, licensing.ErrNotFound
	}
	return l.license(ctx, id)
}

func (l *Lookup) license(ctx context.Context, id string) (*licensing.License, bool, error) {
	return l.licenses.Fetch(ctx, id, func(ctx context.Context) (*licensing.License, error) {
		var row licenseRow
		err := l.db.Read(ctx).Table("licenses").Select(licenseColumns).Where("id = ?", id).Take(&row).Error
		found := row.license()
		found.ID, found.MaskedKey = id, ""
		share(&found.Product, &found.Policy, &found.Type, &found.Timezone)
		features, _, shared := l.features.Fetch(ctx, row.Terms.Features, func(context.Context) ([]string, error) {
			return slices.Clip(found.Features), nil
		})
		if shared == nil { // otherwise it waited too long for who makes them
			found.Features = features
		}
		return &found, translate(err)
	})
}

// share has equal texts, of which there are few, take memory once.
func share(texts ...*string) {
	for _, text := range texts {
		*text = unique.Make(*text).Value()
	}
}

// ActiveDevice implements licensing.Lookup. That there is none is never cached: the next activation counts at once.
func (l *Lookup) ActiveDevice(
	ctx context.Context, licenseID, hardwareID string,
) (*licensing.ActiveDevice, bool, error) {
	d, cached, err := l.devices.Fetch(ctx, seat{licenseID, hardwareID},
		func(ctx context.Context) (*licensing.ActiveDevice, error) {
			var row deviceRow
			err := l.db.Read(ctx).Table("devices").
				Select("id", "activated_version", "name", "os_name", "os_version", "app_version", "user_id",
					"enrollment_key_id").
				Where("license_id = ? AND hardware_id = ? AND is_active", licenseID, hardwareID).Take(&row).Error
			if err != nil {
				return nil, err
			}
			share(&row.OsName, &row.OsVersion, &row.AppVersion)
			active := &licensing.ActiveDevice{ActivatedVersion: row.ActivatedVersion, Profile: row.profile()}
			active.ID, _ = uid.Bytes(row.ID) // the column has nothing else
			if row.UserID != nil || row.EnrollmentKeyID != nil {
				active.By = &licensing.SeatBy{
					UserID: textOrNone(row.UserID), EnrollmentKeyID: textOrNone(row.EnrollmentKeyID),
				}
			}
			return active, nil
		})
	if errors.Is(err, db.ErrNotFound) {
		return nil, false, nil
	}
	return d, cached, translate(err)
}

// Forget implements licensing.Lookup.
func (l *Lookup) Forget(licenseID, hardwareID string) {
	l.licenses.Drop(licenseID)
	l.devices.Drop(seat{licenseID, hardwareID})
}

// ForgetDevice drops what memory holds of a device.
func (l *Lookup) ForgetDevice(licenseID, hardwareID string) {
	l.devices.Drop(seat{licenseID, hardwareID})
}

// KeyHash implements licensing.Lookup.
func (l *Lookup) KeyHash(key string) string {
	mac := l.keys.Ring.MAC(keyPurpose, []byte(key))
	return hex.EncodeToString(mac.Sum[:])
}

// OnEvent drops what a change of state has made old. It takes the changes of this process right after their commit, and
// those of others from the bus. Its own come from there once more, perhaps much later: what was read after the change
// stays.
func (l *Lookup) OnEvent(e event.Event) {
	if e.Type == eventsv1.TypeProductUpdated {
		l.forgetProduct(e)
		return
	}
	if e.Type == eventsv1.TypeCustomerErased {
		l.licenses.Drop(e.Subject)
		l.devices.DropAll() // any of them may hold a name
		return
	}
	if !strings.HasPrefix(e.Type, "license.") && !strings.HasPrefix(e.Type, "device.") {
		return
	}
	if e.Type == eventsv1.TypeLicenseKeyRotated || e.Type == eventsv1.TypeLicenseEnrollmentKeyDeleted {
		l.ids.DropIf(func(_ [32]byte, of *issued) bool { return of.licenseID == e.Subject })
	}
	var change struct {
		HardwareID     string `json:"hardware_id"`
		FromHardwareID string `json:"from_hardware_id"`
		Version        int    `json:"version"` // of the license after the change; 0 is not known
	}
	if json.Unmarshal(e.Data, &change) != nil {
		l.licenses.Drop(e.Subject)
		l.devices.DropAll()
		return
	}
	if tellsOfTime(e.Type) {
		l.licenses.Drop(e.Subject)
		return
	}
	shows := func(version int) bool { return change.Version > 0 && version >= change.Version }
	l.licenses.DropUnless(e.Subject, func(l *licensing.License) bool { return shows(l.Version) })
	for _, hardwareID := range []string{change.HardwareID, change.FromHardwareID} {
		if hardwareID != "" {
			l.devices.DropUnless(seat{e.Subject, hardwareID}, func(d *licensing.ActiveDevice) bool {
				return shows(d.ActivatedVersion)
			})
		}
	}
}

// tellsOfTime holds for events of a status that came with time: the license was told of, and kept its version.
func tellsOfTime(eventType string) bool {
	return eventType == eventsv1.TypeLicenseStarted || eventType == eventsv1.TypeLicenseInGrace ||
		eventType == eventsv1.TypeLicenseExpired
}

// forgetProduct drops what memory holds of a product, in its licenses, too.
func (l *Lookup) forgetProduct(e event.Event) {
	var changed eventsv1.ProductUpdated
	if e.Into(&changed) != nil {
		l.OnGap()
		return
	}
	code := changed.GetProduct().GetCode()
	l.releases.Drop(code)
	l.licenses.DropIf(func(_ string, l *licensing.License) bool { return l.Product == code })
}

// OnGap forgets everything: changes may have been missed.
func (l *Lookup) OnGap() {
	l.ids.DropAll()
	l.licenses.DropAll()
	l.devices.DropAll()
	l.releases.DropAll()
}
