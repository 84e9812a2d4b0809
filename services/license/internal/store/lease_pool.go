package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

const (
	wantedPostgres = `WITH wanted AS (
		SELECT (w->>'license_id')::uuid AS license_id, w->>'hardware_id' AS hardware_id, w->>'session_id' AS session_id,
			(w->>'lease_id')::uuid AS lease_id
		FROM json_array_elements(?::json) AS w)`
	wantedSQLite = `WITH wanted AS (
		SELECT value->>'license_id' AS license_id, value->>'hardware_id' AS hardware_id,
			value->>'session_id' AS session_id, value->>'lease_id' AS lease_id
		FROM json_each(?))`
	countLeases = `SELECT license_id, count(*) AS in_use, min(expires_at) AS earliest_end FROM leases
		WHERE @licenses AND ending = '' AND expires_at > @now GROUP BY license_id`
	countEntitled = `SELECT license_id, entitlement, count(*) AS in_use, min(expires_at) AS earliest_end FROM leases
		WHERE @licenses AND @claims AND ending = '' AND expires_at > @now
		GROUP BY license_id, entitlement`
	evictableLeases = `license_id = @id AND ending = '' AND expires_at > @now
		AND (borrowed_until IS NULL OR borrowed_until <= @now)`
)

var (
	leaseColumns = db.Columns("l", leaseRow{})
	namedLeases  = `
	SELECT ` + leaseColumns + ` FROM leases l JOIN wanted w ON l.license_id = w.license_id
		AND l.hardware_id = w.hardware_id AND l.session_id = w.session_id AND l.ending = ''
	UNION SELECT ` + leaseColumns + ` FROM leases l JOIN wanted w ON l.id = w.lease_id AND l.license_id = w.license_id`
	namedDevices = `
	SELECT ` + db.Columns("d", deviceRow{}) + ` FROM devices d
	WHERE (license_id, hardware_id) IN (SELECT license_id, hardware_id FROM wanted
		UNION SELECT l.license_id, l.hardware_id FROM leases l JOIN wanted w ON l.id = w.lease_id)`
)

// pool is a lease.Pool with the license as it was read, and its leases by id: no lease is there twice.
type pool struct {
	lease.Pool
	before licensing.License
	byID   map[string]*lease.Lease
	calls  int
}

// loadPools locks the licenses of a batch, those that somebody else holds left out with skip, and loads what the
// requests name.
func (s *Store) loadPools(tx *gorm.DB, batch []leaseRequest, skip bool) (map[string]*pool, error) {
	pools, err := loadLicenses(tx.Clauses(leaseLock(skip)), batch)
	if err != nil || len(pools) == 0 {
		return pools, err
	}
	now, err := s.leaseTime(tx) // under the locks: whoever had them before has an earlier time
	if err != nil {
		return nil, err
	}
	return pools, s.fillPools(tx, batch, pools, now)
}

func leaseLock(skip bool) clause.Locking {
	lock := clause.Locking{Strength: "NO KEY UPDATE"}
	if skip {
		lock.Options = clause.LockingOptionsSkipLocked
	}
	return lock
}

// fillPools loads the leases and devices of licenses as they stand at a time.
func (s *Store) fillPools(tx *gorm.DB, batch []leaseRequest, pools map[string]*pool, now time.Time) error {
	for _, p := range pools {
		p.Now = now
	}
	document, err := wantedRows(batch, pools)
	if err != nil {
		return err
	}
	if err := s.loadNamed(tx, document, pools); err != nil {
		return err
	}
	if err := loadEntitled(tx, batch, pools); err != nil {
		return err
	}
	return loadCounts(tx, pools)
}

// PeekLeases implements lease.Store.
func (s *Store) PeekLeases(ctx context.Context, c lease.Call, now time.Time) (*lease.Pool, error) {
	if uuid.Validate(c.LicenseID) != nil {
		return nil, licensing.ErrNotFound
	}
	batch, tx := []leaseRequest{{Call: c}}, s.db.Read(ctx)
	pools, err := loadLicenses(tx, batch)
	switch {
	case err != nil:
		return nil, translate(err)
	case pools[c.LicenseID] == nil:
		return nil, licensing.ErrNotFound
	}
	return &pools[c.LicenseID].Pool, translate(s.fillPools(tx, batch, pools, now))
}

