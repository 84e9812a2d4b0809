package httpx

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// ErrorWriter answers with an error, status and body, in the form that the clients of some paths expect.
type ErrorWriter func(c *gin.Context, e *apierr.Error)

// WriteError answers with the documented body, the status that package apierr gives to its kind, or as Options.Errors
// says for the path, and ends the handler chain. Anything that is not an *apierr.Error is a 500 (503 when a deadline
// passed) that leaks nothing; its cause goes to the request's log line.
func WriteError(c *gin.Context, err error) {
	write := func(c *gin.Context, e *apierr.Error) { writeJSON(c, e, nil) }
	if r := requestFrom(c.Request.Context()); r != nil && r.errors != nil {
		write = r.errors.of(c.Request.URL.Path, write)
	}
	writeError(c, err, write)
}

// WriteErrorWith is WriteError with the documented body and more members in it, such as "valid": false.
func WriteErrorWith(c *gin.Context, err error, more map[string]any) {
	writeError(c, err, func(c *gin.Context, e *apierr.Error) { writeJSON(c, e, more) })
}

func writeError(c *gin.Context, err error, write ErrorWriter) {
	e := Typed(err)
	if r := requestFrom(c.Request.Context()); r != nil {
		r.note(e.Code, causeOf(e, err))
	}
	if e.RetryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	c.Abort()
	write(c, e)
}

func writeJSON(c *gin.Context, e *apierr.Error, more map[string]any) {
	c.Data(e.Kind.Status(), JSONType, errorBody(e, more))
}

// errorWriters are the writers of groups of paths, by what their paths begin with; with a slash at the end, of that
// path alone.
type errorWriters map[string]ErrorWriter

// of is the writer of the nearest group that path lies in, other where there is none.
func (w errorWriters) of(path string, other ErrorWriter) ErrorWriter {
	if write := w[strings.TrimSuffix(path, "/")+"/"]; write != nil {
		return write
	}
	for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '/') {
		if write := w[path[:end]]; write != nil {
			return write
		}
	}
	return other
}

// JSONType is the media type of answers.
const JSONType = "application/json; charset=utf-8"

// Typed is err as a caller may see it: itself where it is an *apierr.Error, unavailable when a deadline passed or the
// client left, and an internal error with err as its cause otherwise.
func Typed(err error) *apierr.Error {
	var e *apierr.Error
	if !errors.As(err, &e) && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		return apierr.ErrUnavailable.WithCause(err)
	}
	return apierr.From(err)
}

// causeOf is what the log shall show: everything of a failure of ours, nothing of a caller's mistake.
func causeOf(e *apierr.Error, err error) error {
	if e.Kind.Status() < http.StatusInternalServerError || err == error(apierr.ErrInternal) {
		return nil
	}
	return err
}

// ErrorBody is the documented body of e.
func ErrorBody(e *apierr.Error) []byte { return errorBody(e, nil) }

func errorBody(e *apierr.Error, more map[string]any) []byte {
	body := map[string]any{"error": e.Message, "error_code": e.Code, "details": e.Details}
	if e.Details == nil {
		body["details"] = struct{}{}
	}
	maps.Copy(body, more)
	raw, err := json.Marshal(body)
	if err != nil { // a detail that JSON cannot show must not cost the answer
		return errorBody(apierr.New(e.Kind, e.Code, e.Message), nil)
	}
	return raw
}
