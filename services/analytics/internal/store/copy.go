package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"reflect"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
)

// New rows travel to PostgreSQL by COPY in its binary format, which costs it less than an INSERT from arrays does.

// copyHeader begins the format: its name, no flags, no extension. Source: PostgreSQL's documentation of COPY, "Binary Format".
const copyHeader = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// microsTo2000 is what PostgreSQL counts times from, as microseconds since 1970.
const microsTo2000 = 946_684_800_000_000

// copied is rows in that format.
type copied []byte

// copyIn sends the rows.
func (t table) copyIn(tx *gorm.DB, rows reflect.Value) error {
	data, err := t.copied(rows)
	if err != nil {
		return err
	}
	_, err = tx.Statement.ConnPool.ExecContext(tx.Statement.Context, "COPY "+t.name+" ("+t.list()+") FROM STDIN BINARY", data)
	return err
}

// RewriteQuery implements pgx.QueryRewriter. It is the one way to the connection of a transaction that database/sql has begun, and is called
// before the connection is used: it copies the rows in, and leaves an empty statement.
func (c copied) RewriteQuery(ctx context.Context, conn *pgx.Conn, sql string, _ []any) (string, []any, error) {
	_, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(c), sql)
	return "SELECT", nil, err
}

func (t table) copied(rows reflect.Value) (copied, error) {
	data := append(make(copied, 0, 64*len(t.columns)*rows.Len()), copyHeader...)
	for i := range rows.Len() {
		row := rows.Index(i)
		data = binary.BigEndian.AppendUint16(data, uint16(len(t.columns)))
		for f, c := range t.columns {
			start := len(data)
			data = append(data, 0, 0, 0, 0)
			var null bool
			if data, null = appendField(data, c, row.Field(f)); null {
				binary.BigEndian.PutUint32(data[start:], 1<<32-1)
				continue
			}
			binary.BigEndian.PutUint32(data[start:], uint32(len(data)-start-4))
		}
		if len(data) > 1<<29 {
			return nil, fmt.Errorf("%d rows are too many for one message", rows.Len())
		}
	}
	return append(data, 0xff, 0xff), nil
}

// appendField adds a value in the binary format of its type, and says whether it is NULL.
func appendField(data copied, c column, v reflect.Value) (copied, bool) {
	switch c.kind {
	case "uuid":
		if v.Kind() == reflect.Pointer {
			if v = v.Elem(); !v.IsValid() {
				return data, true
			}
		}
		id, err := uuid.Parse(v.String())
		return append(data, id[:]...), err != nil
	case "timestamptz":
		s := v.Addr().Interface().(*stamp)
		if s.IsZero() {
			return data, true
		}
		return binary.BigEndian.AppendUint64(data, uint64(s.Time.UnixMicro()-microsTo2000)), false
	case "boolean":
		if v.Bool() {
			return append(data, 1), false
		}
		return append(data, 0), false
	case "bigint":
		return binary.BigEndian.AppendUint64(data, uint64(intOf(v).Int64)), false
	case "jsonb":
		return append(append(data, 1), v.Bytes()...), false // the version of its format
	case "json", "bytea":
		return append(data, v.Bytes()...), false
	default:
		return append(data, v.String()...), false
	}
}
