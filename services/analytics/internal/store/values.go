package store

import (
	"encoding/hex"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

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
