package db

import (
	"encoding/json"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// In is the condition that a column has one of some values. Its text is the same however many these are: PostgreSQL
// would prepare, and keep, a statement for each length of "IN (?, ?, ...)".
func In(column string, values []string) clause.Expression {
	if values == nil {
		values = []string{} // an array of PostgreSQL, where nil is none
	}
	return in{column, values}
}

type in struct {
	column string
	values []string
}

// Build implements clause.Expression.
func (c in) Build(b clause.Builder) {
	_, _ = b.WriteString(c.column) // a strings.Builder is below, which does not fail
	if isPostgres(b) {
		_, _ = b.WriteString(" = ANY(")
		b.AddVar(b, Array[string](c.values))
	} else {
		_, _ = b.WriteString(" IN (SELECT value FROM json_each(")
		document, _ := json.Marshal(c.values) // texts can be encoded
		b.AddVar(b, string(document))
		_, _ = b.WriteString(")")
	}
	_, _ = b.WriteString(")")
}

func isPostgres(b clause.Builder) bool {
	statement, ok := b.(*gorm.Statement)
	return ok && statement.Name() == "postgres"
}
