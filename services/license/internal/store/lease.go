package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/trace"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// leaseRow mirrors the table leases.
type leaseRow struct {
	ID            string
	LicenseID     string
	HardwareID    string
	SessionID     string
	DeviceName    string
	Entitlement   string
	LeasedAt      time.Time
	LastSeenAt    time.Time
	ExpiresAt     time.Time
	BorrowedUntil *time.Time
	Ending        string
	EndedAt       *time.Time
}

func newLeaseRow(l *lease.Lease) leaseRow {
	return leaseRow{
		ID:            l.ID,
		LicenseID:     l.LicenseID,
		HardwareID:    l.HardwareID,
		SessionID:     l.SessionID,
		DeviceName:    l.DeviceName,
		Entitlement:   l.Entitlement,
		LeasedAt:      l.LeasedAt,
		LastSeenAt:    l.LastSeenAt,
		ExpiresAt:     l.ExpiresAt,
		BorrowedUntil: nullable(l.BorrowedUntil),
		Ending:        string(l.Ending),
		EndedAt:       nullable(l.EndedAt),
	}
}

func (r *leaseRow) lease() *lease.Lease {
	return &lease.Lease{
		ID:            r.ID,
		LicenseID:     r.LicenseID,
		Holder:        lease.Holder{HardwareID: r.HardwareID, SessionID: r.SessionID},
		DeviceName:    r.DeviceName,
		Entitlement:   r.Entitlement,
		LeasedAt:      r.LeasedAt.UTC(),
		LastSeenAt:    r.LastSeenAt.UTC(),
		ExpiresAt:     r.ExpiresAt.UTC(),
		BorrowedUntil: value(r.BorrowedUntil),
		Ending:        lease.Ending(r.Ending),
		EndedAt:       value(r.EndedAt),
	}
}

// leaseRequest is a call that changes leases. trace goes with its events.
type leaseRequest struct {
	lease.Call
	decide func(*lease.Pool) error
	trace  string
}

func (r leaseRequest) licenseID() string { return r.LicenseID }

// leaseResult is what came of a request: settled is false when somebody else held the license.
type leaseResult struct {
	settled bool
	err     error
}

// ChangeLeases implements lease.Store. It runs a call in a batch with others, unless it is part of a transaction, and
// alone if the batch gave no result.
func (s *Store) ChangeLeases(ctx context.Context, c lease.Call, decide func(*lease.Pool) error) error {
	if !uid.Is(c.LicenseID) {
		return licensing.ErrNotFound
	}
	r := leaseRequest{Call: c, decide: decide, trace: trace.Parent(ctx)}
	if !s.db.InTx(ctx) {
		o, err := s.leases.Do(ctx, r)
		if err != nil {
			return translate(err)
		}
		if o.settled {
			return o.err
		}
	}
	all, err := s.runLeases(ctx, []leaseRequest{r}, false)
	if err != nil {
		return translate(err)
	}
	return all[0].err
}

// runLeaseBatch settles nothing when the transaction fails because of what one of them brought, as runBatch does.
func (s *Store) runLeaseBatch(ctx context.Context, wanted []leaseRequest) ([]leaseResult, error) {
	ctx, cancel := context.WithTimeout(ctx, togetherTime)
	defer cancel()
	all, err := s.runLeases(ctx, wanted, true)
	if err != nil && !errors.Is(err, apierr.ErrUnavailable) {
		return make([]leaseResult, len(wanted)), nil
	}
	return all, err
}

// runLeases carries out requests in one transaction. With skip it leaves out those whose license somebody else holds,
// who must not keep the others waiting; otherwise it waits, and there is one request.
func (s *Store) runLeases(ctx context.Context, batch []leaseRequest, skip bool) ([]leaseResult, error) {
	var all []leaseResult
	err := s.db.TxEnding(ctx, func(ctx context.Context, tx *gorm.DB) ([]db.Query, error) {
		pools, err := s.loadPools(tx, batch, leaseNow(s.db, s.clock), s.leaseLock(skip))
		if err != nil {
			return nil, err
		}
		var events []event.Event
		if all, events, err = decideAll(batch, pools, skip); err != nil {
			return nil, err
		}
		s.tell(ctx, pools, events)
		return s.writePools(ctx, tx, pools, events)
	})
	return all, err
}

