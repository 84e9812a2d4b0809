// Package sqlite is the gorm dialector of the embedded default, over the pure-Go driver modernc.org/sqlite. It knows
// queries only: schemas come from migrations, so AutoMigrate is not supported.
package sqlite

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/migrator"
	"gorm.io/gorm/schema"
	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// Dialector makes gorm speak SQLite on an open handle.
type Dialector struct {
	Conn gorm.ConnPool
}

var (
	_ gorm.Dialector                     = Dialector{}
	_ gorm.ErrorTranslator               = Dialector{}
	_ gorm.SavePointerDialectorInterface = Dialector{}
)

// Name implements gorm.Dialector.
func (Dialector) Name() string { return "sqlite" }

// Initialize implements gorm.Dialector.
func (d Dialector) Initialize(db *gorm.DB) error {
	callbacks.RegisterDefaultCallbacks(db, &callbacks.Config{
		CreateClauses: []string{"INSERT", "VALUES", "ON CONFLICT", "RETURNING"},
		UpdateClauses: []string{"UPDATE", "SET", "FROM", "WHERE", "RETURNING"},
		DeleteClauses: []string{"DELETE", "FROM", "WHERE", "RETURNING"},
	})
	// SQLite has no row locks: a writing transaction holds the lock of the whole file from its begin.
	db.ClauseBuilders["FOR"] = func(clause.Clause, clause.Builder) {}
	db.ClauseBuilders["LIMIT"] = limit
	db.ConnPool = d.Conn
	return nil
}

// limit writes the number into the statement. SQLite's planner looks at it: where it is bound, SQLite compiles a
// statement that is kept again each time it is used.
func limit(c clause.Clause, b clause.Builder) {
	l, ok := c.Expression.(clause.Limit)
	if ok && l.Limit != nil && *l.Limit >= 0 {
		_, _ = b.WriteString("LIMIT " + strconv.Itoa(*l.Limit))
	}
	if l.Offset > 0 {
		_, _ = b.WriteString(" OFFSET ")
		b.AddVar(b, l.Offset)
	}
}

// BindVarTo implements gorm.Dialector. Times are cut to the microsecond, as PostgreSQL keeps them; the driver's
// settings make them UTC text that sorts by time.
func (Dialector) BindVarTo(writer clause.Writer, stmt *gorm.Statement, value any) {
	last := len(stmt.Vars) - 1
	switch t := value.(type) {
	case time.Time:
		stmt.Vars[last] = t.Truncate(time.Microsecond)
	case *time.Time:
		if t != nil {
			stmt.Vars[last] = t.Truncate(time.Microsecond)
		}
	}
	_ = writer.WriteByte('?')
}

// QuoteTo implements gorm.Dialector; a name may be qualified by dots.
func (Dialector) QuoteTo(writer clause.Writer, name string) {
	_ = writer.WriteByte('"')
	for i := range len(name) {
		switch name[i] {
		case '.':
			_, _ = writer.WriteString(`"."`)
		case '"':
			_, _ = writer.WriteString(`""`)
		default:
			_ = writer.WriteByte(name[i])
		}
	}
	_ = writer.WriteByte('"')
}

// Explain implements gorm.Dialector.
func (Dialector) Explain(query string, vars ...any) string {
	return logger.ExplainSQL(query, nil, `'`, vars...)
}

// DefaultValueOf implements gorm.Dialector: NULL makes SQLite number a row by itself.
func (Dialector) DefaultValueOf(*schema.Field) clause.Expression {
	return clause.Expr{SQL: "NULL"}
}

// DataTypeOf implements gorm.Dialector.
func (Dialector) DataTypeOf(field *schema.Field) string { return string(field.DataType) }

// Migrator implements gorm.Dialector; it answers no more than gorm asks while it queries.
func (d Dialector) Migrator(db *gorm.DB) gorm.Migrator {
	return migrator.Migrator{Config: migrator.Config{DB: db, Dialector: d}}
}

// SavePoint implements gorm.SavePointerDialectorInterface.
func (Dialector) SavePoint(tx *gorm.DB, name string) error {
	return tx.Exec("SAVEPOINT " + name).Error
}

// RollbackTo implements gorm.SavePointerDialectorInterface.
func (Dialector) RollbackTo(tx *gorm.DB, name string) error {
	return tx.Exec("ROLLBACK TO SAVEPOINT " + name).Error
}

// Translate implements gorm.ErrorTranslator: violated constraints become gorm's errors, the driver's stays as the
// cause.
func (Dialector) Translate(err error) error {
	var failure *driver.Error
	if !errors.As(err, &failure) {
		return err
	}
	switch failure.Code() {
	case codes.SQLITE_CONSTRAINT_UNIQUE, codes.SQLITE_CONSTRAINT_PRIMARYKEY, codes.SQLITE_CONSTRAINT_ROWID:
		return fmt.Errorf("%w: %w", gorm.ErrDuplicatedKey, err)
	case codes.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("%w: %w", gorm.ErrForeignKeyViolated, err)
	case codes.SQLITE_CONSTRAINT_CHECK:
		return fmt.Errorf("%w: %w", gorm.ErrCheckConstraintViolated, err)
	}
	return err
}
