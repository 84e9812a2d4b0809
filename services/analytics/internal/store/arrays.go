package store

import (
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/uid"
)

func arrayOf[T any](rows reflect.Value, field int, get func(reflect.Value) T) db.Array[T] {
	values := make(db.Array[T], rows.Len())
	for i := range values {
		values[i] = get(rows.Index(i).Field(field))
	}
	return values
}

// arrays turns rows, whose fields are in the order of columns, into one parameter per column.
func arrays(columns []column, rows reflect.Value) ([]any, error) {
	params := make([]any, len(columns))
	for i, c := range columns {
		switch c.kind {
		case "uuid":
			params[i] = arrayOf(rows, i, uuidOf)
		case "text", "json", "jsonb":
			params[i] = arrayOf(rows, i, textOf)
		case "bigint", "integer":
			params[i] = arrayOf(rows, i, intOf)
		case "double precision":
			params[i] = arrayOf(rows, i, floatOf)
		case "boolean":
			params[i] = arrayOf(rows, i, boolOf)
		case "timestamptz":
			params[i] = arrayOf(rows, i, timeOf)
		case "bytea":
			params[i] = arrayOf(rows, i, bytesOf)
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
	b, ok := uid.Bytes(v.String())
	return pgtype.UUID{Bytes: b, Valid: ok}
}

// textOf reads a string, or the bytes of a document.
func textOf(v reflect.Value) pgtype.Text {
	if v.Kind() == reflect.Slice {
		return pgtype.Text{String: string(v.Bytes()), Valid: true}
	}
	return pgtype.Text{String: v.String(), Valid: true}
}

func intOf(v reflect.Value) pgtype.Int8 {
	if v.CanUint() {
		return pgtype.Int8{Int64: int64(v.Uint()), Valid: true}
	}
	return pgtype.Int8{Int64: v.Int(), Valid: true}
}

func floatOf(v reflect.Value) pgtype.Float8 { return pgtype.Float8{Float64: v.Float(), Valid: true} }

func boolOf(v reflect.Value) pgtype.Bool { return pgtype.Bool{Bool: v.Bool(), Valid: true} }

// timeOf reads a stamp through its address: making an interface of each would copy it.
func timeOf(v reflect.Value) pgtype.Timestamptz {
	s := v.Addr().Interface().(*stamp)
	return pgtype.Timestamptz{Time: s.Time.Time, Valid: !s.IsZero()}
}

// octets is bytes that pgx takes by their address.
type octets []byte

// BytesValue implements pgtype.BytesValuer.
func (o *octets) BytesValue() ([]byte, error) { return *o, nil }

func bytesOf(v reflect.Value) octets { return v.Bytes() }
