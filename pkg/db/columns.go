package db

import (
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm/schema"
)

// Columns lists the columns that row, a struct, has of a table or its alias, except those named, as "t.id, t.name". A
// statement names them instead of "t.*": PostgreSQL refuses a prepared one with that once a program of the next version
// has added a column. It panics for what gorm cannot read as a row.
func Columns(table string, row any, except ...string) string {
	parsed, err := schema.Parse(row, &sync.Map{}, schema.NamingStrategy{IdentifierMaxLength: 64})
	if err != nil {
		panic(err)
	}
	var names []string
	for _, name := range parsed.DBNames {
		if !slices.Contains(except, name) {
			names = append(names, table+"."+name)
		}
	}
	return strings.Join(names, ", ")
}
