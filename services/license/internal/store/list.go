package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// List implements licensing.Reads.
func (s *Store) List(
	ctx context.Context, f licensing.Filter, now time.Time,
) (licensing.Page[licensing.License], error) {
	selected, err := s.selecting(ctx, f, now)
	if err != nil {
		return licensing.Page[licensing.License]{}, translate(err)
	}
	parts := []selection{selected}
	if f.Status == licensing.StatusExpired {
		if parts, err = s.ended(ctx, selected, now); err != nil {
			return licensing.Page[licensing.License]{}, translate(err)
		}
	}
	span := licensing.Span{Page: f.Page, PerPage: f.PerPage, After: f.After}
	newest := newestFirst("created_at", func(r *licenseRow) (time.Time, string) { return r.CreatedAt, r.ID })
	return readParts(parts, licenseColumns, span, newest, (*licenseRow).license)
}

// ended parts a selection of expired licenses into those of which it was told, which an index has in the order of
// lists, and those of which it will be within a minute, which are few. Among all licenses the expired are the oldest:
// newest first, hundreds of thousands of others would come before them.
func (s *Store) ended(ctx context.Context, selected selection, now time.Time) ([]selection, error) {
	var ids []string
	err := s.db.Read(ctx).Table("licenses").
		Where("is_active = true AND announced <> 'expired' AND expires_at <= ?", now).
		Where("usable_until <= ?", now). // not those in grace
		Limit(fewFound+1).Pluck("id", &ids).Error
	if len(ids) > fewFound {
		return []selection{selected}, err
	}
	parts := []selection{selected.having("announced = 'expired'")}
	if len(ids) > 0 {
		parts = append(parts, selected.having("announced <> 'expired'").having(db.In("id", ids)))
	}
	return parts, err
}

// LicenseIDs implements licensing.Reads.
func (s *Store) LicenseIDs(ctx context.Context, f licensing.Filter, now time.Time, limit int) ([]string, error) {
	selected, err := s.selecting(ctx, f, now)
	if err != nil {
		return nil, translate(err)
	}
	ids := []string{}
	err = selected.page().Order("id").Limit(limit).Pluck("id", &ids).Error
	return ids, translate(err)
}

// selection makes queries for the same licenses: page for some of them in order, total for how many there are.
type selection struct{ page, total func() *gorm.DB }

// having is the part of a selection that a condition leaves.
func (s selection) having(condition any) selection { return s.parted(condition, condition) }

// parted is having, by a condition for each of its two queries: alike in what they leave, not in how it is found.
func (s selection) parted(page, total any) selection {
	return selection{
		func() *gorm.DB { return s.page().Where(page) },
		func() *gorm.DB { return s.total().Where(total) },
	}
}

// selecting selects the licenses that match.
func (s *Store) selecting(ctx context.Context, f licensing.Filter, now time.Time) (selection, error) {
	conditions, err := s.lookedUp(ctx, f, now)
	matching := func() *gorm.DB {
		q := s.matching(ctx, f, now)
		for _, condition := range conditions {
			q = q.Where(condition)
		}
		return q
	}
	selected := selection{matching, matching}
	if err != nil || len(f.Metadata) == 0 {
		return selected, err
	}
	page, total, err := s.havingMetadata(ctx, f.Metadata)
	return selected.parted(page, total), err
}

// lookedUp are the conditions on licenses that take a look elsewhere first: the planner then knows how many licenses
// they leave.
func (s *Store) lookedUp(
	ctx context.Context, f licensing.Filter, now time.Time,
) (conditions []clause.Expression, err error) {
	if f.Search != nil {
		condition, err := s.beginning(ctx, *f.Search)
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, condition)
	}
	if f.Product != nil {
		var ids []string
		if err := s.db.Read(ctx).Table("products").Where("code = ?", f.Product).Pluck("id", &ids).Error; err != nil {
			return nil, err
		}
		conditions = append(conditions, clause.IN{Column: clause.Column{Name: "product_id"}, Values: anys(ids)})
	}
	if f.Key != nil {
		ids, err := s.ofKey(ctx, *f.Key, now)
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, clause.IN{Column: clause.Column{Name: "id"}, Values: anys(ids)})
	}
	if f.Status == licensing.StatusInGrace {
		since, err := s.graceSince(ctx, now)
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, clause.Expr{SQL: "grace_hours > 0 AND expires_at > ?", Vars: []any{since}})
	}
	return conditions, nil
}

// ofKey is the license that has a key or had it, or none.
func (s *Store) ofKey(ctx context.Context, key string, now time.Time) ([]string, error) {
	found, err := s.findKey(ctx, key)
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	return found.ids(now), err
}

// graceSince is an instant at which no license ended that is in grace still: the longest grace of all before now. It
// keeps the search for the few in grace away from all that have ended.
func (s *Store) graceSince(ctx context.Context, now time.Time) (time.Time, error) {
	var hours int
	err := s.db.Read(ctx).Table("licenses").Select("coalesce(max(grace_hours), 0)").Where("grace_hours > 0").
		Scan(&hours).Error
	return now.Add(-time.Duration(hours) * time.Hour), err
}

