package store

import (
	"cmp"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// work is the rows that a batch writes to the rollups.
type work struct {
	newLicenses, knownLicenses []licenseRow
	usedLicenses               []usedRow
	newDevices, knownDevices   []deviceRow
	// pastDays and pastDeviceDays are over, as far as anybody knows, and complete: they have no row yet.
	pastDays       []dayRow
	pastDeviceDays []deviceDayRow
	// lateDays and lateDeviceDays came after a later day had begun: they may have rows.
	lateDays       map[usage.DayKey]*usage.Day
	lateDeviceDays []deviceDayRow
	networks       []networkRow
}

// prepare completes the changes, so that those of licenses and devices are whole rows of which the latest day is a part, and says
// what is to be written. Only the consumer writes these rows: what it read stays true until its epoch is over.
func (s *Store) prepare(tx *gorm.DB, c *usage.Changes) (*work, error) {
	w := &work{lateDays: map[usage.DayKey]*usage.Day{}}
	if err := licenseRollup.complete(tx, s.db.Engine(), s.recent.licenses, c.Licenses, w.addLicense); err != nil {
		return nil, err
	}
	if err := deviceRollup.complete(tx, s.db.Engine(), s.recent.devices, c.Devices, w.addDevice); err != nil {
		return nil, err
	}
	for k, day := range c.Networks {
		if !day.After(s.recent.networks[k]) {
			delete(c.Networks, k)
			continue
		}
		w.networks = append(w.networks, networkRow{k.LicenseID, k.Network, at(day)})
	}
	return w, s.readLateDays(tx, w.lateDays)
}

func (w *work) addLicense(l, old *usage.License) error {
	latest, before := len(l.Days)-1, time.Time{}
	if old != nil {
		before = old.Days[0].Day
	}
	for i := range l.Days[:latest] {
		if day := &l.Days[i]; day.Day.Before(before) {
			w.lateDays[day.DayKey] = day
		} else {
			w.pastDays = append(w.pastDays, newDayRow(day))
		}
	}
	l.Days = l.Days[latest:]
	switch {
	case old == nil:
		w.newLicenses = append(w.newLicenses, newLicenseRow(l))
	case onlyUsed(l, old):
		w.usedLicenses = append(w.usedLicenses, newUsedRow(l))
	default:
		w.knownLicenses = append(w.knownLicenses, newLicenseRow(l))
	}
	return nil
}

func (w *work) addDevice(d, old *usage.Device) error {
	latest, before := max(0, len(d.Days)-1), time.Time{}
	if old != nil && len(old.Days) > 0 {
		before = old.Days[0].Day
	}
	for i := range d.Days[:latest] {
		if day := &d.Days[i]; day.Day.Before(before) {
			w.lateDeviceDays = append(w.lateDeviceDays, newDeviceDayRow(day))
		} else {
			w.pastDeviceDays = append(w.pastDeviceDays, newDeviceDayRow(day))
		}
	}
	d.Days = d.Days[latest:]
	row, err := newDeviceRow(d)
	if old == nil {
		w.newDevices = append(w.newDevices, row)
	} else {
		w.knownDevices = append(w.knownDevices, row)
	}
	return err
}

func (s *Store) readLateDays(tx *gorm.DB, late map[usage.DayKey]*usage.Day) error {
	keys := make([]dayKey, 0, len(late))
	for k := range late {
		keys = append(keys, dayKey{k.LicenseID, at(k.Day)})
	}
	var rows []dayRow
	if err := dayTable.find(tx, s.db.Engine(), keys, &rows); err != nil {
		return err
	}
	for i := range rows {
		day, err := rows[i].day()
		if err != nil {
			return err
		}
		late[day.DayKey].Merge(&day)
	}
	return nil
}

// rollup is a table whose rows R are values V under keys K, which merge by rules of their own; KR is a row of the key's columns.
type rollup[K comparable, V interface{ Merge(V) }, KR, R any] struct {
	table table
	key   func(K) KR
	value func(*R) (K, V, error)
	order func(a, b V) int
}

var (
	deviceRollup = rollup[usage.DeviceKey, *usage.Device, deviceKey, deviceRow]{deviceTable,
		func(k usage.DeviceKey) deviceKey { return deviceKey(k) },
		func(r *deviceRow) (k usage.DeviceKey, d *usage.Device, err error) {
			d, err = r.known()
			return d.DeviceKey, d, err
		},
		func(a, b *usage.Device) int {
			return cmp.Or(cmp.Compare(a.LicenseID, b.LicenseID), cmp.Compare(a.HardwareID, b.HardwareID))
		}}
	licenseRollup = rollup[string, *usage.License, licenseKey, licenseRow]{licenseTable,
		func(id string) licenseKey { return licenseKey{id} },
		func(r *licenseRow) (id string, l *usage.License, err error) {
			l, err = r.known()
			return r.LicenseID, l, err
		},
		func(a, b *usage.License) int { return cmp.Compare(a.ID, b.ID) }}
)

// complete adds to the changes what is known of them, from memory or else from the database, and tells each with what there was
// before, or nil: in the order of keys, in which rows find pages of tables and indexes that those before have just used.
func (r *rollup[K, V, KR, R]) complete(tx *gorm.DB, engine db.Engine, known, changes map[K]V, tell func(v, old V) error) error {
	var missing []KR
	for k := range changes {
		if _, ok := known[k]; !ok {
			missing = append(missing, r.key(k))
		}
	}
	stored, err := r.read(tx, engine, missing)
	if err != nil {
		return err
	}
	type pair struct{ v, old V }
	pairs := make([]pair, 0, len(changes))
	for k, v := range changes {
		old, ok := known[k]
		if !ok {
			old, ok = stored[k]
		}
		if ok {
			v.Merge(old)
		}
		pairs = append(pairs, pair{v, old})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return r.order(a.v, b.v) })
	for _, p := range pairs {
		if err := tell(p.v, p.old); err != nil {
			return err
		}
	}
	return nil
}

func (r *rollup[K, V, KR, R]) read(tx *gorm.DB, engine db.Engine, keys []KR) (map[K]V, error) {
	var rows []R
	if err := r.table.find(tx, engine, keys, &rows); err != nil {
		return nil, err
	}
	stored := make(map[K]V, len(rows))
	for i := range rows {
		k, v, err := r.value(&rows[i])
		if err != nil {
			return nil, err
		}
		stored[k] = v
	}
	return stored, nil
}
