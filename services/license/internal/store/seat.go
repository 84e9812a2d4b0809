package store

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/trace"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/batch"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// seatStatement carries out activations in one statement of PostgreSQL, so that those which come together share its
// round trip and its commit. Each is whole or not at all: only a device that got in is counted and has an event.
//
// It repeats the checks of the rules as far as plain terms ask them, and leaves a license with other terms to Change.
//
// Requests on a license are numbered in the order of device ids, which is that of arrival, and as many are let in as
// seats are free. A device that was on the license before uses up a number too, though Change lets it in; if that shuts
// out the last of the others, it is refused here and tried again through Change.
const seatStatement = `
-- The requests, numbered on each license.
WITH wanted AS (
	SELECT *, row_number() OVER (PARTITION BY license_id ORDER BY device_id) AS place
	FROM unnest(?::uuid[], ?::uuid[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::timestamptz[],
		?::uuid[], ?::text[], ?::text[], ?::text[])
		AS w(device_id, license_id, hardware_id, name, os_name, os_version, app_version, at,
			event_id, type, data, trace)
-- Their licenses, locked. One that somebody else holds is skipped: it must not keep the others waiting, and nobody can
-- wait in a circle.
), license AS (
	SELECT l.id, needs_checks, l.is_active, license_type, is_trial, expires_at, features, max_devices, current_devices,
		l.version, policy, code AS product,
		p.is_active AND min_version = '' AND authorization_method = 'key' AS product_open
	FROM licenses l JOIN products p ON p.id = product_id
	WHERE l.id IN (SELECT license_id FROM wanted) FOR NO KEY UPDATE OF l SKIP LOCKED
-- The devices that get in. activated_version is the first that the license gets after the lock, so it is new to every
-- device.
), device AS (
	INSERT INTO devices (id, license_id, hardware_id, name, os_name, os_version, app_version, is_active, activated_at,
		activated_version, last_seen_at)
	SELECT device_id, license_id, hardware_id, name, os_name, os_version, app_version, true, at, version + 1, at
	FROM wanted JOIN license ON id = license_id
	WHERE NOT needs_checks AND product_open AND is_active
		AND (expires_at IS NULL OR expires_at > at) AND current_devices + place <= max_devices
	ON CONFLICT (license_id, hardware_id) DO NOTHING
	RETURNING id
-- Those that were not here before, numbered anew.
), seat AS (
	SELECT wanted.*, row_number() OVER (PARTITION BY license_id ORDER BY device_id) AS nth
	FROM wanted JOIN device ON id = device_id
-- They are counted on their licenses.
), counted AS (
	UPDATE licenses SET current_devices = current_devices + nth, version = version + nth, updated_at = at
	FROM (SELECT license_id, max(nth) AS nth, max(at) AS at FROM seat GROUP BY license_id) s WHERE id = license_id
-- Each has an event with the state of its license after it.
), event AS (
	INSERT INTO outbox (id, type, source, subject, occurred_at, trace, data)
	SELECT event_id, type, ?, license_id::text, at, trace, (data::jsonb || jsonb_build_object(
		'current_devices', current_devices + nth, 'max_devices', max_devices, 'version', version + nth))::json
	FROM seat JOIN license ON id = license_id ORDER BY device_id
	RETURNING seq
-- The relay finds the events here.
), unsent AS (
	INSERT INTO outbox_unsent SELECT seq FROM event
)
-- What came of the requests whose license was held; the others are not settled.
SELECT wanted.device_id, nth IS NOT NULL AS taken, license_type, is_trial, expires_at, features, max_devices,
	current_devices + nth AS current_devices, product, policy
FROM wanted JOIN license ON id = wanted.license_id LEFT JOIN seat ON seat.device_id = wanted.device_id`

// seatStatementWaiting waits for the license instead. With one activation only, nobody else waits with it.
var seatStatementWaiting = strings.Replace(seatStatement, " SKIP LOCKED", "", 1)

// batches has a second batch at work while the first one commits, and more where there are processors for them, but
// none so small that it gives up what going together saves. SQLite carries out one at a time, and each costs two writes
// to the disk.
func batches(engine db.Engine, name string) batch.Options {
	o := batch.Options{Name: name, Size: 64, Patience: seatPatience}
	if engine == db.SQLite {
		o.MaxConcurrent, o.Linger = 1, regrouping
		return o
	}
	o.MaxConcurrent, o.MinExtra = max(2, runtime.GOMAXPROCS(0)/2), 8
	return o
}

// transactions is batches of several statements: what each of them costs is shared by more callers if the batch waits
// for those of the last one to come again.
func transactions(engine db.Engine, name string) batch.Options {
	o := batches(engine, name)
	o.Linger = regrouping
	return o
}

const (
	// regrouping is slightly longer than a client in a loop needs to send its next call.
	regrouping = 2 * time.Millisecond
	// seatPatience is how long an activation waits for its batch: anyone who is let in shall be answered within a
	// second.
	seatPatience = 700 * time.Millisecond
	// togetherTime bounds a batch: those who wait for it, and for the next one, must be answered while they still
	// listen.
	togetherTime = 1500 * time.Millisecond
)

// seatRequest is a device that wants a seat, and the event that tells of it.
type seatRequest struct {
	device licensing.Device
	event  event.Event
}

func (a seatRequest) licenseID() string { return a.device.LicenseID }

// seatResult is what came of a request: settled is false when somebody else held the license, seat nil when there was
// none to have.
type seatResult struct {
	settled bool
	seat    *licensing.Activation
}

