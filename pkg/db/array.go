package db

import (
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"
)

// Array is one column of many rows as a parameter for PostgreSQL, which pgx encodes in binary. It is a
// pgtype.ArrayGetter that hands out pointers, because making an interface of each value would copy it; being a
// driver.Valuer keeps gorm from spreading it over the statement.
type Array[T any] []T

// Dimensions implements pgtype.ArrayGetter.
func (a Array[T]) Dimensions() []pgtype.ArrayDimension {
	return []pgtype.ArrayDimension{{Length: int32(len(a)), LowerBound: 1}}
}

// Index implements pgtype.ArrayGetter.
func (a Array[T]) Index(i int) any { return &a[i] }

// IndexType implements pgtype.ArrayGetter.
func (a Array[T]) IndexType() any { return new(T) }

// Value implements driver.Valuer. pgx does not call it: it knows arrays.
func (a Array[T]) Value() (driver.Value, error) {
	return nil, fmt.Errorf("%T is for PostgreSQL only", a)
}
