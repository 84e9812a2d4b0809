package httpx

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// Cursor is the place of an item in a list: that of its time, or of its key alone where the time is zero.
type Cursor struct {
	At  time.Time
	Key string
}

// String hides a place in one word, so that nobody takes it for more than it is.
func (c Cursor) String() string {
	at := ""
	if !c.At.IsZero() {
		at = strconv.FormatInt(c.At.UnixMicro(), 36)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(at + " " + c.Key))
}

// ParseCursor reads what String wrote; nil for anything else.
func ParseCursor(text string) *Cursor {
	plain, err := base64.RawURLEncoding.DecodeString(text)
	at, key, ok := strings.Cut(string(plain), " ")
	if err != nil || !ok || key == "" {
		return nil
	}
	c := &Cursor{Key: key}
	if at != "" {
		micros, err := strconv.ParseInt(at, 36, 64)
		if err != nil {
			return nil
		}
		c.At = time.UnixMicro(micros).UTC()
	}
	return c
}
