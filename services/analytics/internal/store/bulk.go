package store

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

// Rows travel to the database as one JSON document per statement: the statement's text stays the same whatever their number, so
// it is prepared once, and there is one round trip. This is the engine-specific SQL of the rollups.

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

// upsert adds rows, whose elements encode as JSON objects with the table's columns; those that exist are merged.
func (t table) upsert(tx *gorm.DB, engine db.Engine, rows any) error {
	return t.send(rows, func(document string) error { return tx.Exec(t.upsertSQL(engine), document).Error })
}

// insert adds rows to a table without a key.
func (t table) insert(tx *gorm.DB, engine db.Engine, rows any) error {
	return t.send(rows, func(document string) error {
		return tx.Exec(t.insertSQL()+t.selectSQL(engine), document).Error
	})
}

// insertNew adds those of the rows that do not exist yet and returns their keys.
func (t table) insertNew(tx *gorm.DB, engine db.Engine, rows any) (keys []string, err error) {
	name := t.columns[0].name
	query := t.insertSQL() + t.selectSQL(engine) + " ON CONFLICT (" + name + ") DO NOTHING RETURNING " + name
	err = t.send(rows, func(document string) error { return tx.Raw(query, document).Scan(&keys).Error })
	return keys, err
}

func (t table) send(rows any, statement func(document string) error) error {
	document, err := json.Marshal(rows)
	if err == nil && string(document) != "[]" && string(document) != "null" {
		err = statement(string(document))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	return nil
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

// selectSQL reads the document's rows. WHERE true keeps SQLite from taking ON CONFLICT for a join's condition.
func (t table) selectSQL(engine db.Engine) string {
	var names, typed, extracted []string
	for _, c := range t.columns {
		names = append(names, c.name)
		typed = append(typed, c.name+" "+c.kind)
		extracted = append(extracted, extract(c)+" AS "+c.name)
	}
	if engine == db.Postgres {
		return "SELECT " + strings.Join(names, ", ") + " FROM json_to_recordset(?::json) AS r(" + strings.Join(typed, ", ") + ") WHERE true"
	}
	return "SELECT " + strings.Join(extracted, ", ") + " FROM json_each(?) WHERE true"
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

// find reads into dest the rows whose keys are among keys, a slice whose elements encode as JSON objects with the key columns.
func (t table) find(tx *gorm.DB, engine db.Engine, keys, dest any) error {
	return t.send(keys, func(document string) error { return tx.Raw(t.findSQL(engine), document).Scan(dest).Error })
}

func (t table) findSQL(engine db.Engine) string {
	keys := table{name: t.name}
	var on []string
	for _, c := range t.columns {
		if c.merge == key {
			keys.columns = append(keys.columns, c)
			on = append(on, "t."+c.name+" = k."+c.name)
		}
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

// blob is bytes in a row; in the JSON document they are hexadecimal in PostgreSQL's notation.
type blob []byte

// MarshalJSON implements json.Marshaler.
func (b blob) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, 2*len(b)+5)
	out = append(out, `"\\x`...)
	out = hex.AppendEncode(out, b)
	return append(out, '"'), nil
}
