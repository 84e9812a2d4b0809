package store

import (
	"fmt"
	"reflect"
	"strings"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

// Rows travel to the database in statements of few texts whatever their number, so each is compiled once: on
// PostgreSQL all in one, as one binary array per column, which it reads four times as fast as a JSON document; on
// SQLite, where there are no round trips to save, in statements of 64, 16, 4 or 1 rows. This is the engine-specific
// SQL of the rollups.

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

// merges are by the names that tags give them; a column without one is replaced.
var merges = map[string]merge{"": replace, "key": key, "add": add, "or": or, "latest": latest}

// tableOf is the table of which R is a row: the tag of each field, col:"name,kind" or col:"name,kind,merge", is its
// column.
func tableOf[R any](name string) table {
	t := table{name: name}
	row := reflect.TypeFor[R]()
	for i := range row.NumField() {
		tag := strings.Split(row.Field(i).Tag.Get("col")+",", ",")
		t.columns = append(t.columns, column{name: tag[0], kind: tag[1], merge: merges[tag[2]]})
	}
	return t
}

// insert adds rows, structs whose fields are the table's columns in their order. None of them may exist.
func (t table) insert(tx *gorm.DB, engine db.Engine, rows any) error {
	if v := reflect.ValueOf(rows); engine == db.Postgres && v.Len() > 0 {
		if err := t.copyIn(tx, v); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		return nil
	}
	return t.send(engine, rows, func(source string, params []any) error {
		return tx.Exec(t.insertSQL()+source, params...).Error
	})
}

// update replaces rows that exist. It fails when one does not.
func (t table) update(tx *gorm.DB, engine db.Engine, rows any) error {
	gone := int64(reflect.ValueOf(rows).Len())
	err := t.send(engine, rows, func(source string, params []any) error {
		result := tx.Exec(t.updateSQL(source), params...)
		gone -= result.RowsAffected
		return result.Error
	})
	if err == nil && gone != 0 {
		err = fmt.Errorf("%s: %d rows are gone", t.name, gone)
	}
	return err
}

// upsert adds rows; those that exist are merged.
func (t table) upsert(tx *gorm.DB, engine db.Engine, rows any) error {
	return t.send(engine, rows, func(source string, params []any) error {
		return tx.Exec(t.upsertSQL(source), params...).Error
	})
}

// send calls statement with a query that reads the rows from its parameters: once for all rows, more often on SQLite,
// not at all when there are none.
func (t table) send(engine db.Engine, rows any, statement func(source string, params []any) error) error {
	v := reflect.ValueOf(rows)
	for v.Len() > 0 {
		n := v.Len()
		if engine == db.SQLite {
			n = chunk(n)
		}
		params, err := t.params(engine, v.Slice(0, n))
		if err == nil {
			err = statement(t.source(engine, n), params)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		v = v.Slice(n, v.Len())
	}
	return nil
}

// chunk is how many of n rows one statement of SQLite takes.
func chunk(n int) int {
	for _, size := range []int{64, 16, 4} {
		if n >= size {
			return size
		}
	}
	return 1
}

func (t table) params(engine db.Engine, rows reflect.Value) ([]any, error) {
	if engine == db.Postgres {
		return arrays(t.columns, rows)
	}
	params := make([]any, 0, rows.Len()*len(t.columns))
	for i := range rows.Len() {
		for j := range t.columns {
			params = append(params, sqliteValue(rows.Index(i).Field(j)))
		}
	}
	return params, nil
}

func (t table) upsertSQL(source string) string {
	var keys, sets []string
	for _, c := range t.columns {
		if c.merge == key {
			keys = append(keys, c.name)
			continue
		}
		sets = append(sets, c.name+" = "+strings.NewReplacer("{t}", t.name, "{c}", c.name).Replace(string(c.merge)))
	}
	return t.insertSQL() + source + " ON CONFLICT (" + strings.Join(keys, ", ") + ") DO UPDATE SET " +
		strings.Join(sets, ", ")
}

func (t table) updateSQL(source string) string {
	var sets, where []string
	for _, c := range t.columns {
		if c.merge == key {
			where = append(where, "t."+c.name+" = r."+c.name)
			continue
		}
		sets = append(sets, c.name+" = r."+c.name)
	}
	return "UPDATE " + t.name + " AS t SET " + strings.Join(sets, ", ") + " FROM (" + source + ") r WHERE " +
		strings.Join(where, " AND ")
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

// source is the query that reads n rows from the parameters. WHERE true keeps SQLite from taking ON CONFLICT for a
// join's condition.
func (t table) source(engine db.Engine, n int) string {
	if engine == db.Postgres {
		return t.unnest()
	}
	values := make([]string, len(t.columns))
	for i, c := range t.columns {
		values[i] = fmt.Sprintf("column%d AS %s", i+1, c.name)
	}
	row := "(?" + strings.Repeat(", ?", len(t.columns)-1) + ")"
	return "SELECT " + strings.Join(values, ", ") + " FROM (VALUES " + row + strings.Repeat(", "+row, n-1) +
		") WHERE true"
}

// unnest is source for PostgreSQL.
func (t table) unnest() string {
	names, arrays, values := make([]string, len(t.columns)), make([]string, len(t.columns)),
		make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
		arrays[i], values[i] = "?::"+c.kind+"[]", c.name
		if c.document() {
			arrays[i], values[i] = "?::text[]", c.name+"::"+c.kind+" AS "+c.name
		}
	}
	return "SELECT " + strings.Join(values, ", ") + " FROM unnest(" + strings.Join(arrays, ", ") + ") AS r(" +
		strings.Join(names, ", ") + ") WHERE true"
}

// document says whether the column holds JSON.
func (c column) document() bool { return c.kind == "json" || c.kind == "jsonb" }

// find reads into dest, a pointer to a slice of rows, those whose keys are among keys, structs whose fields are the
// key columns in their order.
func (t table) find(tx *gorm.DB, engine db.Engine, keys, dest any) error {
	k, all := t.keys(), reflect.ValueOf(dest).Elem()
	return k.send(engine, keys, func(source string, params []any) error {
		some := reflect.New(all.Type())
		err := tx.Raw(t.findSQL(k, source), params...).Find(some.Interface()).Error
		all.Set(reflect.AppendSlice(all, some.Elem()))
		return err
	})
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

func (t table) findSQL(keys table, source string) string {
	on := make([]string, len(keys.columns))
	for i, c := range keys.columns {
		on[i] = "t." + c.name + " = k." + c.name
	}
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = "t." + c.name
	}
	// CROSS JOIN keeps SQLite from scanning the table to look for its rows among the keys.
	return "SELECT " + strings.Join(names, ", ") + " FROM (" + source + ") k CROSS JOIN " + t.name + " t WHERE " +
		strings.Join(on, " AND ")
}
