package httpx

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
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

// QueryTime reads a time as jsonbody.ParseTime does; an absent parameter is nil.
func QueryTime(c *gin.Context, name string) (*time.Time, error) {
	raw, err := query(c, name)
	if raw == "" || err != nil {
		return nil, err
	}
	t, ok := jsonbody.ParseTime(raw)
	if !ok {
		return nil, apierr.InvalidField(name, jsonbody.BadTime)
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
	if problem := jsonbody.TextProblem(value); problem != "" {
		return "", apierr.InvalidField(name, problem)
	}
	f := apierr.Fields{}
	f.MaxLen(name, value, max)
	return value, f.Err()
}

// QueryIdentifier reads an identifier of at most max characters as jsonbody.Identifier does; an absent parameter is "".
func QueryIdentifier(c *gin.Context, name string, max int) (string, error) {
	raw, err := query(c, name)
	if raw == "" || err != nil {
		return "", err
	}
	id := jsonbody.Identifier(raw)
	if id == "" {
		return "", apierr.InvalidField(name, jsonbody.EmptyText)
	}
	return checkedQuery(name, id, max)
}

// query returns the parameter's only value. gin's own reading drops what is malformed and would answer as if it were
// absent.
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
		return "", apierr.InvalidField(name, jsonbody.EmptyText)
	}
	return values[0], nil
}

// KnownQuery refuses query parameters other than those named, with the nearest of them. What Bind refuses with 413 or
// 415 it refuses first, because the size and type of a body come before its content; the body of a GET is not looked
// at.
func KnownQuery(c *gin.Context, names ...string) error {
	if c.Request.Method != http.MethodGet {
		if _, err := jsonBody(c); err != nil {
			return err
		}
	}
	given, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return apierr.InvalidField("query", "is not a well-formed query string")
	}
	bad := apierr.Fields{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, name) && len(bad) < jsonbody.MaxProblems {
			bad.Add(jsonbody.Shorten(strings.ToValidUTF8(name, "\ufffd")), jsonbody.UnknownName(name, names))
		}
	}
	return bad.Err()
}

// NoIfMatch refuses a change under a condition where nothing has a version: who sends If-Match relies on it. `*` asks
// no more than that there is something.
func NoIfMatch(c *gin.Context) error {
	sent := c.Request.Header.Values("If-Match")
	reads := c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead
	if reads || len(sent) == 0 || len(sent) == 1 && strings.TrimSpace(sent[0]) == "*" {
		return nil
	}
	return apierr.InvalidField("If-Match", "is not supported here: what this call changes has no ETag; leave it out")
}

// OnlyQuery has one route refuse query parameters other than those named, as KnownQuery does.
func OnlyQuery(names ...string) gin.HandlerFunc {
	return Wrap(func(c *gin.Context) error { return KnownQuery(c, names...) })
}
