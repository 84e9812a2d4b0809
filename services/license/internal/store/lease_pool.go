package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

const (
	// A holder who takes again what was borrowed and given back has one slot of the entitlement.
	countEntitled = `SELECT license_id, entitlement, count(*) AS in_use, min(until) AS earliest_end FROM (
		SELECT license_id, entitlement, max(until) AS until FROM (
			SELECT license_id, entitlement, hardware_id, session_id, expires_at AS until FROM leases
			WHERE @licenses AND @claims AND ending = '' AND expires_at > @now
			UNION ALL SELECT license_id, entitlement, hardware_id, session_id, borrowed_until FROM leases
			WHERE ` + goingOn + `) c GROUP BY license_id, entitlement, hardware_id, session_id) h
		GROUP BY license_id, entitlement`
	goingOn     = `@licenses AND @claims AND ending <> '' AND borrowed_until > @now`
	findGoingOn = `SELECT DISTINCT license_id, entitlement, hardware_id, session_id FROM leases
		WHERE ` + goingOn + ` AND @devices`
	borrowedLeases = `license_id = @license AND borrowed_until > @now`
	countBorrowers = `SELECT count(*) AS in_use, min(until) AS earliest_end FROM (
		SELECT max(borrowed_until) AS until FROM leases WHERE ` + borrowedLeases + `
		GROUP BY hardware_id, session_id) b`
	evictableLeases = `license_id = @id AND ending = '' AND expires_at > @now
		AND (borrowed_until IS NULL OR borrowed_until <= @now)`
)

var (
	leaseColumns  = db.Columns("l", leaseRow{})
	deviceColumns = db.Columns("d", deviceRow{})
)

// The leases and devices that requests name. PostgreSQL looks each request up by itself, which LATERAL makes it do:
// otherwise it reads whole tables as long as it takes them for small.
var (
	wantedPostgres = `
		FROM unnest(?::uuid[], ?::text[], ?::text[], ?::uuid[]) AS w(license_id, hardware_id, session_id, lease_id)`
	leasesPostgres = "SELECT " + leaseColumns + wantedPostgres + ` CROSS JOIN LATERAL (
		SELECT * FROM leases WHERE license_id = w.license_id AND hardware_id = w.hardware_id
			AND session_id = w.session_id AND ending = '' AND id IS DISTINCT FROM w.lease_id
		UNION ALL SELECT * FROM leases WHERE id = w.lease_id AND license_id = w.license_id) l`
	devicesPostgres = "SELECT " + deviceColumns + wantedPostgres + ` CROSS JOIN LATERAL (
		SELECT * FROM devices WHERE license_id = w.license_id
			AND hardware_id IN (w.hardware_id, (SELECT hardware_id FROM leases WHERE id = w.lease_id)) OFFSET 0) d`
	// The time is no condition: with it, PostgreSQL could decide to read the leases of all licenses by their ends.
	countsPostgres = `WITH clock AS (SELECT ? AS now)
		SELECT now, w.license_id, l.*
		FROM clock CROSS JOIN (SELECT DISTINCT unnest(?::uuid[]) AS license_id) w CROSS JOIN LATERAL (
			SELECT count(*) FILTER (WHERE expires_at > now) AS in_use,
				min(expires_at) FILTER (WHERE expires_at > now) AS earliest_end
			FROM leases WHERE license_id = w.license_id AND ending = '') l`

	wantedSQLite = `WITH wanted AS (
		SELECT value->>'license_id' AS license_id, value->>'hardware_id' AS hardware_id,
			value->>'session_id' AS session_id, value->>'lease_id' AS lease_id
		FROM json_each(?))`
	leasesSQLite = wantedSQLite + `
		SELECT ` + leaseColumns + ` FROM leases l JOIN wanted w ON l.license_id = w.license_id
			AND l.hardware_id = w.hardware_id AND l.session_id = w.session_id AND l.ending = ''
		UNION SELECT ` + leaseColumns + `
			FROM leases l JOIN wanted w ON l.id = w.lease_id AND l.license_id = w.license_id`
	devicesSQLite = wantedSQLite + `
		SELECT ` + deviceColumns + ` FROM devices d
		WHERE (license_id, hardware_id) IN (SELECT license_id, hardware_id FROM wanted
			UNION SELECT l.license_id, l.hardware_id FROM leases l JOIN wanted w ON l.id = w.lease_id)`
	countsSQLite = `WITH clock AS (SELECT ? AS now),
		wanted AS (SELECT DISTINCT value->>'license_id' AS license_id FROM json_each(?))
		SELECT now, w.license_id, count(l.id) AS in_use, min(l.expires_at) AS earliest_end
		FROM clock CROSS JOIN wanted w
		LEFT JOIN leases l ON l.license_id = w.license_id AND l.ending = '' AND l.expires_at > now
		GROUP BY w.license_id`
)