// tell has the caches of this process learn of licenses that were changed. A lease alone changes nothing that they
// hold.
func (s *Store) tell(ctx context.Context, pools map[string]*pool, events []event.Event) {
	for _, e := range events {
		if p := pools[e.Subject]; p.License.Version != p.before.Version {
			db.AfterCommit(ctx, func() { s.committed(e) })
		}
	}
}

// decideAll lets each request decide, in their order, and gathers the events.
func decideAll(
	batch []leaseRequest, pools map[string]*pool, skipped bool,
) (all []leaseResult, events []event.Event, err error) {
	all = make([]leaseResult, len(batch))
	for i, r := range batch {
		p := pools[r.LicenseID]
		if p == nil {
			all[i] = leaseResult{settled: !skipped, err: licensing.ErrNotFound}
			continue
		}
		before := len(p.Events())
		all[i] = leaseResult{settled: true, err: r.decide(&p.Pool)}
		for _, msg := range p.Events()[before:] {
			e, err := event.New(licensing.Source, r.LicenseID, p.Now, msg)
			if err != nil {
				return nil, nil, err
			}
			e.Trace = r.trace
			events = append(events, e)
		}
	}
	return all, events, nil
}

// writePools writes licenses whose time has begun with a lease. The leases that were changed and the events are what it
// returns.
func (s *Store) writePools(
	ctx context.Context, tx *gorm.DB, pools map[string]*pool, events []event.Event,
) ([]db.Query, error) {
	var made, changed []leaseRow
	for _, p := range pools {
		if err := p.writeLicense(tx); err != nil {
			return nil, err
		}
		if err := holdOffline(tx, p.License.ID, p.OfflineHorizon); err != nil {
			return nil, err
		}
		for _, l := range p.Recalled {
			if err := holdDevice(tx, &l, p.Now); err != nil {
				return nil, err
			}
		}
		for _, l := range p.Changed() {
			if p.byID[l.ID] == nil {
				made = append(made, newLeaseRow(l))
			} else {
				changed = append(changed, newLeaseRow(l))
			}
		}
	}
	writes, err := s.outbox.Adding(ctx, events)
	if err == nil && len(changed) > 0 { // first, as what has ended may make way for what is made
		writes = append(writes, s.writeLeases(overwriteLeases, changed))
	}
	if err == nil && len(made) > 0 {
		writes = append(writes, s.writeLeases(insertLeases, made))
	}
	return writes, err
}

// writeLicense spares most leases the comparison of whole licenses: what they change of one counts its version, or is
// the status that was announced.
func (p *pool) writeLicense(tx *gorm.DB) error {
	if p.License.Version == p.before.Version && p.License.Announced == p.before.Announced {
		return nil
	}
	return writeLicense(tx, &p.before, &p.License)
}

const (
	insertLeases = `INSERT INTO leases (id, license_id, hardware_id, session_id, device_name, entitlement, leased_at,
			last_seen_at, expires_at, borrowed_until, ending, ended_at)
		SELECT * FROM unnest(?::uuid[], ?::uuid[], ?::text[], ?::text[], ?::text[], ?::text[], ?::timestamptz[],
			?::timestamptz[], ?::timestamptz[], ?::timestamptz[], ?::text[], ?::timestamptz[])`
	// A renewal or an end changes only what is named here.
	overwriteLeases = insertLeases + ` ON CONFLICT (id) DO UPDATE SET entitlement = excluded.entitlement,
		last_seen_at = excluded.last_seen_at, expires_at = excluded.expires_at,
		borrowed_until = excluded.borrowed_until, ending = excluded.ending, ended_at = excluded.ended_at`
)

