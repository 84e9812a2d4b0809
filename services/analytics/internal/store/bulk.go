package store

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

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

// insert adds rows, structs whose fields are the table's columns in their order. None of them may exist.
func (t table) insert(tx *gorm.DB, engine db.Engine, rows any) error {
	if v := reflect.ValueOf(rows); engine == db.Postgres && v.Len() > 0 {
		if err := t.copyIn(tx, v); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		return nil
	}
	return t.send(engine, rows, func(params []any) error {
		return tx.Exec(t.insertSQL()+t.selectSQL(engine), params...).Error
	})
}

// update replaces rows that exist. It fails when one does not.
func (t table) update(tx *gorm.DB, engine db.Engine, rows any) error {
	return t.send(engine, rows, func(params []any) error {
		result := tx.Exec(t.updateSQL(engine), params...)
		if n := reflect.ValueOf(rows).Len(); result.Error == nil && result.RowsAffected != int64(n) {
			return fmt.Errorf("%d of %d rows are gone", int64(n)-result.RowsAffected, n)
		}
		return result.Error
	})
}

// upsert adds rows; those that exist are merged.
func (t table) upsert(tx *gorm.DB, engine db.Engine, rows any) error {
	return t.send(engine, rows, func(params []any) error { return tx.Exec(t.upsertSQL(engine), params...).Error })
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

func (t table) updateSQL(engine db.Engine) string {
	var sets, where []string
	for _, c := range t.columns {
		if c.merge == key {
			where = append(where, "t."+c.name+" = r."+c.name)
			continue
		}
		sets = append(sets, c.name+" = r."+c.name)
	}
	return "UPDATE " + t.name + " AS t SET " + strings.Join(sets, ", ") + " FROM (" + t.selectSQL(engine) + ") r WHERE " + strings.Join(where, " AND ")
}

func (t table) insertSQL() string { return "INSERT INTO " + t.name + " (" + t.list() + ") " }

// list is the names of the columns.
func (t table) list() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

// selectSQL reads the rows of the parameters. WHERE true keeps SQLite from taking ON CONFLICT for a join's condition.
func (t table) selectSQL(engine db.Engine) string {
	names, arrays, values := make([]string, len(t.columns)), make([]string, len(t.columns)), make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
		arrays[i], values[i] = "?::"+c.kind+"[]", c.name
		if engine != db.Postgres {
			values[i] = extract(c) + " AS " + c.name
		} else if c.document() {
			arrays[i], values[i] = "?::text[]", c.name+"::"+c.kind+" AS "+c.name
		}
	}
	list := strings.Join(values, ", ")
	if engine == db.Postgres {
		return "SELECT " + list + " FROM unnest(" + strings.Join(arrays, ", ") + ") AS r(" + strings.Join(names, ", ") + ") WHERE true"
	}
	return "SELECT " + list + " FROM json_each(?) WHERE true"
}

// document says whether the column holds JSON.
func (c column) document() bool { return c.kind == "json" || c.kind == "jsonb" }

func extract(c column) string {
	switch {
	case c.document():
		return "value->'" + c.name + "'"
	case c.kind == "bytea":
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