func (s *Store) matching(ctx context.Context, f licensing.Filter, now time.Time) *gorm.DB {
	q := s.db.Read(ctx).Table("licenses")
	where := func(set bool, condition string, value any) {
		if set {
			q = q.Where(condition, value)
		}
	}
	where(f.CustomerID != nil, "customer_id = ?", f.CustomerID)
	where(f.Policy != nil, "policy = ?", f.Policy)
	where(f.GroupID != nil, "group_id = ?", f.GroupID)
	if f.IsActive != nil && *f.IsActive {
		q = q.Where("is_active") // conditions.go
	}
	where(f.IsActive != nil && !*f.IsActive, "is_active = ?", false)
	q = flagged(q, "is_test", f.IsTest)
	q = flagged(q, "is_trial", f.IsTrial)
	where(f.CreatedAfter != nil, "created_at >= ?", f.CreatedAfter)
	where(f.CreatedBefore != nil, "created_at < ?", f.CreatedBefore)
	where(f.ExpiresAfter != nil, "expires_at >= ?", f.ExpiresAfter)
	where(f.ExpiresBefore != nil, "expires_at < ?", f.ExpiresBefore)
	if f.HardwareID != nil {
		q = q.Where("id IN (SELECT license_id FROM devices WHERE hardware_id = ? AND is_active UNION ALL "+
			formerly+"device_aliases.hardware_id = ?)", f.HardwareID, f.HardwareID)
	}
	if f.LicenseType != "" {
		q = q.Where(ofType(f.LicenseType))
	}
	if f.Status != "" {
		q = q.Where(having(f.Status, now))
	}
	return q
}

// flagged asks for a flag of which an index has the licenses that have it: a parameter would hide that from the
// planner.
func flagged(q *gorm.DB, column string, set *bool) *gorm.DB {
	switch {
	case set == nil:
		return q
	case *set:
		return q.Where(column)
	}
	return q.Where("NOT " + column)
}

// formerly finds the licenses on which a device has a seat by a hardware id that the device had before.
const formerly = `SELECT devices.license_id FROM ` + formerIDs + ` JOIN devices ON devices.id = device_aliases.device_id
	WHERE devices.is_active AND `

// fewFound is up to how many licenses a list looks up first. Of more than that, a page is soon full when all are gone
// through, newest first.
const fewFound = 2000

// beginning selects the licenses of which the customer, the customer's e-mail address, the key as it is shown, or a
// device with a seat begins with a text.
func (s *Store) beginning(ctx context.Context, text string) (clause.Expression, error) {
	begins := s.begins
	// Our own keys are in capitals, others as they were imported.
	key := strings.NewReplacer("@begin", "@key", "@end", "@key_end").Replace(begins("masked_key"))
	bounds := []any{
		sql.Named("begin", text), sql.Named("end", text+lastRune),
		sql.Named("key", strings.ToUpper(text)), sql.Named("key_end", strings.ToUpper(text)+lastRune),
		sql.Named("folded", strings.ToLower(text)), sql.Named("folded_end", strings.ToLower(text)+lastRune),
	}
	email := strings.NewReplacer("@begin", "@folded", "@end", "@folded_end").Replace(begins("customers.email_key"))
	device := "is_active AND (" + begins("hardware_id") + " OR name <> '' AND " + begins("name") + ")"
	few := `SELECT id FROM licenses WHERE ` + begins("customer_id") + ` UNION ALL SELECT id FROM licenses WHERE ` +
		key + ` UNION ALL SELECT id FROM licenses WHERE ` + begins("masked_key") +
		` UNION ALL SELECT licenses.id FROM customers JOIN licenses ON licenses.customer_id = customers.customer_id
			WHERE ` + email +
		` UNION ALL SELECT license_id FROM devices WHERE is_active AND ` + begins("hardware_id") +
		` UNION ALL ` + formerly + begins("device_aliases.hardware_id") +
		` UNION ALL SELECT license_id FROM devices WHERE is_active AND name <> '' AND ` + begins("name")
	var ids []string
	err := s.db.Read(ctx).
		Raw("SELECT id FROM ("+few+") AS found LIMIT @limit", append(bounds, sql.Named("limit", fewFound+1))...).
		Scan(&ids).Error
	if len(ids) <= fewFound {
		return clause.IN{Column: clause.Column{Name: "id"}, Values: anys(ids)}, translate(err)
	}
	return clause.NamedExpr{SQL: "(" + begins("customer_id") + " OR " + key + " OR " + begins("masked_key") +
			" OR EXISTS (SELECT 1 FROM customers WHERE customers.customer_id = licenses.customer_id" +
			" AND " + email + ")" +
			" OR EXISTS (SELECT 1 FROM devices WHERE license_id = licenses.id AND " + device + ")" +
			" OR licenses.id IN (" + formerly + begins("device_aliases.hardware_id") + "))", Vars: bounds},
		translate(err)
}

// begins holds for the rows whose column begins with the text between @begin and @end.
func (s *Store) begins(column string) string {
	if s.db.Engine() == db.Postgres {
		// by bytes, as the indexes are, whatever the collation
		return column + " ~>=~ @begin AND " + column + " ~<~ @end"
	}
	return column + " >= @begin AND " + column + " < @end"
}

// lastRune follows every other one.
const lastRune = "\U0010FFFF"

func anys(texts []string) []any {
	values := make([]any, len(texts))
	for i, text := range texts {
		values[i] = text
	}
	return values
}
