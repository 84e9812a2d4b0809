package store

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

// Rows travel to the database in one statement whose text stays the same whatever their number, so it is prepared once, and there
// is one round trip: on PostgreSQL as one binary array per column, which it reads four times as fast as a JSON document, on SQLite
// as such a document. This is the engine-specific SQL of the rollups.

// merge is what becomes of a column when the row exists already.
type merge string

const (
	key     merge = "" // part of the primary key
	replace merge = "excluded.{c}"
	add     merge = "{t}.{c} + excluded.{c}"
	or      merge = "{t}.{c} | excluded.{c}"
	latest  merge = "CASE WHEN excluded.{c} > {t}.{c} THEN excluded.{c} ELSE {t}.{c} END"
	first   merge = "CASE WHEN excluded.{c} < {t}.{c} THEN excluded.{c} ELSE {t}.{c} END"
)

// column is a column of a table; kind is its type on PostgreSQL.
type column struct {
	name, kind string
	merge      merge
}

type table struct {
	name    string
	columns []column
}

// upsert adds rows, structs whose fields are the table's columns in their order; those that exist are merged.
func (t table) upsert(tx *gorm.DB, engine db.Engine, rows any) error {
	return t.send(engine, rows, func(params []any) error { return tx.Exec(t.upsertSQL(engine), params...).Error })
}

// insert adds rows to a table without a key.
func (t table) insert(tx *gorm.DB, engine db.Engine, rows any) error {
	return t.send(engine, rows, func(params []any) error {
		return tx.Exec(t.insertSQL()+t.selectSQL(engine), params...).Error
	})
}

// insertNew adds those of the rows that do not exist yet and returns their keys.
func (t table) insertNew(tx *gorm.DB, engine db.Engine, rows any) (keys []string, err error) {
	name := t.columns[0].name
	query := t.insertSQL() + t.selectSQL(engine) + " ON CONFLICT (" + name + ") DO NOTHING RETURNING " + name
	err = t.send(engine, rows, func(params []any) error { return tx.Raw(query, params...).Find(&keys).Error })
	return keys, err
}

// send calls statement with the rows as parameters, or not at all when there are none.
func (t table) send(engine db.Engine, rows any, statement func(params []any) error) error {
	v := reflect.ValueOf(rows)
	if v.Len() == 0 {
		return nil
	}
	params, err := t.params(engine, v)
	if err == nil {
		err = statement(params)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	return nil
}

func (t table) params(engine db.Engine, rows reflect.Value) ([]any, error) {
	if engine == db.Postgres {
		return arrays(t.columns, rows)
	}
	document, err := json.Marshal(rows.Interface())
	return []any{string(document)}, err
}

func (t table) upsertSQL(engine db.Engine) string {
	var keys, sets []string
	for _, c := range t.columns {
		if c.merge == key {
			keys = append(keys, c.name)
			continue
		}
		sets = append(sets, c.name+" = "+strings.NewReplacer("{t}", t.name, "{c}", c.name).Replace(string(c.merge)))
	}
	return t.insertSQL() + t.selectSQL(engine) + " ON CONFLICT (" + strings.Join(keys, ", ") + ") DO UPDATE SET " + strings.Join(sets, ", ")
}

func (t table) insertSQL() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return "INSERT INTO " + t.name + " (" + strings.Join(names, ", ") + ") "
}

// selectSQL reads the rows of the parameters. WHERE true keeps SQLite from taking ON CONFLICT for a join's condition. In the order of
// their keys, rows find pages of tables and indexes that the rows before have just used.
func (t table) selectSQL(engine db.Engine) string {
	names, arrays, extracted := make([]string, len(t.columns)), make([]string, len(t.columns)), make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
		arrays[i] = "?::" + c.kind + "[]"
		extracted[i] = extract(c) + " AS " + c.name
	}
	if engine == db.Postgres {
		list := strings.Join(names, ", ")
		return "SELECT " + list + " FROM unnest(" + strings.Join(arrays, ", ") + ") AS r(" + list + ") WHERE true" + t.orderSQL()
	}
	return "SELECT " + strings.Join(extracted, ", ") + " FROM json_each(?) WHERE true"
}

func (t table) orderSQL() string {
	switch first := t.columns[0]; {
	case first.merge != key:
		return ""
	case first.kind == "text":
		return " ORDER BY " + first.name + ` COLLATE "C"`
	default:
		return " ORDER BY " + first.name
	}
}

func extract(c column) string {
	switch c.kind {
	case "jsonb":
		return "value->'" + c.name + "'"
	case "bytea":
		return "unhex(substr(value->>'" + c.name + "', 3))"
	}
	return "value->>'" + c.name + "'"
}

// find reads into dest the rows whose keys are among keys, structs whose fields are the key columns in their order.
func (t table) find(tx *gorm.DB, engine db.Engine, keys, dest any) error {
	k := t.keys()
	return k.send(engine, keys, func(params []any) error { return tx.Raw(t.findSQL(k, engine), params...).Find(dest).Error })
}

// keys is the table with its key only.
func (t table) keys() table {
	k := table{name: t.name}
	for _, c := range t.columns {
		if c.merge == key {
			k.columns = append(k.columns, c)
		}
	}
	return k
}

func (t table) findSQL(keys table, engine db.Engine) string {
	on := make([]string, len(keys.columns))
	for i, c := range keys.columns {
		on[i] = "t." + c.name + " = k." + c.name
	}
	// CROSS JOIN keeps SQLite from scanning the table to look into the document.
	return "SELECT t.* FROM (" + keys.selectSQL(engine) + ") k CROSS JOIN " + t.name + " t WHERE " + strings.Join(on, " AND ")
}

// stampFormat is how times are written to both engines: the UTC text that SQLite's driver writes and sorts by time.
const stampFormat = "2006-01-02 15:04:05.999999-07:00"

// stamp is a point in time in a row; the zero one is NULL.
type stamp struct{ db.Time }

func at(t time.Time) stamp { return stamp{db.Time{Time: t}} }

// MarshalJSON implements json.Marshaler.
func (s stamp) MarshalJSON() ([]byte, error) {
	if s.IsZero() {
		return []byte("null"), nil
	}
	return s.Time.UTC().AppendFormat(nil, `"`+stampFormat+`"`), nil
}

func (s stamp) utc() time.Time { return s.Time.Time }

func (s stamp) orNil() *time.Time {
	if s.IsZero() {
		return nil
	}
	t := s.utc()
	return &t
}

// blob is bytes in a row; in a JSON document they are hexadecimal behind \\x.
type blob []byte

// MarshalJSON implements json.Marshaler.
func (b blob) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, 2*len(b)+5)
	out = append(out, `"\\x`...)
	out = hex.AppendEncode(out, b)
	return append(out, '"'), nil
}
