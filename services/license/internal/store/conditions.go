package store

import (
	"database/sql"
	"time"

	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// SQLite uses an index for "is_active = true", and none for "is_active". The latter is right where most licenses hold:
// it would sort them all, and not read a page in the order of the list.
const (
	// usable holds for licenses that may be used at @now.
	usable      = started + " AND (usable_until IS NULL OR usable_until > @now)"
	started     = unsuspended + " AND " + begun
	unsuspended = "is_active = true AND " + notHeld
	notHeld     = "(suspended_at IS NULL OR suspended_until <= @now)"
	begun       = "(starts_at IS NULL OR starts_at <= @now)"
)

// conditions hold for the licenses that have a status at @now. They repeat the checks of the rules, and are tested
// against them.
var conditions = map[licensing.Status]string{
	licensing.StatusActive: "is_active AND " + notHeld + " AND " + begun +
		" AND (expires_at IS NULL OR expires_at > @now)",
	licensing.StatusInGrace:    usable + " AND expires_at <= @now",
	licensing.StatusNotStarted: unsuspended + " AND starts_at > @now",
	licensing.StatusExpired:    started + " AND usable_until <= @now",
	licensing.StatusSuspended: "is_active = true AND suspended_at IS NOT NULL AND (suspended_until IS NULL OR " +
		"suspended_until > @now)",
	licensing.StatusInactive: "is_active = false",
}

// having selects the licenses that have a status.
func having(status licensing.Status, now time.Time) clause.NamedExpr {
	return clause.NamedExpr{SQL: conditions[status], Vars: []any{sql.Named("now", now)}}
}

// hasEnd holds for licenses that have an end, or get one with their first activation.
const hasEnd = "(expires_at IS NOT NULL OR duration_days > 0 OR duration_months > 0)"

// ofType selects the licenses of a type: those whose vendor named it, and those whose end says it. It repeats
// Terms.LicenseType, and is tested against it.
func ofType(name string) clause.Expr {
	unnamed := map[string]string{
		licensing.TypePerpetual:   " OR license_type = '" + unnamedType + "' AND NOT " + hasEnd,
		licensing.TypeTimeLimited: " OR license_type = '" + unnamedType + "' AND " + hasEnd,
	}
	return clause.Expr{SQL: "(license_type = ?" + unnamed[name] + ")", Vars: []any{name}}
}

// due hold for the licenses that have a status at @now of which nobody has told. What is written out again after a
// status makes a partial index serve the condition.
var due = []string{
	conditions[licensing.StatusExpired] + " AND expires_at <= @now AND announced <> 'expired'",
	conditions[licensing.StatusInGrace] + " AND announced <> 'expired' AND announced <> 'in_grace'",
	started + " AND announced = 'not_started'",
	"is_active = true AND suspended_until IS NOT NULL AND suspended_until <= @now",
}