// loadLicenses loads those of a batch, by tx, which may lock them.
func loadLicenses(tx *gorm.DB, batch []leaseRequest) (map[string]*pool, error) {
	calls := map[string]int{}
	for _, r := range batch {
		calls[r.LicenseID]++
	}
	var rows []licenseRow
	ids := slices.Collect(maps.Keys(calls))
	err := tx.Table("licenses").Select(licenseColumns).Where(db.In("id", ids)).Find(&rows).Error
	pools := make(map[string]*pool, len(rows))
	for i := range rows {
		p := &pool{before: rows[i].license(), byID: map[string]*lease.Lease{}, calls: calls[rows[i].ID]}
		p.License, p.Devices = rows[i].license(), map[string]*licensing.Device{}
		p.Entitled = map[string]lease.Usage{}
		pools[rows[i].ID] = p
	}
	return pools, err
}

// loadNamed loads the leases and devices that requests name.
func (s *Store) loadNamed(tx *gorm.DB, document string, pools map[string]*pool) error {
	wanted := wantedPostgres
	if s.db.Engine() == db.SQLite {
		wanted = wantedSQLite
	}
	var leases []leaseRow
	if err := tx.Raw(wanted+namedLeases, document).Find(&leases).Error; err != nil {
		return err
	}
	for i := range leases {
		p := pools[leases[i].LicenseID]
		p.Named = append(p.Named, p.lease(&leases[i]))
	}
	var devices []deviceRow
	err := tx.Raw(wanted+namedDevices, document).Find(&devices).Error
	for i := range devices {
		d := devices[i].device()
		pools[d.LicenseID].Devices[d.HardwareID] = &d
	}
	return err
}

func (p *pool) lease(row *leaseRow) *lease.Lease {
	if p.byID[row.ID] == nil {
		p.byID[row.ID] = row.lease()
	}
	return p.byID[row.ID]
}

// loadCounts counts the live leases, and loads those that may have to go for others.
func loadCounts(tx *gorm.DB, pools map[string]*pool) error {
	var counts []struct {
		LicenseID   string
		InUse       int
		EarliestEnd db.Time
	}
	ids := slices.Collect(maps.Keys(pools))
	err := tx.Raw(countLeases, sql.Named("licenses", db.In("license_id", ids)), sql.Named("now", pools[ids[0]].Now)).
		Find(&counts).Error
	if err != nil {
		return err
	}
	for _, c := range counts {
		pools[c.LicenseID].InUse, pools[c.LicenseID].EarliestEnd = c.InUse, c.EarliestEnd.Time
	}
	for _, p := range pools {
		if err := p.loadEvictable(tx); err != nil {
			return err
		}
	}
	return nil
}

// loadEntitled counts the live leases that claim an entitlement which a request names, or a lease that is over: its
// holder is told whether it could take another.
func loadEntitled(tx *gorm.DB, batch []leaseRequest, pools map[string]*pool) error {
	var codes []string
	for _, r := range batch {
		if p := pools[r.LicenseID]; p != nil && r.Entitlement != "" {
			p.Entitled[r.Entitlement] = lease.Usage{}
			codes = append(codes, r.Entitlement)
		}
	}
	for _, p := range pools {
		for _, l := range p.Named {
			if l.Entitlement != "" && (l.Ending != "" || !p.Now.Before(l.ExpiresAt)) {
				p.Entitled[l.Entitlement] = lease.Usage{}
				codes = append(codes, l.Entitlement)
			}
		}
	}
	if len(codes) == 0 {
		return nil
	}
	var counts []struct {
		LicenseID, Entitlement string
		InUse                  int
		EarliestEnd            db.Time
	}
	ids := slices.Collect(maps.Keys(pools))
	err := tx.Raw(countEntitled, sql.Named("licenses", db.In("license_id", ids)),
		sql.Named("claims", db.In("entitlement", codes)), sql.Named("now", pools[ids[0]].Now)).
		Find(&counts).Error
	for _, c := range counts {
		pools[c.LicenseID].Entitled[c.Entitlement] = lease.Usage{InUse: c.InUse, EarliestEnd: c.EarliestEnd.Time}
	}
	return err
}

// loadEvictable loads as many as all requests together could need.
func (p *pool) loadEvictable(tx *gorm.DB) error {
	f := p.License.Floating
	if f == nil || f.Overflow != licensing.OverflowEvictOldest || p.InUse+p.calls <= f.Slots {
		return nil
	}
	var rows []leaseRow
	err := tx.Table("leases").Where(evictableLeases, sql.Named("id", p.License.ID), sql.Named("now", p.Now)).
		Order("last_seen_at, id").Limit(p.calls + p.InUse + p.calls - f.Slots).Find(&rows).Error
	for i := range rows {
		p.Evictable = append(p.Evictable, p.lease(&rows[i]))
	}
	return err
}