// TakeSeat implements licensing.Store.
func (s *Store) TakeSeat(
	ctx context.Context, d licensing.Device, msg func() proto.Message,
) (*licensing.Activation, error) {
	if !uid.Is(d.LicenseID) {
		return nil, nil
	}
	e, err := event.New(licensing.Source, d.LicenseID, d.ActivatedAt, msg())
	if err != nil {
		return nil, err
	}
	e.Trace = trace.Parent(ctx)
	o, err := s.requestSeat(ctx, seatRequest{d, e})
	return o.seat, translate(err)
}

// requestSeat runs a in a batch with other requests, unless it is part of a transaction, and alone if the batch gave no
// result.
func (s *Store) requestSeat(ctx context.Context, a seatRequest) (seatResult, error) {
	if !s.db.InTx(ctx) {
		if o, err := s.seats.Do(ctx, a); err != nil || o.settled {
			return o, err
		}
	}
	all, err := s.runSeats(ctx, seatStatementWaiting, []seatRequest{a})
	if err != nil {
		return seatResult{}, err
	}
	return all[0], nil
}

// runBatch settles nothing when the statement fails because of what one of them brought: each then goes by itself.
// After an outage nobody knows what was committed, so the failure is everyone's.
func (s *Store) runBatch(ctx context.Context, wanted []seatRequest) ([]seatResult, error) {
	ctx, cancel := context.WithTimeout(ctx, togetherTime)
	defer cancel()
	all, err := s.runSeats(ctx, seatStatement, wanted)
	if err != nil && !errors.Is(err, apierr.ErrUnavailable) {
		return make([]seatResult, len(wanted)), nil
	}
	return all, err
}

func (s *Store) runSeats(ctx context.Context, statement string, batch []seatRequest) ([]seatResult, error) {
	if s.db.Engine() == db.SQLite {
		return s.runSeatsSQLite(ctx, batch)
	}
	var all []seatResult
	err := s.db.Statement(ctx, func(ctx context.Context, tx *gorm.DB) error {
		var rows []seatRow
		// not Scan, which renders the SQL for a logger that is off
		if err := tx.Raw(statement, seatParams(batch)...).Find(&rows).Error; err != nil {
			return err
		}
		all = seatResults(batch, rows)
		db.AfterCommit(ctx, func() { s.seatsCommitted(batch, all) })
		return nil
	})
	return all, err
}

func (s *Store) seatsCommitted(batch []seatRequest, all []seatResult) {
	s.outbox.Wake()
	for i, o := range all {
		if o.seat != nil {
			s.committed(batch[i].event)
		}
	}
}

// seatRow is what seatStatement returns of an activation whose license it held.
type seatRow struct {
	DeviceID       string
	Taken          bool
	LicenseType    string
	IsTrial        bool
	ExpiresAt      *time.Time
	Features       string
	MaxDevices     int
	CurrentDevices int
	Product        string
	Policy         *string
}

func seatResults(batch []seatRequest, rows []seatRow) []seatResult {
	byDevice := make(map[string]*seatRow, len(rows))
	for i := range rows {
		byDevice[rows[i].DeviceID] = &rows[i]
	}
	all := make([]seatResult, len(batch))
	for i, a := range batch {
		row := byDevice[a.device.ID]
		if row == nil {
			continue
		}
		all[i].settled = true
		if row.Taken {
			terms := termsRow{
				LicenseType: row.LicenseType, IsTrial: row.IsTrial, ExpiresAt: row.ExpiresAt, Features: row.Features,
			}
			all[i].seat = &licensing.Activation{
				Device: a.device, Terms: terms.terms(), Status: licensing.StatusActive,
				Product: row.Product, Policy: textOrNone(row.Policy),
				Limits: licensing.Limits{MaxDevices: row.MaxDevices, CurrentDevices: row.CurrentDevices},
			}
		}
	}
	return all
}

// seatParams are one array per column of seatStatement, and the source.
func seatParams(batch []seatRequest) []any {
	return []any{
		column(batch, func(a seatRequest) pgtype.UUID { return pgUUID(a.device.ID) }),
		column(batch, func(a seatRequest) pgtype.UUID { return pgUUID(a.device.LicenseID) }),
		column(batch, func(a seatRequest) string { return a.device.HardwareID }),
		column(batch, func(a seatRequest) string { return a.device.Name }),
		column(batch, func(a seatRequest) string { return a.device.OSName }),
		column(batch, func(a seatRequest) string { return a.device.OSVersion }),
		column(batch, func(a seatRequest) string { return a.device.AppVersion }),
		column(batch, func(a seatRequest) time.Time { return a.device.ActivatedAt }),
		column(batch, func(a seatRequest) pgtype.UUID { return pgUUID(a.event.ID) }),
		column(batch, func(a seatRequest) string { return a.event.Type }),
		column(batch, func(a seatRequest) string { return string(a.event.Data) }),
		column(batch, func(a seatRequest) string { return a.event.Trace }),
		licensing.Source,
	}
}

func column[R, T any](rows []R, get func(R) T) db.Array[T] {
	values := make(db.Array[T], len(rows))
	for i, row := range rows {
		values[i] = get(row)
	}
	return values
}

// pgUUID makes NULL, which no column of ours takes, of what is no UUID.
func pgUUID(id string) pgtype.UUID {
	b, ok := uid.Bytes(id)
	return pgtype.UUID{Bytes: b, Valid: ok}
}