// writeLeases writes rows by one of the statements of PostgreSQL.
func (s *Store) writeLeases(statement string, rows []leaseRow) db.Query {
	if s.db.Engine() == db.SQLite {
		return func(tx *gorm.DB) *gorm.DB {
			return tx.Table("leases").Clauses(clause.OnConflict{
				Columns: []clause.Column{{Name: "id"}}, UpdateAll: true,
			}).Create(&rows)
		}
	}
	params := []any{
		column(rows, func(r leaseRow) pgtype.UUID { return pgUUID(r.ID) }),
		column(rows, func(r leaseRow) pgtype.UUID { return pgUUID(r.LicenseID) }),
		column(rows, func(r leaseRow) string { return r.HardwareID }),
		column(rows, func(r leaseRow) string { return r.SessionID }),
		column(rows, func(r leaseRow) string { return r.DeviceName }),
		column(rows, func(r leaseRow) string { return r.Entitlement }),
		column(rows, func(r leaseRow) time.Time { return r.LeasedAt }),
		column(rows, func(r leaseRow) time.Time { return r.LastSeenAt }),
		column(rows, func(r leaseRow) time.Time { return r.ExpiresAt }),
		column(rows, func(r leaseRow) *time.Time { return r.BorrowedUntil }),
		column(rows, func(r leaseRow) string { return r.Ending }),
		column(rows, func(r leaseRow) *time.Time { return r.EndedAt }),
	}
	return func(tx *gorm.DB) *gorm.DB { return tx.Exec(statement, params...) }
}

// leaseNow is the time that leases are judged by, as a parameter of a statement: that of the database, because the
// clocks of processes differ. SQLite has one process only, and a clock that a test has set is everybody's.
func leaseNow(d *db.DB, c clock.Clock) any {
	if _, set := c.(*clock.Fake); set || d.Engine() == db.SQLite {
		return instant(d, c.Now())
	}
	// Not that of the beginning of the statement, which may be before the last change that it sees.
	return gorm.Expr("clock_timestamp()")
}

// instant is a time as a parameter of a statement that does not tell its type.
func instant(d *db.DB, at time.Time) any {
	if d.Engine() == db.SQLite {
		return at
	}
	return gorm.Expr("?::timestamptz", at)
}

// leaseTime is leaseNow as a value. Where leases are to be counted after it, it is read under the lock of their
// license.
func (s *Store) leaseTime(tx *gorm.DB) (time.Time, error) {
	var now db.Time
	err := tx.Raw("SELECT ?", leaseNow(s.db, s.clock)).Scan(&now).Error
	return now.Time, err
}

// wantedColumns are the requests as the statements of PostgreSQL read them.
func wantedColumns(batch []leaseRequest) []any {
	return []any{
		column(batch, func(r leaseRequest) pgtype.UUID { return pgUUID(r.LicenseID) }),
		column(batch, func(r leaseRequest) string { return r.Holder.HardwareID }),
		column(batch, func(r leaseRequest) string { return r.Holder.SessionID }),
		column(batch, func(r leaseRequest) pgtype.UUID { return pgUUID(r.LeaseID) }),
	}
}

// wantedDocument is the requests as those of SQLite read them.
func wantedDocument(batch []leaseRequest) []any {
	type row struct {
		LicenseID  string `json:"license_id"`
		HardwareID string `json:"hardware_id"`
		SessionID  string `json:"session_id"`
		LeaseID    string `json:"lease_id"`
	}
	rows := make([]row, len(batch))
	for i, r := range batch {
		rows[i] = row{r.LicenseID, r.Holder.HardwareID, r.Holder.SessionID, r.LeaseID}
	}
	document, _ := json.Marshal(rows) // texts always marshal
	return []any{string(document)}
}

// licenseIDs names each license once.
func licenseIDs(batch []leaseRequest) []string {
	ids := make([]string, len(batch))
	for i, r := range batch {
		ids[i] = r.LicenseID
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
