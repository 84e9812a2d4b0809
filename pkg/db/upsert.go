package db

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// Upsert inserts rows, structs of columns, or overwrites those that have the same key; nothing for no rows. The columns
// are no JSON. On PostgreSQL the rows are one parameter, so that the statement is the same however many they are.
func Upsert[T any](tx *gorm.DB, table string, rows []T, key ...string) error {
	for _, query := range Upserting(table, rows, key...) {
		if err := query(tx).Error; err != nil {
			return err
		}
	}
	return nil
}

// Upserting is Upsert as queries for Pipeline, which may send others beside them.
func Upserting[T any](table string, rows []T, key ...string) []Query {
	if len(rows) == 0 {
		return nil
	}
	return []Query{func(tx *gorm.DB) *gorm.DB {
		if tx.Name() != "postgres" {
			conflict := clause.OnConflict{UpdateAll: true}
			for _, column := range key {
				conflict.Columns = append(conflict.Columns, clause.Column{Name: column})
			}
			return tx.Table(table).Clauses(conflict).Create(&rows)
		}
		fields, err := columnsOf(rows[0])
		var document string
		if err == nil {
			document, err = documentOf(tx.Statement.Context, fields, rows)
		}
		if err != nil {
			_ = tx.AddError(err)
			return tx
		}
		return tx.Exec(upsertSQL(table, fields, key), document)
	}}
}

var parsedRows sync.Map // schema.Parse keeps what it has parsed

// columnsOf are the columns that are written.
func columnsOf(row any) (fields []*schema.Field, err error) {
	parsed, err := schema.Parse(row, &parsedRows, schema.NamingStrategy{IdentifierMaxLength: 64})
	if err != nil {
		return nil, err
	}
	for _, name := range parsed.DBNames {
		if f := parsed.FieldsByDBName[name]; f.Creatable {
			fields = append(fields, f)
		}
	}
	return fields, nil
}

func documentOf[T any](ctx context.Context, fields []*schema.Field, rows []T) (string, error) {
	objects := make([]map[string]any, len(rows))
	for i := range rows {
		objects[i] = make(map[string]any, len(fields))
		row := reflect.ValueOf(&rows[i]).Elem()
		for _, f := range fields {
			value, _ := f.ValueOf(ctx, row)
			if valuer, ok := value.(driver.Valuer); ok {
				var err error
				if value, err = valuer.Value(); err != nil {
					return "", fmt.Errorf("encode column %s: %w", f.DBName, err)
				}
			}
			if bytes, ok := value.([]byte); ok {
				value = `\x` + hex.EncodeToString(bytes)
			}
			objects[i][f.DBName] = value
		}
	}
	document, err := json.Marshal(objects)
	return string(document), err
}

func upsertSQL(table string, fields []*schema.Field, key []string) string {
	columns, updates := make([]string, len(fields)), make([]string, len(fields))
	for i, f := range fields {
		columns[i] = f.DBName
		updates[i] = f.DBName + " = excluded." + f.DBName
	}
	all := strings.Join(columns, ", ")
	return "INSERT INTO " + table + " (" + all + ") SELECT " + all +
		" FROM json_populate_recordset(NULL::" + table + ", ?::json) ON CONFLICT (" + strings.Join(key, ", ") +
		") DO UPDATE SET " + strings.Join(updates, ", ")
}
