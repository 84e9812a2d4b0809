package httpx

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// QueryInt reads a whole number from min to max; an absent parameter is def.
func QueryInt(c *gin.Context, name string, def, min, max int) (int, error) {
	raw, err := query(c, name)
	if raw == "" || err != nil {
		return def, err
	}
	n, err := strconv.Atoi(raw)
	if err != nil || n < min || n > max {
		return def, apierr.InvalidField(name, fmt.Sprintf("must be a whole number from %d to %d", min, max))
	}
	return n, nil
}

// QueryBool reads true or false; an absent parameter is nil.
func QueryBool(c *gin.Context, name string) (*bool, error) {
	raw, err := query(c, name)
	if raw == "" || err != nil {
		return nil, err
	}
	if raw != "true" && raw != "false" {
		return nil, apierr.InvalidField(name, "must be true or false")
	}
	b := raw == "true"
	return &b, nil
}

// QueryTime reads a time as ParseTime does; an absent parameter is nil.
func QueryTime(c *gin.Context, name string) (*time.Time, error) {
	raw, err := query(c, name)
	if raw == "" || err != nil {
		return nil, err
	}
	t, ok := ParseTime(raw)
	if !ok {
		return nil, apierr.InvalidField(name, badTime)
	}
	return &t, nil
}

// QueryText reads text of at most max characters; an absent parameter is "".
func QueryText(c *gin.Context, name string, max int) (string, error) {
	raw, err := query(c, name)
	if err != nil {
		return "", err
	}
	return checkedQuery(name, raw, max)
}

func checkedQuery(name, value string, max int) (string, error) {
	if problem := badText(value); problem != "" {
		return "", apierr.InvalidField(name, problem)
	}
	f := Fields{}
	f.MaxLen(name, value, max)
	return value, f.Err()
}

// QueryIdentifier reads an identifier of at most max characters as Identifier does; an absent parameter is "".
func QueryIdentifier(c *gin.Context, name string, max int) (string, error) {
	raw, err := query(c, name)
	if raw == "" || err != nil {
		return "", err
	}
	id := Identifier(raw)
	if id == "" {
		return "", apierr.InvalidField(name, emptyParameter)
	}
	return checkedQuery(name, id, max)
}

const emptyParameter = "must not be empty; leave it out instead"

// query returns the parameter's only value. gin's own reading drops what is malformed and would answer as if it were absent.
func query(c *gin.Context, name string) (string, error) {
	all, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return "", apierr.InvalidField("query", "is not a well-formed query string")
	}
	values, given := all[name]
	switch {
	case !given:
		return "", nil
	case len(values) > 1:
		return "", apierr.InvalidField(name, "must be given once")
	case values[0] == "":
		return "", apierr.InvalidField(name, emptyParameter)
	}
	return values[0], nil
}

const badTime = "must be a time as in 2026-01-31T12:00:00Z, or a date as in 2026-01-31"

// ParseTime reads RFC 3339, or a date alone as its midnight in UTC. The result is in UTC and cut to the microsecond, of a
// year from 1 to 9999.
func ParseTime(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t, err = time.Parse(time.DateOnly, s)
	}
	t = t.UTC().Truncate(time.Microsecond)
	return t, err == nil && t.Year() >= 1 && t.Year() <= 9999
}

const (
	// firstEnd is the first year in which something may end: the zero dates of languages lie before it.
	firstEnd = 2000
	badEnd   = "must be in the year 2000 or later; only null means without end"
)

// ParseEnd is ParseTime for the time at which something ends: a date alone is the last second of its day.
func ParseEnd(s string) (time.Time, bool) {
	t, ok := ParseTime(s)
	if _, err := time.Parse(time.DateOnly, s); err == nil {
		t = t.Add(24*time.Hour - time.Second)
	}
	return t, ok
}

func badText(s string) string {
	if !utf8.ValidString(s) {
		return badUTF8
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return badControl
		}
	}
	return ""
}
