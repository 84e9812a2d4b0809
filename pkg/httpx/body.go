package httpx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// DefaultMaxBody is how many bytes the body of a request may have where neither Options.MaxBody nor MaxBody says
// otherwise.
const DefaultMaxBody = 1 << 20

var errTooLarge = apierr.New(apierr.TooLarge, errcode.PayloadTooLarge, "the request body is too large")

// MaxBody caps the request bodies of one route at n bytes instead of the engine's cap. The routes.go of the services
// and the dialects say which have one: 16 KiB to 10 MiB.
func MaxBody(n int64) gin.HandlerFunc {
	return func(c *gin.Context) {
		if r := requestFrom(c.Request.Context()); r != nil {
			r.maxBody = n
		}
	}
}

// Bind reads the JSON body into dst, a pointer to a struct, as jsonbody.Decode does, or as jsonbody.DecodeStrict on an
// engine with Options.StrictMembers. A body of another media type is 415, one above the cap 413.
func Bind(c *gin.Context, dst any) error {
	raw, err := jsonBody(c)
	if err != nil {
		return err
	}
	if r := requestFrom(c.Request.Context()); r != nil && r.strict {
		return jsonbody.DecodeStrict(raw, dst)
	}
	return jsonbody.Decode(raw, dst)
}

// BindOptional is Bind for requests of which nothing is required: an empty body leaves dst as it is.
func BindOptional(c *gin.Context, dst any) error {
	raw, err := jsonBody(c)
	if err != nil || len(bytes.TrimSpace(raw)) == 0 {
		return err
	}
	return Bind(c, dst)
}

func jsonBody(c *gin.Context) ([]byte, error) {
	if err := checkMediaType(c.Request.Header); err != nil {
		return nil, err
	}
	return Body(c)
}

// checkMediaType refuses what is not plain JSON, and headers given twice: the next reader could believe the other one.
func checkMediaType(h http.Header) error {
	const encoding, media = "Content-Encoding", "Content-Type"
	if given := h[encoding]; len(given) > 1 || len(given) == 1 && given[0] != "" && given[0] != "identity" {
		return mediaTypeError(h, encoding) // a small compressed body can be a huge one
	}
	if given := h[media]; len(given) > 1 || len(given) == 1 && !isJSON(given[0]) {
		return mediaTypeError(h, media)
	}
	return nil
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, parameters, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json") && isUTF8(parameters)
}

// isUTF8 reports whether parameters name no character set that reads the body otherwise than we do; ASCII does not.
func isUTF8(parameters string) bool {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "charset") {
			continue
		}
		switch strings.ToLower(strings.Trim(value, "\" \t")) {
		case "utf-8", "utf8", "us-ascii", "ascii":
		default:
			return false
		}
	}
	return true
}

// mediaTypeError says what came in the named header and what to send.
func mediaTypeError(h http.Header, name string) error {
	const send = "send the body as Content-Type: application/json, in UTF-8 and given once, without a Content-Encoding"
	came := jsonbody.Shorten(strings.ToValidUTF8(strings.Join(h[name], ", "), "\ufffd"))
	message := fmt.Sprintf("%s was %q; %s", name, came, send)
	return apierr.New(apierr.UnsupportedMedia, errcode.UnsupportedMediaType, message)
}

// Body is the raw request body, capped, and read only once: later calls get the same bytes, which nobody may change.
func Body(c *gin.Context) ([]byte, error) {
	r := requestFrom(c.Request.Context())
	if r == nil {
		return readBody(c.Request, DefaultMaxBody)
	}
	if r.bodyRead {
		return r.body, nil
	}
	awaitBody(r.ctx, true)
	raw, err := readBody(c.Request, r.maxBody)
	if err != nil {
		return nil, err
	}
	awaitBody(r.ctx, false)
	r.bodyArrived(c)
	r.body, r.bodyRead = raw, true
	return raw, nil
}

func readBody(r *http.Request, limit int64) ([]byte, error) {
	switch {
	case r.Body == nil || r.ContentLength == 0:
		return nil, nil
	case r.ContentLength > limit:
		return nil, tooLarge(r, limit)
	}
	raw, err := readAll(io.LimitReader(r.Body, limit+1), r.ContentLength)
	if int64(len(raw)) > limit {
		return nil, tooLarge(r, limit)
	}
	return raw, cutOff(err)
}

type bodyNoticeKey struct{}

// WithBodyNotice returns a context for connections: whenever the server begins or stops to wait for the body of a
// request that came over one, notice is told.
func WithBodyNotice(ctx context.Context, notice func(awaited bool)) context.Context {
	return context.WithValue(ctx, bodyNoticeKey{}, notice)
}

func awaitBody(ctx context.Context, awaited bool) {
	if notice, ok := ctx.Value(bodyNoticeKey{}).(func(bool)); ok {
		notice(awaited)
	}
}

// firstRead is the largest buffer that is made because a client says how much it will send. Larger ones follow what has
// come.
const firstRead = 8 << 10

// readAll reads announced bytes, or to the end where announced is negative.
func readAll(r io.Reader, announced int64) ([]byte, error) {
	first := int64(firstRead)
	if announced >= 0 {
		first = min(first, announced)
	}
	raw := make([]byte, 0, first)
	for {
		n, err := r.Read(raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		switch {
		case int64(len(raw)) == announced || err == io.EOF && announced < 0:
			return raw, nil
		case err == io.EOF:
			return raw, io.ErrUnexpectedEOF
		case err != nil:
			return raw, err
		case len(raw) == cap(raw):
			raw = slices.Grow(raw, len(raw))
		}
	}
}

// maxDrain is how many bytes of a body that is too large are read and dropped.
const maxDrain = 16 << 20

// tooLarge reads on for a while: many clients send all before they read, and would see a cut connection instead of the
// answer. Who asks first whether to send (Expect: 100-continue) is told at once.
func tooLarge(r *http.Request, limit int64) error {
	if r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrain) // the answer is the same if that fails
	}
	return errTooLarge.With("max_bytes", limit)
}

func cutOff(err error) error {
	if err == nil {
		return nil
	}
	return apierr.InvalidField("body", "could not be read to its end").WithCause(err)
}
