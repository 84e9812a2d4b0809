package httpx

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
)

var jsonTypes = []string{JSONType}

// WriteJSON is c.JSON for an answer that is JSON already: one so frequent that its handler appends it by hand.
func WriteJSON(c *gin.Context, status int, raw []byte) {
	c.Status(status)
	c.Writer.Header()["Content-Type"] = jsonTypes // shared: header values are never changed in place
	_, _ = c.Writer.Write(raw)                    // the client has left: nobody to tell
}

// AppendString appends s as encoding/json writes it.
func AppendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // no string fails
			return append(b, quoted...)
		}
	}
	b = append(append(b, '"'), s...)
	return append(b, '"')
}

// TextOrNull is s as a member of an answer, null where there is none.
func TextOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// TimeOrNull is t in UTC as a member of an answer, null where it is zero.
func TimeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
