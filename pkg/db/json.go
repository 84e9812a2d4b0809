package db

import (
	"database/sql/driver"
	"errors"
	"fmt"
)

// JSON is a column that holds a JSON document: JSONB on PostgreSQL, TEXT on SQLite. Empty is NULL.
type JSON []byte

// Value implements driver.Valuer. It is a string because PostgreSQL drivers take bytes for bytea in some modes.
func (j JSON) Value() (driver.Value, error) {
	if len(j) == 0 {
		return nil, nil
	}
	return string(j), nil
}

// Scan implements sql.Scanner.
func (j *JSON) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*j = nil
	case string:
		*j = JSON(v)
	case []byte:
		*j = append(JSON(nil), v...)
	default:
		return fmt.Errorf("a JSON column holds a %T", value)
	}
	return nil
}

// MarshalJSON implements json.Marshaler: the document is itself, not base64.
func (j JSON) MarshalJSON() ([]byte, error) {
	if len(j) == 0 {
		return []byte("null"), nil
	}
	return j, nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (j *JSON) UnmarshalJSON(raw []byte) error {
	if j == nil {
		return errors.New("db.JSON: UnmarshalJSON on nil pointer")
	}
	*j = append((*j)[:0], raw...)
	return nil
}
