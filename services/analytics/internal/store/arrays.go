package store

import (
	"database/sql/driver"
	"fmt"
	"reflect"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// array is one column of many rows as a parameter for PostgreSQL, which pgx encodes in binary. Being a driver.Valuer keeps gorm
// from spreading it over the statement.
type array[T any] struct{ pgtype.FlatArray[T] }

// Value implements driver.Valuer. pgx does not call it: it knows arrays.
func (a array[T]) Value() (driver.Value, error) { return a.FlatArray, nil }

func arrayOf[T any](rows reflect.Value, field int, get func(reflect.Value) T) array[T] {
	values := make([]T, rows.Len())
	for i := range values {
		values[i] = get(rows.Index(i).Field(field))
	}
	return array[T]{values}
}

// arrays turns rows, whose fields are in the order of columns, into one parameter per column.
func arrays(columns []column, rows reflect.Value) ([]any, error) {
	params := make([]any, len(columns))
	for i, c := range columns {
		switch c.kind {
		case "uuid":
			params[i] = arrayOf(rows, i, uuidOf)
		case "text", "jsonb":
			params[i] = arrayOf(rows, i, textOf)
		case "bigint", "integer":
			params[i] = arrayOf(rows, i, intOf)
		case "double precision":
			params[i] = arrayOf(rows, i, reflect.Value.Float)
		case "boolean":
			params[i] = arrayOf(rows, i, reflect.Value.Bool)
		case "timestamptz":
			params[i] = arrayOf(rows, i, timeOf)
		case "bytea":
			params[i] = arrayOf(rows, i, reflect.Value.Bytes)
		default:
			return nil, fmt.Errorf("no array of %s", c.kind)
		}
	}
	return params, nil
}

// uuidOf reads a string or *string. What is no UUID becomes NULL, which no key and no id takes.
func uuidOf(v reflect.Value) pgtype.UUID {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return pgtype.UUID{}
		}
		v = v.Elem()
	}
	id, err := uuid.Parse(v.String())
	return pgtype.UUID{Bytes: id, Valid: err == nil}
}

// textOf reads a string, or the bytes of a document.
func textOf(v reflect.Value) string {
	if v.Kind() == reflect.Slice {
		return string(v.Bytes())
	}
	return v.String()
}

func intOf(v reflect.Value) int64 {
	if v.CanUint() {
		return int64(v.Uint())
	}
	return v.Int()
}

// timeOf reads a stamp through its address: making an interface of each would copy it.
func timeOf(v reflect.Value) pgtype.Timestamptz {
	s := v.Addr().Interface().(*stamp)
	return pgtype.Timestamptz{Time: s.Time.Time, Valid: !s.IsZero()}
}