// pool is a lease.Pool with the license as it was read, and its leases by id: no lease is there twice.
type pool struct {
	lease.Pool
	before licensing.License
	byID   map[string]*lease.Lease
	calls  int
}

// loadPools loads the licenses of a batch and what the requests name of their leases. lock, empty for none, locks the
// licenses, and may leave some out; what is read after it, the time too, is as of then: anyone who had a lock before
// has an earlier time.
func (s *Store) loadPools(tx *gorm.DB, batch []leaseRequest, now any, lock string) (map[string]*pool, error) {
	found := newFound(len(batch))
	counts, leases, devices, wanted := countsPostgres, leasesPostgres, devicesPostgres, wantedColumns
	if s.db.Engine() == db.SQLite {
		counts, leases, devices, wanted = countsSQLite, leasesSQLite, devicesSQLite, wantedDocument
	}
	requests := wanted(batch)
	err := db.Pipeline(tx,
		licensesOf(batch, &found.licenses, lock),
		func(tx *gorm.DB) *gorm.DB { return tx.Raw(counts, now, requests[0]).Find(&found.counts) },
		func(tx *gorm.DB) *gorm.DB { return tx.Raw(leases, requests...).Find(&found.leases) },
		func(tx *gorm.DB) *gorm.DB { return tx.Raw(devices, requests...).Find(&found.devices) },
	)
	if err != nil {
		return nil, err
	}
	pools := found.pools(batch)
	for _, p := range pools {
		if err := p.loadEvictable(tx); err != nil {
			return nil, err
		}
		if err := p.loadBorrowers(tx, batch); err != nil {
			return nil, err
		}
		if err := p.loadLast(tx, batch); err != nil {
			return nil, err
		}
	}
	return pools, loadEntitled(tx, batch, pools)
}

// leaseLock is the end of a statement that locks licenses. With skip it leaves out those that somebody else holds. On
// SQLite a transaction that writes is alone.
func (s *Store) leaseLock(skip bool) string {
	switch {
	case s.db.Engine() == db.SQLite:
		return ""
	case skip:
		return " FOR NO KEY UPDATE OF licenses SKIP LOCKED"
	}
	return " FOR NO KEY UPDATE OF licenses"
}

// PeekLeases implements lease.Store.
func (s *Store) PeekLeases(ctx context.Context, c lease.Call, now time.Time) (*lease.Pool, error) {
	if !uid.Is(c.LicenseID) {
		return nil, licensing.ErrNotFound
	}
	pools, err := s.loadPools(s.db.Read(ctx), []leaseRequest{{Call: c}}, instant(s.db, now), "")
	switch {
	case err != nil:
		return nil, translate(err)
	case pools[c.LicenseID] == nil:
		return nil, licensing.ErrNotFound
	}
	return &pools[c.LicenseID].Pool, nil
}

// found is what the statements of a batch read.
type found struct {
	licenses []licenseRow
	counts   []leaseCount
	leases   []leaseRow
	devices  []deviceRow
}

// leaseCount is how many live leases a license has at a time, which is the same for all.
type leaseCount struct {
	Now         db.Time
	LicenseID   string
	InUse       int
	EarliestEnd db.Time
}

