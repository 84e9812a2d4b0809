package store

import (
	"encoding/hex"
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

// blob is bytes in a row; in a JSON document they are hexadecimal behind \\x.
type blob []byte

// MarshalJSON implements json.Marshaler.
func (b blob) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, 2*len(b)+5)
	out = append(out, `"\\x`...)
	out = hex.AppendEncode(out, b)
	return append(out, '"'), nil
}
