package store

import (
	"reflect"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

// stamp is a point in time in a row; the zero one is NULL.
type stamp struct{ db.Time }

func at(t time.Time) stamp { return stamp{db.Time{Time: t}} }

func (s stamp) utc() time.Time { return s.Time.Time }

func (s stamp) orNil() *time.Time {
	if s.IsZero() {
		return nil
	}
	t := s.utc()
	return &t
}

// blob is bytes in a row.
type blob []byte

// sqliteValue is a field of a row as a parameter for SQLite.
func sqliteValue(field reflect.Value) any {
	switch v := field.Interface().(type) {
	case stamp:
		return v.SQLite()
	case blob:
		return []byte(v)
	case db.JSON:
		text, _ := v.Value() // never fails
		return text
	default:
		return v
	}
}
