package db

import (
	"database/sql/driver"

	"github.com/jackc/pgx/v5/pgtype"
)

// Array is one column of many rows as a parameter for PostgreSQL, which pgx encodes in binary. Being a driver.Valuer keeps gorm
// from spreading it over the statement.
type Array[T any] struct{ pgtype.FlatArray[T] }

// Value implements driver.Valuer. pgx does not call it: it knows arrays.
func (a Array[T]) Value() (driver.Value, error) { return a.FlatArray, nil }