// newFound has room for what n requests need, so that gorm does not make more: a license is large.
func newFound(n int) *found {
	return &found{
		licenses: make([]licenseRow, 0, n),
		counts:   make([]leaseCount, 0, n),
		leases:   make([]leaseRow, 0, n),
		devices:  make([]deviceRow, 0, n),
	}
}

// poolLicenses reads what licenseColumns does, with one look at the product.
var poolLicenses = "SELECT " + ownColumns + `, code AS product, products.is_active AS product_is_active,
		min_version AS product_min_version, authorization_method AS product_method
	FROM licenses JOIN products ON products.id = product_id WHERE ?`

// licensesOf is a plain text, which gorm need not build anew from the columns for every batch.
func licensesOf(batch []leaseRequest, rows *[]licenseRow, lock string) db.Query {
	return func(tx *gorm.DB) *gorm.DB {
		return tx.Raw(poolLicenses+lock, db.In("licenses.id", licenseIDs(batch))).Find(rows)
	}
}

// pools are the requests' by the ids of their licenses. Only the licenses that were read are there.
func (f *found) pools(batch []leaseRequest) map[string]*pool {
	pools := make(map[string]*pool, len(f.licenses))
	for i := range f.licenses {
		l := f.licenses[i].license()
		p := &pool{before: l, byID: map[string]*lease.Lease{}}
		p.License, p.Devices, p.Now = l, map[string]*licensing.Device{}, f.counts[0].Now.Time
		p.Entitled, p.GoesOn = map[string]licensing.SlotUse{}, map[lease.Claim]bool{}
		pools[l.ID] = p
	}
	for _, r := range batch {
		if p := pools[r.LicenseID]; p != nil {
			p.calls++
		}
	}
	f.fill(pools)
	return pools
}

// fill gives pools what was read of their leases. Licenses that were left out have leases, too.
func (f *found) fill(pools map[string]*pool) {
	for _, c := range f.counts {
		if p := pools[c.LicenseID]; p != nil {
			p.InUse, p.EarliestEnd = c.InUse, c.EarliestEnd.Time
		}
	}
	for i := range f.leases {
		if p := pools[f.leases[i].LicenseID]; p != nil {
			p.Named = append(p.Named, p.lease(&f.leases[i]))
		}
	}
	for i := range f.devices {
		if p := pools[f.devices[i].LicenseID]; p != nil {
			d := f.devices[i].device()
			p.Devices[d.HardwareID] = &d
		}
	}
}

func (p *pool) lease(row *leaseRow) *lease.Lease {
	if p.byID[row.ID] == nil {
		p.byID[row.ID] = row.lease()
	}
	return p.byID[row.ID]
}

// loadEntitled counts the claims to entitlements that requests name, and finds those that a lease given back leaves to
// those who may lose or take one.
func loadEntitled(tx *gorm.DB, batch []leaseRequest, pools map[string]*pool) error {
	codes := named(batch, pools)
	if len(codes) == 0 {
		return nil
	}
	var counts []struct {
		LicenseID, Entitlement string
		InUse                  int
		EarliestEnd            db.Time
	}
	var goingOn []leaseRow
	ids := slices.Collect(maps.Keys(pools))
	params := []any{
		sql.Named("licenses", db.In("license_id", ids)), sql.Named("claims", db.In("entitlement", codes)),
		sql.Named("now", pools[ids[0]].Now), sql.Named("devices", db.In("hardware_id", concerned(batch, pools))),
	}
	err := db.Pipeline(tx,
		func(tx *gorm.DB) *gorm.DB { return tx.Raw(countEntitled, params...).Find(&counts) },
		func(tx *gorm.DB) *gorm.DB { return tx.Raw(findGoingOn, params...).Find(&goingOn) },
	)
	for _, c := range counts {
		pools[c.LicenseID].Entitled[c.Entitlement] = licensing.SlotUse{InUse: c.InUse, EarliestEnd: c.EarliestEnd.Time}
	}
	for i := range goingOn {
		l := goingOn[i].lease()
		pools[l.LicenseID].GoesOn[lease.Claim{Holder: l.Holder, Entitlement: l.Entitlement}] = true
	}
	return err
}

