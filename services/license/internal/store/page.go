package store

import (
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// order is one in which a list can be read on from any of its rows.
type order[R any] struct {
	by string
	// after holds for the rows behind the one with the values.
	after    string
	values   func(*licensing.Position) []any
	position func(*R) licensing.Position
}

// newestFirst is the order of a column with a time, and of ids among equal times.
func newestFirst[R any](column string, at func(*R) (time.Time, string)) order[R] {
	return order[R]{
		by:     column + " DESC, id DESC",
		after:  "(" + column + ", id) < (?, ?)",
		values: func(p *licensing.Position) []any { return []any{p.At, p.Key} },
		position: func(row *R) licensing.Position {
			at, id := at(row)
			return licensing.Position{At: at.UTC(), Key: id}
		},
	}
}

// byCode is the order of the column code.
func byCode[R any](code func(*R) string) order[R] {
	return order[R]{
		by:       "code",
		after:    "code > ?",
		values:   func(p *licensing.Position) []any { return []any{p.Key} },
		position: func(row *R) licensing.Position { return licensing.Position{Key: code(row)} },
	}
}

// allColumns has readPage name each column of the row: PostgreSQL refuses a prepared "SELECT *" once a program of the
// next version has added one.
var allColumns []string

// readPage reads a part of the rows that each query of q selects, and makes items of them.
func readPage[R, T any](q func() *gorm.DB, columns any, span licensing.Span, o order[R], item func(*R) T) (
	licensing.Page[T], error,
) {
	return readSelection(selection{q, q}, columns, span, o, item)
}

// readSelection is readPage of a selection.
func readSelection[R, T any](s selection, columns any, span licensing.Span, o order[R], item func(*R) T) (
	licensing.Page[T], error,
) {
	counted := s.total().Select("1").Limit(licensing.MaxTotal + 1)
	total := counted.Session(&gorm.Session{NewDB: true}).Table("(?) AS found", counted)
	return readTotal(total, s.page, columns, span, o, item)
}

// readParts is readPage of what several selections select, no two of them the same row.
func readParts[R, T any](parts []selection, columns any, span licensing.Span, o order[R], item func(*R) T) (
	licensing.Page[T], error,
) {
	if len(parts) == 1 {
		return readSelection(parts[0], columns, span, o, item)
	}
	// Each part is cut to what the whole can need, so that each is read by its own index.
	most := func(n int, of func(selection) *gorm.DB) func() *gorm.DB {
		return func() *gorm.DB {
			selects, texts := make([]any, len(parts)), make([]string, len(parts))
			for i, part := range parts {
				selects[i], texts[i] = of(part).Limit(n), fmt.Sprintf("SELECT * FROM (?) AS part%d", i)
			}
			return parts[0].page().Session(&gorm.Session{NewDB: true}).
				Table("("+strings.Join(texts, " UNION ALL ")+") AS found", selects...)
		}
	}
	counted := most(licensing.MaxTotal+1, func(s selection) *gorm.DB { return s.total().Select("1 AS one") })
	rows := most(span.Page*span.PerPage+1, func(s selection) *gorm.DB {
		q := s.page()
		if span.After != nil {
			q = q.Where(o.after, o.values(span.After)...)
		}
		return q.Select(columns).Order(o.by)
	})
	page, err := readTotal(counted(), rows, "*", span, o, item)
	page.Total = min(page.Total, licensing.MaxTotal+1)
	return page, err
}

// readCounted is readPage for the rows of one license, which are counted however many they are.
func readCounted[R, T any](q func() *gorm.DB, columns any, span licensing.Span, o order[R], item func(*R) T) (
	licensing.Page[T], error,
) {
	return readTotal(q(), q, columns, span, o, item)
}

// readTotal is readPage with the total that counted has.
func readTotal[R, T any](
	counted *gorm.DB, q func() *gorm.DB, columns any, span licensing.Span, o order[R], item func(*R) T,
) (licensing.Page[T], error) {
	var page licensing.Page[T]
	var total int64
	if err := counted.Count(&total).Error; err != nil {
		return page, db.Error(err)
	}
	page.Total = int(total)
	find := q().Select(columns).Order(o.by).Limit(span.PerPage + 1) // one more reports whether any follows
	if span.After != nil {
		find = find.Where(o.after, o.values(span.After)...)
	} else {
		find = find.Offset((span.Page - 1) * span.PerPage)
	}
	var rows []R
	if err := find.Find(&rows).Error; err != nil {
		return page, db.Error(err)
	}
	if len(rows) > span.PerPage {
		rows = rows[:span.PerPage]
		next := o.position(&rows[span.PerPage-1])
		page.Next = &next
	}
	page.Items = make([]T, len(rows))
	for i := range rows {
		page.Items[i] = item(&rows[i])
	}
	return page, nil
}
