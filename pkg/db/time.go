package db

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// sqliteTime is how the driver writes a time, in UTC. A shorter fraction sorts before a longer one because '+' sorts
// before digits.
const sqliteTime = "2006-01-02 15:04:05.999999-07:00"

// Time reads the result of an expression over times, such as max(at), which SQLite returns as text, and is written into
// a JSON document from which a statement takes its rows. The zero time is NULL. Plain columns are read into a
// time.Time.
type Time struct{ time.Time }

// Scan implements sql.Scanner.
func (t *Time) Scan(value any) (err error) {
	switch v := value.(type) {
	case nil:
		t.Time = time.Time{}
	case time.Time:
		t.Time = v.UTC()
	case string:
		t.Time, err = time.Parse(sqliteTime, v)
		t.Time = t.UTC()
	default:
		err = fmt.Errorf("a time cannot be read from a %T", value)
	}
	return err
}

// Value implements driver.Valuer, without which gorm takes the type for a table.
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return nil, nil
	}
	return t.Time, nil
}

// MarshalJSON implements json.Marshaler: the text that both engines read as this time, to the microsecond.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return t.UTC().AppendFormat(nil, `"`+sqliteTime+`"`), nil
}

// SQLite is the time as a parameter for SQLite: the text that its driver writes, which sorts by time, or nil.
func (t Time) SQLite() any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(sqliteTime)
}