// named are the codes of the entitlements that a request names, or a lease that is over: its holder is told whether it
// could take another. Entitled has a place for each.
func named(batch []leaseRequest, pools map[string]*pool) (codes []string) {
	for _, r := range batch {
		if p := pools[r.LicenseID]; p != nil && r.Entitlement != "" {
			p.Entitled[r.Entitlement] = licensing.SlotUse{}
			codes = append(codes, r.Entitlement)
		}
	}
	for _, p := range pools {
		for _, l := range p.Named {
			if l.Entitlement != "" && (l.Ending != "" || !p.Now.Before(l.ExpiresAt)) {
				p.Entitled[l.Entitlement] = licensing.SlotUse{}
				codes = append(codes, l.Entitlement)
			}
		}
	}
	return codes
}

// loadLast reads the leases that ended last of their holders, where a request names them.
func (p *pool) loadLast(tx *gorm.DB, batch []leaseRequest) error {
	for _, r := range batch {
		if !r.Last || r.LicenseID != p.License.ID {
			continue
		}
		var rows []leaseRow
		err := tx.Table("leases").Where("license_id = ? AND ending <> '' AND hardware_id = ? AND session_id = ?",
			r.LicenseID, r.Holder.HardwareID, r.Holder.SessionID).
			Order("leased_at DESC, id DESC").Limit(1).Find(&rows).Error
		if err != nil {
			return err
		}
		for i := range rows {
			p.Named = append(p.Named, p.lease(&rows[i]))
		}
	}
	return nil
}

// concerned are the hardware ids of all who ask for leases, have those that calls name, or may lose theirs.
func concerned(batch []leaseRequest, pools map[string]*pool) (devices []string) {
	for _, r := range batch {
		devices = append(devices, r.Holder.HardwareID)
	}
	for _, p := range pools {
		for _, l := range slices.Concat(p.Named, p.Evictable) {
			devices = append(devices, l.HardwareID)
		}
	}
	return devices
}

// loadBorrowers counts the holders of borrowed leases, where a request borrows.
func (p *pool) loadBorrowers(tx *gorm.DB, batch []leaseRequest) error {
	var devices, sessions []string
	for _, r := range batch {
		if r.Borrows && r.LicenseID == p.License.ID {
			devices, sessions = append(devices, r.Holder.HardwareID), append(sessions, r.Holder.SessionID)
		}
	}
	if len(devices) == 0 {
		return nil
	}
	license, now := sql.Named("license", p.License.ID), sql.Named("now", p.Now)
	var count leaseCount
	if err := tx.Raw(countBorrowers, license, now).Scan(&count).Error; err != nil {
		return err
	}
	var known []leaseRow
	err := tx.Table("leases").Where(borrowedLeases, license, now).Where(db.In("hardware_id", devices)).
		Where(db.In("session_id", sessions)).Distinct("hardware_id", "session_id").Find(&known).Error
	p.Borrowers.InUse, p.Borrowers.EarliestEnd = count.InUse, count.EarliestEnd.Time
	p.Borrowers.By = map[lease.Holder]bool{}
	for i := range known {
		p.Borrowers.By[lease.Holder{HardwareID: known[i].HardwareID, SessionID: known[i].SessionID}] = true
	}
	return err
}

// loadEvictable loads as many as all requests together could need: those that are too many, and one more for each
// request, which may itself renew, borrow or release one of these.
func (p *pool) loadEvictable(tx *gorm.DB) error {
	f := p.License.Floating
	if f == nil || f.Overflow != licensing.OverflowEvictOldest {
		return nil
	}
	excess := p.InUse + p.calls - f.Slots
	if excess <= 0 {
		return nil
	}
	var rows []leaseRow
	err := tx.Table("leases").Where(evictableLeases, sql.Named("id", p.License.ID), sql.Named("now", p.Now)).
		Order("last_seen_at, id").Limit(excess + p.calls).Find(&rows).Error
	for i := range rows {
		p.Evictable = append(p.Evictable, p.lease(&rows[i]))
	}
	return err
}
